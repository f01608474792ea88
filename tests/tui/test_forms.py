"""Forms: every analysis and every training has one, and what is set is what the command says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from driving import idle
from textual.app import App
from textual.widgets import Input, Select, Static, Switch

from fierce_tools import recipe
from fierce_tools.menu import ANALYSES
from fierce_tools.tui.fields import Field
from fierce_tools.tui.forms import AskForm, Form
from fierce_tools.tui.questions import questions
from fierce_tools.tui.training_form import TrainForm


def filled(
    form: Callable[[Any], Form], body: Callable[[App[None], Any], Awaitable[None]], size: tuple[int, int]
) -> list[Any]:
    sent: list[Any] = []

    class Only(App[None]):
        def on_mount(self) -> None:
            self.push_screen(form(lambda *job: sent.append(job)))

    async def run() -> None:
        app = Only()
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await body(app, pilot)

    asyncio.run(run())
    return sent


async def field(app: App[None], name: str) -> Field:
    """A field by its option's name, brought to the screen."""
    found = next(f for f in app.screen.query(Field) if f.option.name == name)
    assert found.reveal()
    await idle()
    return found


def shown(app: App[None], where: str) -> str:
    return str(app.screen.query_one(where, Static).content)


@pytest.mark.parametrize("name", ANALYSES.names())
def test_every_analysis_has_a_form(name: str) -> None:
    async def body(app: App[None], pilot: Any) -> None:
        assert [f.option.name for f in app.screen.query(Field)] == [o.name for _, o in questions()[name].options()]
        assert shown(app, "#command").startswith(f"$ fierce analyze {name} runs/a")
        await pilot.press("enter")

    sent = filled(lambda run: AskForm(questions()[name], ["runs/a"], run), body, (80, 24))
    assert sent[0][0] == f"{name} a"
    assert sent[0][1][:3] == ["analyze", name, "runs/a"]


@pytest.mark.parametrize("size", [(120, 35), (80, 24)])
def test_values_change_the_command_and_wrong_ones_are_named(size: tuple[int, int]) -> None:
    async def body(app: App[None], pilot: Any) -> None:
        assert isinstance((await field(app, "split")).editor, Select)
        assert isinstance((await field(app, "per_class")).editor, Switch)
        await pilot.press("down", *"x")
        assert "'1:20x' is not a number" in shown(app, "#meaning") or "1:20x" in shown(app, "#meaning")
        assert app.screen.query_one("#meaning").has_class("wrong")
        await pilot.press("enter")
        assert isinstance(app.screen, AskForm), "it is not sent"
        await pilot.press("backspace", "backspace", "backspace", *"30", "down", "space")
        assert shown(app, "#command") == "$ fierce analyze entropy runs/a --temperatures 1:30 --per-class"
        assert (await field(app, "per_class")).has_class("changed")
        helps = (await field(app, "per_class")).query_one(".help")
        assert helps.display == (size[0] == 120)
        await pilot.press("ctrl+y")
        assert app.clipboard == "fierce analyze entropy runs/a --temperatures 1:30 --per-class"
        await pilot.press("enter")

    sent = filled(lambda run: AskForm(questions()["entropy"], ["runs/a"], run), body, size)
    assert sent == [("entropy a", ["analyze", "entropy", "runs/a", "--temperatures", "1:30", "--per-class"])]


def test_a_choice_is_chosen_and_taken_back(tmp_path: Path) -> None:
    async def body(app: App[None], pilot: Any) -> None:
        await pilot.press("space", "up", "enter")
        await pilot.pause()
        assert shown(app, "#command").endswith("runs/a --split val")
        await pilot.press("ctrl+d")
        await pilot.pause()
        assert shown(app, "#command").endswith("runs/a")

    filled(lambda run: AskForm(questions()["entropy"], ["runs/a"], run), body, (80, 24))


def test_given_options_are_filled_in() -> None:
    async def body(app: App[None], pilot: Any) -> None:
        editor = (await field(app, "temperatures")).editor
        assert isinstance(editor, Input)
        assert editor.value == "1,9"

    given = {"temperatures": [1, 9], "split": "val", "unknown": 1}
    filled(lambda run: AskForm(questions()["entropy"], ["a"], run, epoch="best", given=given), body, (80, 24))


def test_a_training_by_its_choices() -> None:
    async def body(app: App[None], pilot: Any) -> None:
        form = app.screen
        assert isinstance(form, TrainForm)
        assert shown(app, "#command") == "$ fierce train --runs-dir runs"
        names = [f.option.name for f in form.fields()]
        assert {o.name for s in recipe.SECTIONS for o in recipe.spec(s).options} <= set(names)
        loss = (await field(app, "choice of loss")).editor
        assert isinstance(loss, Select)
        loss.value = "fierce"
        await pilot.pause()
        assert "lam" in [f.option.name for f in form.fields()], "other choices have other options"
        editor = (await field(app, "lam")).editor
        assert isinstance(editor, Input)
        editor.value = "0.3"
        epochs = (await field(app, "epochs")).editor
        assert isinstance(epochs, Input)
        epochs.value = "2"
        name = (await field(app, "name")).editor
        assert isinstance(name, Input)
        name.value = "mine"
        await pilot.pause()
        assert shown(app, "#command") == "$ fierce train --loss fierce --lam 0.3 --epochs 2 --name mine --runs-dir runs"
        model = (await field(app, "choice of model")).editor
        assert isinstance(model, Select)
        model.value = "mlp"
        await pilot.pause()
        assert "needs" in shown(app, "#meaning"), "an argument is asked for"
        argument = (await field(app, "argument of model")).editor
        assert isinstance(argument, Input)
        argument.value = "32-32"
        await pilot.pause()
        assert "--model mlp:32-32" in shown(app, "#command")
        assert "--epochs 2" in shown(app, "#command"), "what was said before is kept"
        form.action_send()
        await pilot.pause()

    ((title, arguments),) = filled(lambda run: TrainForm(Path("runs"), run), body, (120, 35))
    assert title == "train mine"
    assert arguments[0] == "train"


def test_what_is_in_sight_is_mounted_and_the_rest_when_it_comes_into_sight() -> None:
    async def body(app: App[None], pilot: Any) -> None:
        form = app.screen
        assert isinstance(form, TrainForm)
        box = form.query_one("#fields")

        def mounted() -> list[Field]:
            return [f for f in form.fields() if f.query(".editor")]

        def blank() -> list[Field]:
            return [f for f in form.fields() if f.region.overlaps(box.region) and not f.query(".editor")]

        assert 0 < len(mounted()) < len(form.fields()) / 2
        assert not blank()
        await pilot.press("shift+tab")
        last = form.fields()[-1]
        assert form.focused is last.editor, "round to the last one, which was not mounted"
        assert box.region.contains_region(last.region)
        assert not blank()
        await pilot.press("tab")
        assert form.focused is form.fields()[0].editor
        assert box.scroll_y == 0, "its heading is in sight, too"
        for _ in range(len(form.fields()) // 2):
            await pilot.press("up")
        assert not blank()
        box.scroll_to(y=0, animate=False)
        await pilot.pause()
        box.scroll_to(y=box.max_scroll_y / 3, animate=False)
        await pilot.pause()
        assert not blank()
        assert len(form.fields()) == len({*form.fields()} & {*form.query(Field)})

    filled(lambda run: TrainForm(Path("runs"), run), body, (80, 24))


@pytest.mark.parametrize("turns", [0, 2, 5, 12, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3, 8, 20, 40))])
def test_a_form_may_be_closed_or_reset_at_any_moment(turns: int) -> None:
    """After so many turns of the event loop, while fields and lists are being made or made anew."""

    async def later() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def body(app: App[None], pilot: Any) -> None:
        def form() -> TrainForm:
            return TrainForm(Path("runs"), lambda *job: None)

        app.push_screen(form())
        await later()
        app.pop_screen()
        await idle()
        app.push_screen(form())
        await idle()
        opened = app.screen
        assert isinstance(opened, TrainForm)
        loss = (await field(app, "choice of loss")).editor
        assert isinstance(loss, Select)
        loss.value = "fierce"
        await later()
        opened.action_reset()
        await idle()
        assert set(opened.fields()) == set(opened.query(Field)), "nothing is left of what was there before"
        assert all(
            f.editor.is_mounted for f in opened.fields() if f.region.overlaps(opened.query_one("#fields").region)
        )
        await pilot.press("tab")
        assert opened.focused is opened.fields()[1].editor
        (await field(app, "choice of loss")).editor.value = "ce"  # type: ignore[attr-defined]
        await later()
        opened.dismiss()
        await idle()
        assert app.screen is not opened

    filled(lambda run: AskForm(questions()["entropy"], ["a"], run), body, (80, 24))


def test_a_form_that_is_opened_or_closed_may_be_drawn_and_reset() -> None:
    """A resize, a redraw or a key may come before its parts are there, and after they are gone."""

    async def body(app: App[None], pilot: Any) -> None:
        for turns in (0, 3, 9, 15):
            form = TrainForm(Path("runs"), lambda *job: None)
            app.push_screen(form)
            for _ in range(turns):
                await asyncio.sleep(0)
            form.reveal()
            form.tell()
            form.dismiss()
            for _ in range(24):
                await asyncio.sleep(0)
                form.reveal()
                form.tell()
            await form.rebuild()
            await idle()
            assert app.screen is not form

    filled(lambda run: AskForm(questions()["entropy"], ["a"], run), body, (80, 24))


def test_a_preset_brings_its_values() -> None:
    async def body(app: App[None], pilot: Any) -> None:
        preset = (await field(app, "preset")).editor
        assert isinstance(preset, Select)
        preset.value = "age"
        await pilot.pause()
        brought = recipe.spec("loss", "fierce").presets["age"]
        for key, value in brought.items():
            assert (await field(app, key)).value() == (await field(app, key)).option.convert(value)
        assert "--preset age" in shown(app, "#command")
        assert "--lam" not in shown(app, "#command")

    like = recipe.resolve({"loss": {"name": "fierce"}}).as_dict()
    filled(lambda run: TrainForm(Path("runs"), run, {"loss": {"name": "fierce"}}, "a"), body, (80, 24))
    assert like


def test_a_training_like_another() -> None:
    """The form of a run's recipe stands for a command that makes the same recipe."""
    made = recipe.resolve(
        {
            "data": {"name": "digits", "val_fraction": 0.2},
            "loss": {"name": "label-smoothing", "alpha": 0.3},
            "model": {"name": "mlp:8"},
            "train": {"epochs": 3, "lr": 0.0123456789, "save_at": [1, 2]},
        }
    )

    async def body(app: App[None], pilot: Any) -> None:
        app.screen.action_send()  # type: ignore[attr-defined]
        await pilot.pause()

    ((_, arguments),) = filled(lambda run: TrainForm(Path("runs"), run, made.as_dict(), "a"), body, (80, 24))
    flags = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    flags.pop("--runs-dir")
    overrides = {}
    for flag, value in flags.items():
        key = flag[2:].replace("-", "_")
        section = key if key in recipe.MENUS else next(s for s, _, _ in recipe.owners(key))
        overrides[f"{section}.{'name' if key in recipe.MENUS else key}"] = value
    assert recipe.resolve({}, overrides).as_dict() == made.as_dict()
