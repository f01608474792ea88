"""A network killed by its learning rate: 0 bits of feature entropy wherever it is shown, and a word with it."""

from __future__ import annotations

import json

from fierce_tools import runs

DEAD = ("--classes", "3,5,8", "--optimizer", "sgd", "--lr", "100", "--epochs", "1", "--device", "cpu")
WORDS = "the features are constant"


def test_training_says_it_and_what_is_asked_later_does(fierce) -> None:
    code, out, err = fierce("train", *DEAD, "--model", "mlp:8", "--loss", "fierce", "--name", "dead")
    assert code == 0, err
    (entropy,) = (line for line in out.split("\n") if "feature entropy, common codebook" in line)
    assert entropy.split()[-3:] == ["0", "–", "bits"]
    assert f"warning: {WORDS}" in err
    code, out, _ = fierce("runs", "show", "dead")
    assert WORDS in out
    code, out, err = fierce("analyze", "feature-entropy", "dead", "--format", "json")
    values = json.loads(out)["results"][0]["values"]
    assert (values["bits"], values["own_anchor_bits"], values["constant"]) == (0, 0, True)
    code, out, err = fierce("analyze", "feature-entropy", "dead")
    assert "All 108 feature vectors are the same" in out
    code, out, err = fierce("compare", "dead", "--skip", "mi,tstar,ece-tstar,probe,tightness")
    assert code == 0, err
    assert out.count("dead: all feature vectors, or all soft labels, are the same") == 1


def test_many_runs_say_it_of_each(fierce) -> None:
    code, _, err = fierce("sweep", *DEAD, "--model", "mlp:8", "--grid", "batch_size=32,64", "--seeds", "1")
    assert code == 0, err
    assert err.count(f"warning: {WORDS}") == 2
    code, out, err = fierce("mutual", *DEAD, "--models", "mlp:8", "mlp:8", "--name", "pair", "--format", "json")
    assert code == 0, err
    assert len(json.loads(out)["peers"]) == 2
    assert err.count(f": {WORDS}") == 2


def test_a_live_one_is_not_warned_of(fierce) -> None:
    code, _, err = fierce(
        "train", *DEAD[:2], "--model", "mlp:8", "--epochs", "1", "--loss", "fierce", "--device", "cpu"
    )
    assert code == 0, err
    assert "warning" not in err


def test_what_counts_as_constant() -> None:
    """0 bits, and in rows of 0.1.0 the log2 100 = 6.643856189774724 bits that it gave to zero vectors."""
    for bits, expected in (
        (0.0, True),
        (0, True),
        (6.643856189774724, True),
        (6.6438, False),
        (1e-3, False),
        (None, False),
    ):
        assert runs.constant_features(bits) is expected
        assert bool(runs.remarks({"val_feature_entropy": bits})) is expected
    assert not runs.remarks({})
