"""The asking half of the dashboard, driven by its keys on a real run."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import waiting
from driving import drive, settled, text_of
from test_jobs import end, group
from waiting import LIMIT, wait_until

from fierce_tools import sources
from fierce_tools.experiments._ask import ask
from fierce_tools.runs import Run
from fierce_tools.tui.analyses import AnalysisPane, OtherPane
from fierce_tools.tui.app import Dashboard
from fierce_tools.tui.asking import Chooser
from fierce_tools.tui.compare import ComparePane, figures, recipes
from fierce_tools.tui.forms import AskForm
from fierce_tools.tui.images import Gallery, Large
from fierce_tools.tui.jobs import Job, JobNews
from fierce_tools.tui.jobs_pane import JobsPane
from fierce_tools.tui.prompt import Confirm
from fierce_tools.tui.run_facts import read
from fierce_tools.tui.run_page import RunPage
from fierce_tools.tui.run_words import checkpoint, sparkline
from fierce_tools.tui.tabs import TABS
from fierce_tools.tui.training_form import TrainForm

sizes = pytest.mark.parametrize(
    "size", [(120, 35), pytest.param((80, 24), marks=pytest.mark.slow)], ids=lambda s: f"{s[0]}x{s[1]}"
)


@pytest.fixture
def asked_root(digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs of other weights; both were asked their entropy, the first its softest examples too."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    root = Path("runs")
    for name in ("one", "two"):
        shutil.copytree(digits_run, root / name, ignore=shutil.ignore_patterns("analyses"))
    shutil.copy(root / "two" / "epochs" / "0001.safetensors", root / "two" / "model.safetensors")
    for name in ("one", "two"):
        ask("entropy", sources.locate(name, root)[0], {"temperatures": "1,2,4,9"})
    return root


async def until(condition: Callable[[], object], pilot: Any) -> None:
    """Wait for a condition, then for the app to rest."""
    await waiting.until(condition, lambda: text_of(pilot.app))
    await pilot.pause()


def pane(app: Dashboard) -> AnalysisPane:
    assert isinstance(app.home.pane, AnalysisPane)
    return app.home.pane


async def answered(app: Dashboard, pilot: Any) -> None:
    await until(lambda: pane(app).told is not None, pilot)
    await pilot.pause()


def test_the_tabs_are_those_of_the_definitions() -> None:
    titles = [kind.TITLE for kind in TABS]
    assert titles[0] == "Curves"
    assert [titles.index(t) + 1 for t in ("Entropy·T", "Reliability", "Projection", "Images", "Compare", "Jobs")] == [
        2,
        3,
        5,
        6,
        7,
        8,
    ]
    assert "More" in titles


@sizes
def test_marked_runs_are_overlaid(asked_root: Path, size: tuple[int, int]) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("M", "2", "tab", "z")
        await answered(app, pilot)
        text = text_of(app)
        assert "entropy · test split · temperatures 1,2,4,9" in text
        assert "Soft-label entropy (nats)" in text
        assert "━ one" in text
        assert "━ two" in text
        sheet = pane(app).sheet()
        assert sheet is not None
        assert sheet.columns[:2] == ("source", "T")
        assert len(sheet.rows) == 8

    drive(asked_root, body, size)


def test_what_was_not_asked_offers_its_command_and_form(asked_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("3")
        await answered(app, pilot)
        assert "Not asked yet: " in text_of(app)
        assert "$ fierce analyze calibration runs/" in text_of(app)
        assert "tab ↵" in text_of(app)
        await pilot.press("tab")
        await pilot.pause()
        assert "tab ↵" not in text_of(app)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, AskForm)
        await pilot.press("escape")
        assert app.screen is app.home

    drive(asked_root, body, (80, 24))


def test_enter_on_a_run_opens_its_page_whatever_tab_is_open(asked_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        for tab in ("3", "7"):
            await pilot.press(tab, "M")
            await settled(app, pilot)
            assert app.focused is app.home.table
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(app.screen, RunPage), tab
            await pilot.press("escape", "M")
        assert app.jobs.all == []
        await pilot.press("M")
        await until(lambda: "tab ↵ tests" in text_of(app), pilot)
        await pilot.press("tab")
        await until(lambda: "· ↵ tests" in text_of(app), pilot)

    drive(asked_root, body)


def test_what_an_experiment_printed_stands_in_its_tab(asked_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers are not kept, so that the job's results are shown, for just those runs."""
    experiment = Mock(trains=True, summary="How well is a class learnt that nobody showed?", options=list)
    experiment.name, experiment.shows_images = "calibration", False
    monkeypatch.setattr(AnalysisPane, "asked", property(lambda self: experiment))

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("3")
        await settled(app, pilot)
        name = app.home.table.lines[0].row["name"]
        job = Job(1, "x", ("analyze", "calibration", f"runs/{name}/epochs/0001.safetensors"), state="done", code=0)
        job.read("out", "missing class  accuracy")
        app.jobs.all.append(job)
        app.home.pane.post_message(JobNews(job))
        await until(lambda: "missing class  accuracy" in text_of(app), pilot)
        assert "asks again" in text_of(app)
        await pilot.press("j")
        await until(lambda: "missing class  accuracy" not in text_of(app), pilot)

    drive(asked_root, body)


@pytest.mark.slow
def test_ask_as_a_job_and_see_the_answer(asked_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("a")
        await pilot.pause()
        assert isinstance(app.screen, Chooser)
        assert "stability" in text_of(app)
        chooser = app.screen
        chooser._chosen("smoothness")
        chooser.dismiss()
        await until(lambda: isinstance(app.screen, AskForm), pilot)
        assert isinstance(app.home.pane, OtherPane)
        await pilot.press("enter")
        await pilot.pause()
        assert app.board.running() == 1
        assert "job: smoothness" in text_of(app)
        await until(lambda: app.board.running() == 0, pilot)
        await until(lambda: pane(app).told is not None and pane(app).told.answered, pilot)  # type: ignore[union-attr]
        await until(lambda: "Smoothness" in text_of(app) or "γ" in text_of(app), pilot)
        assert app.jobs.all[0].state == "done"

    drive(asked_root, body)


def test_a_crash_inside_a_job_is_shown(asked_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "program" / "fierce_tools" / "__main__.py"
    program.parent.mkdir(parents=True)
    program.write_text("import sys\nprint('begun', file=sys.stderr)\n1 / 0\n")

    async def body(app: Dashboard, pilot: Any) -> None:
        monkeypatch.setenv("PYTHONPATH", str(program.parent.parent))
        await pilot.press("3", "tab")
        await answered(app, pilot)
        await pilot.press("enter", "enter")
        await until(lambda: app.jobs.all and not app.board.running(), pilot)
        await until(lambda: "ZeroDivisionError" in text_of(app), pilot)
        assert "exit code 1" in text_of(app)
        await pilot.press("8")
        await pilot.pause()
        text = text_of(app)
        assert "✗ calibration" in text
        assert "begun" in text
        assert "line 3" in text, "its last lines"

    drive(asked_root, body)


def test_a_job_is_cancelled_when_that_is_confirmed(
    asked_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "program" / "fierce_tools" / "__main__.py"
    program.parent.mkdir(parents=True)
    program.write_text("import signal\nprint('ready', flush=True)\nwhile True:\n    signal.pause()\n")

    async def body(app: Dashboard, pilot: Any) -> None:
        monkeypatch.setenv("PYTHONPATH", str(program.parent.parent))
        app.start("sleep", ["analyze", "x"])
        await pilot.press("8")
        await until(lambda: "ready" in text_of(app), pilot)
        await pilot.press("X")
        assert isinstance(app.screen, Confirm)
        await pilot.press("n")
        assert app.board.running() == 1
        await pilot.press("q")
        assert isinstance(app.screen, Confirm), "quitting asks"
        await pilot.press("n", "X", "y")
        await until(lambda: app.board.running() == 0, pilot)
        assert app.jobs.all[0].state == "cancelled"
        await until(lambda: "cancelled" in text_of(app), pilot)

    drive(asked_root, body)


def test_snapshots_are_paged_through(asked_root: Path) -> None:
    ask("entropy", sources.locate("one", asked_root, epochs="2")[0], {})

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("space")
        await pilot.press("2", "tab")
        await answered(app, pilot)
        for _ in range(2):  # best, then 0002
            await pilot.press("left_square_bracket")
            await answered(app, pilot)
        assert pane(app).epoch == "0002"
        name = app.home.chosen()[0].run.name
        await until(lambda: ("epoch 0002" in text_of(app)) or ("at epoch 0002" in text_of(app)), pilot)
        assert name == "one" or "Not asked yet: two at epoch 0002" in text_of(app)
        for _ in range(3):
            await pilot.press("right_square_bracket")
            await answered(app, pilot)
        assert pane(app).epoch is None

    drive(asked_root, body)


@sizes
def test_images_that_were_kept(asked_root: Path, fierce: Any, size: tuple[int, int]) -> None:
    for name in ("one", "two"):
        assert fierce("analyze", "transfer-set", name, "--per-class", "2", "--images")[0] == 0

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("6", "tab", "z")
        await answered(app, pilot)
        gallery = pane(app).query_one(Gallery)
        assert len(gallery.images) == 20
        assert "▀▀▀▀" in text_of(app)
        assert "nats" in text_of(app)
        await pilot.press("right", "enter")
        await pilot.pause()
        assert isinstance(app.screen, Large)
        assert "2 of 20" in text_of(app)

    drive(asked_root, body, size)


def test_images_that_were_not_kept_are_offered(asked_root: Path) -> None:
    ask("transfer-set", sources.locate("one", asked_root)[0], {}, split="train")
    ask("transfer-set", sources.locate("two", asked_root)[0], {}, split="train")

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("6", "tab")
        await answered(app, pilot)
        assert "fetches the images themselves" in text_of(app)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, AskForm)
        assert app.screen.arguments()[-1] == "--images"

    drive(asked_root, body)


@sizes
def test_the_page_of_a_run(asked_root: Path, size: tuple[int, int]) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("enter")
        assert isinstance(app.screen, RunPage)
        await until(lambda: "Recipe" in text_of(app) or "fierce train" in text_of(app), pilot)
        page = app.screen
        assert page.facts is not None
        assert "fierce train --loss fierce" in text_of(app)
        assert "Metrics, first to last epoch" in text_of(app)
        elements = sum(_count(shape) for _, shape in page.facts.tensors.values())
        for _ in range(10):
            if f"{elements:,}" in text_of(app):
                break
            await pilot.press("pagedown")
            await pilot.pause()
        assert f"{elements:,}" in text_of(app), "parameters"
        sheet = page.sheet()
        assert sheet is not None
        assert len(sheet.rows) == 3
        await pilot.press("w")
        assert app.clipboard.startswith("fierce train --loss fierce")
        shutil.rmtree(page.chosen.run.path)
        page.look()
        await until(lambda: "✗ deleted" in text_of(app), pilot)
        assert "this is what it was" in text_of(app)
        assert page.facts.gone
        await pilot.press("escape")
        assert app.screen is app.home

    drive(asked_root, body, size)


def test_the_page_says_what_the_weights_were_trained_on(digits_run: Path) -> None:
    facts = read(Run(digits_run))
    for origin, words in (
        ({}, "the training split, validation not seen"),
        ({"trained_on": "all"}, "validation examples too"),
        ({"file": "w.pt"}, "unknown, perhaps validation examples too"),
    ):
        imported = replace(facts, document={**facts.document, "origin": origin})
        assert f"trained on  {words}" in [line.plain for line in checkpoint(imported, 80)]


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


def test_pages_of_odd_runs(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        for name, words in (
            ("broken", "is not TOML"),
            ("student", "ce-s0"),
            ("ce-s0", "student"),
            ("smooth-nan", "loss became nan"),
        ):
            await pilot.press("g")
            while app.home.table.current is not None and app.home.table.current.key != name:
                await pilot.press("down")
            await pilot.press("enter")
            await until(lambda words=words: words in text_of(app), pilot)  # type: ignore[misc]
            await pilot.press("escape")

    drive(runs_root, body)


def test_sparklines_by_hand() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([1, None, float("nan"), 2], 8) == "▁  █"
    assert sparkline([5, 5], 8) == "▄▄"
    assert sparkline(range(100), 4) == "▁▃▆█"
    assert sparkline([], 4) == ""


def test_comparison_by_hand() -> None:
    documents = {
        "a": {"loss": {"name": "ce"}, "train": {"lr": 0.1, "seed": 0}},
        "b": {"loss": {"name": "fierce", "lam": 0.1}, "train": {"lr": 0.1, "seed": 0}},
    }
    only = recipes(documents, only_differences=True)
    assert only.rows == (("loss.name", "ce", "fierce"), ("loss.lam", None, 0.1))
    assert len(recipes(documents, only_differences=False).rows) == 4
    rows = {
        "a": [{"epoch": 1, "val_accuracy": 0.9, "val_nll": 0.3}, {"epoch": 2, "val_accuracy": 0.8, "val_nll": 0.2}],
        "b": [],
    }
    found = {row[0]: row[1:] for row in figures(rows).rows}
    assert found["epochs"] == (2, None)
    assert found["best epoch"] == (1, None)
    assert found["accuracy, best epoch"] == (0.9, None)
    assert found["accuracy, last"] == (0.8, None)
    assert found["NLL (nats), best epoch"] == (0.3, None)


def test_compare_shows_only_what_differs(asked_root: Path) -> None:
    path = asked_root / "two" / "recipe.toml"
    path.write_text(path.read_text().replace("lam = 0.1", "lam = 0.7"))

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("M", "c")
        assert isinstance(app.home.pane, ComparePane)
        await until(lambda: "loss.lam" in text_of(app), pilot)
        assert "0.7" in text_of(app)
        assert "loss.name" not in text_of(app)
        assert "$ fierce compare" in text_of(app)
        await pilot.press("d")
        await until(lambda: "Their recipes" in text_of(app), pilot)
        assert "data.name" in text_of(app)

    drive(asked_root, body)


def test_training_from_a_form(asked_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("T")
        form = app.screen
        assert isinstance(form, TrainForm)
        await pilot.pause()
        assert form.arguments()[:3] == ["train", "--loss", "fierce"], "like the run under the cursor"
        await pilot.press("escape")
        assert app.jobs.all == []

    drive(asked_root, body)


@pytest.mark.parametrize(
    ("loss", "section", "asked"),
    [
        ('name = "kd"\ntemperature = 9.0', "[distill]", []),
        ('name = "noisy-labels"\nnoise_on = "teacher"', "[distill]", []),
        ('name = "noisy-labels"\nnoise_on = "smoothed"', "[distill]", ["--loss", "noisy-labels"]),
        ('name = "ce"', "[mutual]", []),
    ],
)
def test_a_form_like_a_student_or_a_peer_is_one_that_can_train(
    asked_root: Path, loss: str, section: str, asked: list[str]
) -> None:
    for name in ("one", "two"):
        path = asked_root / name / "recipe.toml"
        data, model = '[data]\nname = "digits"\n', '[model]\nname = "linear"\n'
        path.write_text(f"{data}{model}[loss]\n{loss}\n[train]\nepochs = 7\n{section}\n{TAUGHT[section]}\n")

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("T")
        await pilot.pause()
        form = app.screen
        assert isinstance(form, TrainForm)
        found = form.arguments()
        assert ("--loss" in found) == bool(asked)
        assert asked == [] or " ".join(asked) in " ".join(found)
        assert found[found.index("--epochs") + 1] == "7", "the rest is its own"
        assert any(section[1:-1] in toast.message for toast in app._notifications)

    drive(asked_root, body)


TAUGHT = {
    "[distill]": 'method = "kd"\nteachers = ["t"]',
    "[mutual]": 'models = ["linear", "linear"]\nmethod = "dml"',
}


@pytest.mark.slow
def test_nothing_heavy_is_loaded(asked_root: Path) -> None:
    """In a process of its own: the dashboard shows an answer and a run without torch."""
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom fierce_tools.tui.app import Dashboard\n"
        "async def main():\n    app = Dashboard(Path('runs'))\n    async with app.run_test(size=(120, 35)) as pilot:\n"
        "        for key in ('M', '2', '5', '6', '7', '8', 'a', 'escape', 'T', 'escape', 'g', 'tab', 'tab'):\n"
        "            await pilot.press(key)\n            await pilot.pause()\n"
        "        assert app.jobs.all == []\n"
        "asyncio.run(main())\n"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'plotext', 'typer', 'fierce_tools.cli', 'fierce_tools.analysis._soft') if m in sys.modules])\n"
    )

    async def run() -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    assert asyncio.run(run()).strip().endswith("[]")


@pytest.mark.slow
def test_empty_places(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()

    async def body(app: Dashboard, pilot: Any) -> None:
        for key in (
            "2",
            "enter",
            "tab",
            "enter",
            "left_square_bracket",
            "a",
            "escape",
            "3",
            "4",
            "6",
            "7",
            "enter",
            "8",
            "X",
            "enter",
            "c",
            "d",
            "T",
            "escape",
        ):
            await pilot.press(key)
            await settled(app, pilot)
        assert app.jobs.all == []

    drive(Path("runs"), body, (80, 24))


def test_a_damaged_answer_is_offered_anew(asked_root: Path) -> None:
    for path in (asked_root / "one" / "analyses").iterdir():
        document = json.loads(path.read_text())
        path.write_text(json.dumps({**document, "report": "gone"}))

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("M", "2")
        await answered(app, pilot)
        assert "asks one too" in text_of(app)
        assert isinstance(app.home.panes[7], JobsPane)

    drive(asked_root, body)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_killed_dashboard_leaves_no_job(asked_root: Path, tmp_path: Path, number: int) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom fierce_tools.tui import jobs\n"
        "from fierce_tools.tui.app import Dashboard\n"
        "class Busy(Dashboard):\n"
        "    def on_ready(self):\n        self.start('sleep', ['analyze', 'entropy'])\n"
        "    def on_job_news(self, message):\n"
        "        if message.job.pid and message.job.alive:\n"
        "            Path('pid').write_text(str(message.job.pid))\n"
        "sys.executable = './sleeper'\n"
        "app = Busy(Path('runs'))\napp.run(headless=True)\nraise SystemExit(app.return_code)\n"
    )
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\ntail -f /dev/null & exec tail -f /dev/null\n")
    sleeper.chmod(0o755)
    said = tmp_path / "said"
    with said.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=file)
    written = tmp_path / "pid"
    wait_until(lambda: (written.exists() and written.read_text()) or process.poll() is not None, said.read_text)
    pid = int(written.read_text())
    try:
        wait_until(lambda: len(group(pid)) == 2, lambda: group(pid))
        process.send_signal(number)
        assert process.wait(LIMIT) == 128 + number, said.read_text()
        wait_until(lambda: not group(pid), lambda: group(pid))
    finally:
        end(process.pid, pid)
