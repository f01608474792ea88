from __future__ import annotations

from pathlib import Path

import pytest

from fierce_tools.tui import keys, settings


def test_nothing_said_is_the_default(tmp_path: Path) -> None:
    assert settings.load(tmp_path / "none.toml") == settings.Settings()


def test_what_is_right_is_taken_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tui.toml"
    file.write_text(
        'theme = "light"\nema = 1.5\nlog_y = 1\nx = "time"\npoll_seconds = 2\nthem = 1\n'
        '[keys]\nsort = "o"\nfold = ["f5", "ctrl+u"]\nsrot = "x"\nmark = 3\ntag = "o"\npin = "not a key"\nfilter = "§"\n'
    )
    found = settings.load(file)
    assert (found.theme, found.ema, found.log_y, found.x, found.poll_seconds) == ("light", 0.0, False, "time", 2.0)
    assert found.keys["sort"] == ("o",)
    assert found.keys["fold"] == ("f5", "ctrl+u")
    assert set(found.keys) == {"sort", "fold", "filter"}
    text = "\n".join(found.problems)
    for part in (
        "ema is 1.5",
        "log_y is 1",
        "did you mean theme?",
        "did you mean sort?",
        "keys.mark is 3",
        "that of sort",
        "keys.pin",
    ):
        assert part in text
    assert len(found.problems) == 7


@pytest.mark.parametrize("text", ["theme = ", "\xff", 'keys = "o"'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tui.toml"
    file.write_bytes(text.encode("latin-1"))
    assert len(settings.load(file).problems) == 1


def test_a_key_given_away_is_no_longer_anyone_else_s() -> None:
    commands = {c.id: c for c in keys.remapped({"sort": ("q",)})}
    assert commands["sort"].keys == ("q",)
    assert commands["quit"].keys == ("ctrl+c",)
    assert commands["mark"].keys == ("space",)


def test_no_key_has_two_commands() -> None:
    every = [key for c in keys.COMMANDS for key in c.keys]
    assert len(every) == len(set(every))
    ids = [c.id for c in keys.COMMANDS]
    assert len(ids) == len(set(ids))
    assert set(keys.FOOTER) <= set(ids)


def test_the_keys_are_those_that_were_designed() -> None:
    written = {keys.shown(k) for c in keys.COMMANDS for k in c.keys}
    assert written >= {*"↑↓jkgGM/ftnpsSz[]←→+-0yxcdaXew?rPq12345678", "space", "↵", "esc", "tab", "F12", "^p"}
