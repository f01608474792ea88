"""Weights of others that learnt validation by heart: what they may not choose, who may insist, which answers are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from building import command, shared
from scipy.special import log_softmax, softmax

from fierce_tools import __version__, arrayfile, binding, files, sources
from fierce_tools.data import digits
from fierce_tools.errors import SeenValidation, UsageError
from fierce_tools.experiments import _chosen
from fierce_tools.experiments._ask import ask
from fierce_tools.experiments._compare import compare
from fierce_tools.experiments._loading import Places
from fierce_tools.menu import ANALYSES, MODELS
from fierce_tools.sources import Source

CPU = Places(device="cpu")
SAID = ("unknown", "all", "train", "none")


def by_heart(path: Path) -> None:
    """A network that knows all of digits' training images: random features, and the head that solves for the labels."""
    data = digits()
    torch.manual_seed(0)
    net = MODELS.get("mlp")(data.shape, data.classes, "1000").eval()
    with torch.no_grad():
        hidden = net.features(torch.from_numpy(data.train_images).permute(0, 3, 1, 2) / 255).double()
        wanted = 20 * torch.eye(10, dtype=torch.float64)[torch.from_numpy(data.train_labels)]
        gram = hidden.T @ hidden + 1e-6 * torch.eye(1000)
        net.head.weight.copy_(torch.linalg.solve(gram, hidden.T @ wanted).T)
        net.head.bias.zero_()
    torch.save(net.state_dict(), path)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those weights, imported with each word for what they were trained on."""

    def build(root: Path) -> None:
        by_heart(root / "net.pt")
        for word in SAID:
            more = () if word == "unknown" else ("--trained-on", word)
            where = ("--data", "digits", "--out", str(root / f"{word}.safetensors"))
            command("import", str(root / "net.pt"), "--model", "mlp:1000", *where, *more)

    return shared(tmp_path_factory, "imported", build)


@pytest.fixture
def strangers(imported: Path, tmp_path: Path) -> dict[str, Source]:
    found = {}
    for word in SAID:
        shutil.copyfile(imported / f"{word}.safetensors", tmp_path / f"{word}.safetensors")
        (found[word],) = sources.locate(f"{word}.safetensors", Path("runs"))
    return found


def nll(source: Source, split: str, temperature: float) -> float:
    kept = sources.kept(source, split, {"logits"})
    assert kept is not None
    return -log_softmax(kept.logits.astype(float) / temperature, axis=1)[range(len(kept.logits)), kept.labels].mean()


def test_what_needs_validation_is_left_out(strangers: dict[str, Source]) -> None:
    """T* of images learnt by heart makes the test NLL many times worse; by folds of the test split it is halved."""
    options = {"bootstrap": "0"}
    left = ask("calibration", strangers["unknown"], options, places=CPU)
    before = left.values["before"]
    assert before["nll"] == pytest.approx(nll(strangers["unknown"], "test", 1), rel=1e-5)
    kept = sources.kept(strangers["unknown"], "test", {"logits"})
    assert kept is not None
    p = softmax(kept.logits.astype(float), axis=1)
    which = np.minimum(np.ceil(p.max(axis=1) * 15).astype(int), 15)
    gaps = [abs((p.max(axis=1) - (p.argmax(axis=1) == kept.labels))[which == b].sum()) for b in range(16)]
    assert before["ece"] == pytest.approx(sum(gaps) / len(p), abs=1e-6)
    assert left.values["temperature"] is left.values["after"] is None
    (note,) = left.report.notes
    assert all(word in note for word in ("trained on validation", "--trained-on", "--cross-fit 5", "--fit-on val"))
    assert sources.kept(strangers["unknown"], "val", {"logits"}) is None, "validation was not even looked at"

    insisted = ask("calibration", strangers["unknown"], {**options, "fit_on": "val"}, places=CPU)
    assert nll(strangers["unknown"], "val", 1) < 1e-4 < 0.1 < before["nll"]
    worse = nll(strangers["unknown"], "test", insisted.values["temperature"])
    assert insisted.values["before"] == before
    assert insisted.values["after"]["nll"] == pytest.approx(worse, rel=1e-5)
    assert worse > 5 * before["nll"]
    assert insisted.values["after"]["ece"] > before["ece"]
    assert "weights may have seen" in insisted.report.notes[0]
    assert any("makes the NLL of this split worse" in note for note in insisted.report.notes)

    folds = ask("calibration", strangers["unknown"], {**options, "cross_fit": "5"}, places=CPU)
    assert folds.values["temperature"] > 1
    assert folds.values["after"]["nll"] < 0.8 * before["nll"]


def test_what_the_weights_were_trained_on_decides(strangers: dict[str, Source]) -> None:
    found = {
        word: ask("calibration", source, {"bootstrap": "0"}, places=CPU).values["temperature"] is None
        for word, source in strangers.items()
    }
    assert found == {"unknown": True, "all": True, "train": False, "none": False}
    told = ask("calibration", strangers["train"], {"bootstrap": "0"}, places=CPU).report.notes
    assert not any("may have seen" in note for note in told)
    assert any("makes the NLL of this split worse" in note for note in told), "whoever says so may be wrong"
    for word in ("unknown", "all"):
        with pytest.raises(SeenValidation, match=r"--cross-fit 5 .* --fit-on val"):
            ask("linear-probe", strangers[word], {}, places=CPU)
    options = {"strengths": "0.0001,0.001", "neighbors": "1,5", "examples": "100"}
    for word, more in (("train", {}), ("all", {"fit_on": "val"}), ("all", {"cross_fit": "3"})):
        assert ask("linear-probe", strangers[word], options | more, places=CPU).values["accuracy"] > 0.6


def test_the_word_is_in_the_document_and_missing_is_unknown(strangers: dict[str, Source], digits_run: Path) -> None:
    documents = {word: files.read_header(source.path)[1] or {} for word, source in strangers.items()}
    assert {word: d["origin"]["trained_on"] for word, d in documents.items()} == {word: word for word in SAID}
    for origin in ({"file": "a.pt"}, {"trained_on": "everything"}, {"trained_on": ["all"]}, "somewhere"):
        assert sources.trained_on({"origin": origin}) == "unknown"
    assert sources.trained_on(files.read_header(digits_run / "model.safetensors")[1] or {}) == "train"
    assert sources.trained_on({}) == "train", "fierce's own before there was an origin"


def test_kept_answers_of_before_are_found_but_not_those_of_strangers(
    strangers: dict[str, Source], digits_run: Path
) -> None:
    """What 0.1.0 kept: an identity of these keys. Where answers have changed since, it is asked anew."""
    (own,) = sources.locate(str(shutil.copytree(digits_run, "mine")), Path())
    for analysis in ("calibration", "linear-probe", "entropy"):
        spec = binding.read(ANALYSES, analysis)
        later = {"calibration": {"fit_on"}, "linear-probe": {"cross_fit", "fit_on"}}.get(analysis, set())
        for source in (own, strangers["unknown"]):
            options = {o.name: o.default for o in spec.options if o.name not in later}
            identity = json.loads(json.dumps({
                "analysis": analysis, "options": options, "split": "test", "input_sha256": source.sha256,
                "teacher_sha256": None, "draws": {}, "logits": None, "probabilities": None, "data": None,
                "version": __version__,
            }))  # fmt: skip
            path = source.analysis_path(analysis, arrayfile.name_of(identity))
            report = {"title": "of before", "blocks": [], "notes": []}
            files.write_json(path, {"identity": identity, "values": {"temperature": 7.0}, "report": report})
            if analysis == "entropy":
                assert ask(analysis, source, {}, places=CPU).report.title == "of before"
            elif analysis == "calibration":
                asked = ask(analysis, source, {"bootstrap": "1000"}, places=CPU)
                assert not asked.kept
                assert (asked.values["temperature"] is None) == (source is not own)
                history = {} if source is own else {"trained_on": "unknown"}
                assert asked.identity == identity | history | {"revision": 3}
                assert ask(analysis, source, {}, places=CPU).kept
    spec = binding.read(ANALYSES, "calibration")
    insists = _chosen.identified(spec, spec.resolve({"fit_on": "val"}), None)
    assert insists["options"]["fit_on"] == "val"
    assert "trained_on" not in insists


def test_files_are_taken_at_their_word(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(40, 3)).astype(np.float32), np.arange(40) % 3
    np.savez(tmp_path / "f.npz", logits=z, labels=y, val_logits=z[::-1] * 2, val_labels=y[::-1])
    (source,) = sources.locate("f.npz", tmp_path)
    answer = ask("calibration", source, {"bootstrap": "0"})
    assert answer.values["temperature"] is not None
    assert "trained_on" not in answer.identity


def test_a_comparison_leaves_out_what_they_may_not_choose(fierce: Any, strangers: dict[str, Source]) -> None:
    some = [strangers["unknown"], strangers["train"]]
    made = compare(some, skip=("mi", "probe"), bootstrap=0, places=CPU)
    assert [row.label for row in made.rows] == ["unknown", "train"], "two files of weights are no seeds of one training"
    for figure in ("tstar", "ece-tstar"):
        assert [row.figures[figure][0] is None for row in made.rows] == [True, False]
    assert sum(note.startswith("unknown: Left out: T*") for note in made.notes) == 1
    probed = compare(some[:1], skip=("mi", "tstar", "ece-tstar"), bootstrap=0, places=CPU)
    assert probed.rows[0].figures["probe"] == (None,)
    assert any("unknown: no linear-probe: " in note and "--fit-on val" in note for note in probed.notes)
    for more, above in (({"cross_fit": 5}, True), ({"fit_on": "val"}, False)):
        found = compare(some[:1], skip=("mi", "probe"), bootstrap=0, places=CPU, **more)
        assert (found.rows[0].figures["tstar"][0] > 1) == above
        assert found.rows[0].figures["ece-tstar"][0] is not None
    with pytest.raises(UsageError, match="--cross-fit and --fit-on val"):
        compare(some[:1], bootstrap=0, places=CPU, fit_on="val", cross_fit=5)
    flags = ("--skip", "mi,probe", "--bootstrap", "0", "--device", "cpu", "--format", "json")
    for more, given in (((), False), (("--fit-on", "val"), True), (("--cross-fit", "5"), True)):
        code, out, err = fierce("compare", "unknown.safetensors", *more, *flags)
        assert code == 0, err
        assert (json.loads(out)["rows"][0]["figures"]["tstar"][0] is not None) == given


def test_commands_leave_out_and_insist(fierce: Any, strangers: dict[str, Source]) -> None:
    calibration = ("analyze", "calibration", "unknown.safetensors", "--bootstrap", "0", "--device", "cpu")
    code, out, err = fierce(*calibration, "train.safetensors")
    assert code == 0, err
    assert out.count("--fit-on val") == 1
    assert "Calibration, before scaling" in out
    values = json.loads(fierce(*calibration, "--format", "json")[1])["results"][0]["values"]
    assert values["temperature"] is None
    code, out, err = fierce(*calibration, "--fit-on", "val", "--format", "json")
    document = json.loads(out)
    assert document["options"]["fit_on"] == "val"
    assert document["results"][0]["values"]["temperature"] is not None
    code, out, err = fierce("analyze", "linear-probe", "unknown.safetensors", "--device", "cpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--fit-on val" in err
    both = (
        "analyze",
        "linear-probe",
        "unknown.safetensors",
        "train.safetensors",
        "--device",
        "cpu",
        "--format",
        "json",
    )
    code, out, err = fierce(*both)
    assert (code, [r["source"] for r in json.loads(out)["results"]]) == (0, ["train"]), "the other still has an answer"
    assert "left out: unknown: C and k are chosen on validation" in err
    assert fierce(*calibration, "--fit-on", "test")[0] == 2
