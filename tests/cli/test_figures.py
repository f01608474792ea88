"""Figures in files: whole, the same each time, with gaps where values are missing; and what is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from fierce_tools.cli import figures, main
from fierce_tools.errors import UsageError
from fierce_tools.report import Bars, Block, Heat, Images, Lines, Points, Report, Scalars, Series, Table

NAMES = ("airplane", "bird", "cat")
LINES = Lines(
    "Curve", "temperature", "nats",
    (
        Series("first", (1, 2, 3, 4), (0.1, None, 0.3, 0.4), (0, None, 0.2, 0.3), (0.2, None, 0.4, 0.5)),
        Series("best", (2,), (0.2,)),
        Series("second", (0, 1, 2, 3), (0.0, math.inf, 0.5, 0.6)),
    ),
    log_x=True, log_y=True,
)  # fmt: skip
POINTS = Points("Clusters", "u", "v", (Series("a", (1, 2), (1, 2)), Series("b", (3, 4), (None, 4))))
BARS = Bars("Shares", NAMES, (0.1, None, -0.3), "share")
HEAT = Heat("Confusion", NAMES, NAMES, ((8, 1, 0), (2, None, 3), (0, 0, 9)))
PLAIN = (Scalars("Numbers", {"a": 1}), Table("Table", ("x",), ((1,),)))
IMAGES = Images("Pictures", (1,), ("cat",))
ALL = Report("Everything", (*PLAIN, LINES, POINTS, BARS, HEAT, IMAGES))


@pytest.mark.parametrize(
    ("ending", "start"),
    [
        ("png", b"\x89PNG\r\n"),
        ("svg", b"<?xml"),
        pytest.param("pdf", b"%PDF-", marks=pytest.mark.slow),
        pytest.param("PNG", b"\x89PNG", marks=pytest.mark.slow),
    ],
)
def test_each_kind_is_written_whole_and_the_same_each_time(tmp_path: Path, ending: str, start: bytes) -> None:
    path = tmp_path / "new" / f"figure.{ending}"
    assert figures.save(ALL, path) == ["Pictures"]
    first = path.read_bytes()
    assert first.startswith(start)
    figures.save(ALL, path)
    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_every_title_label_and_name_is_in_the_figure(tmp_path: Path) -> None:
    figures.save(ALL, tmp_path / "figure.svg")
    words = {
        "".join(e.itertext()).strip()
        for e in ElementTree.parse(tmp_path / "figure.svg").iter("{http://www.w3.org/2000/svg}text")
    }
    expected = {
        "Curve",
        "temperature",
        "nats",
        "first",
        "best",
        "second",
        "Clusters",
        "u",
        "v",
        "a",
        "b",
        "Shares",
        "share",
    }
    assert expected | {"Confusion", *NAMES, "8", "9"} <= words
    assert not {"Numbers", "Table", "Pictures", "nan", "None"} & words


def axes(block: Block):
    from matplotlib.figure import Figure

    figure = Figure()
    made = figure.add_subplot()
    figures._draw(figure, made, block)
    return made


def test_missing_values_are_gaps_and_legends_lie_outside() -> None:
    made = axes(LINES)
    first, best, second = made.get_lines()
    np.testing.assert_array_equal(first.get_ydata(), [0.1, np.nan, 0.3, 0.4])
    np.testing.assert_array_equal(second.get_ydata(), [0, np.nan, 0.5, 0.6])
    assert (made.get_xscale(), made.get_yscale()) == ("log", "log")
    assert best.get_linestyle() == "None"
    assert best.get_color() == first.get_color() != second.get_color()
    made.figure.canvas.draw()
    legend = made.get_legend().get_window_extent()
    assert legend.y1 < made.get_window_extent().y0


def test_series_differ_without_colour() -> None:
    many = Lines("Many", "x", "y", tuple(Series(str(i), (1, 2, 3), (i, i, i)) for i in range(20)))
    for block in (many, Points("Many", "x", "y", many.series)):
        looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes(block).get_lines()}
        assert len(looks) == 20


def test_a_heat_with_both_signs_is_white_at_nought() -> None:
    picture = axes(Heat("Signed", ("a",), ("b", "c"), ((-1, 3),))).get_images()[0]
    assert picture.get_clim() == (-3, 3)
    assert axes(HEAT).get_images()[0].get_clim() == (0, 9)
    assert [t.get_text() for t in axes(HEAT).texts] == ["8", "1", "0", "2", "3", "0", "0", "9"]


def test_one_value_everywhere_can_be_drawn(tmp_path: Path) -> None:
    flat = (
        Lines("Flat", "x", "y", (Series("", (1, 1), (2, 2)),), log_x=True),
        Lines("Nothing to log", "x", "y", (Series("", (-1, 0), (-2, 0)),), log_x=True, log_y=True),
        Heat("Flat", ("a",), ("b",), ((0,),)),
        Bars("Flat", ("a",), (0,)),
        Heat("Wide", ("a",), tuple(map(str, range(300))), (tuple(range(300)),)),
    )
    figures.save(Report("Flat", flat), tmp_path / "flat.png")


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    path = tmp_path / "figure.png"
    path.write_text("old")

    def fail(self: Figure, target: Path, **_: object) -> None:
        Path(target).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        figures.save(ALL, path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]


@pytest.mark.parametrize("name", ["figure.jpg", "figure", "figure.png.txt"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.pdf"):
        figures.save(ALL, tmp_path / name)


def test_reports_without_charts_are_refused(tmp_path: Path) -> None:
    nothing = Lines("Nothing", "x", "y", (Series("", (1,), (math.nan,)),))
    for blocks in (PLAIN, (IMAGES,), (nothing,), (Heat("", ("a",), ("b",), ((None,),)),)):
        with pytest.raises(UsageError, match="has no charts"):
            figures.save(Report("Empty", blocks), tmp_path / "figure.png")


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'fierce-tools\[figures\]'"):
        figures.check(tmp_path / "figure.png")


@pytest.mark.slow
def test_no_window_system_no_pyplot_and_settings_as_they_were(tmp_path: Path) -> None:
    program = (
        "import sys, matplotlib\n"
        "from pathlib import Path\n"
        "from fierce_tools.cli import figures\n"
        "from fierce_tools.report import Lines, Report, Series\n"
        "before = matplotlib.rcParams.copy()\n"
        "lines = Lines('', '', '', (Series('', (1, 2), (1, 2)),))\n"
        f"figures.save(Report('', (lines,)), Path({str(tmp_path)!r}) / 'a.pdf')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert before == matplotlib.rcParams.copy()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "arrays.npz", logits=rng.normal(size=(60, 3)).astype(np.float32), labels=np.arange(60) % 3)
    return tmp_path / "arrays.npz"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert isinstance(code, int)
    return code


def test_the_command_draws_and_still_answers(arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figure.png"
    command = ["analyze", "calibration", str(arrays), "--cross-fit", "2", "--bootstrap", "0", "--save", str(path)]
    assert run(*command, "--format", "json") == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["analysis"] == "calibration"
    assert out.err == f"drawn: {path}\n"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_command_refuses_before_it_computes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("analyze", "calibration", str(tmp_path / "absent.npz"), "--save", "figure.jpg") == 2
    assert "nothing is saved as .jpg" in capsys.readouterr().err
