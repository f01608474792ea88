from __future__ import annotations

import os
from pathlib import Path

from fierce_tools.tui import tail
from fierce_tools.tui.tail import Tail


def epochs(rows: list[dict[str, object]]) -> list[object]:
    return [row["epoch"] for row in rows]


def test_only_what_is_new_is_read_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    reader = Tail(path)
    assert reader.read() == ([], False, False)
    path.write_text('{"epoch": 1}\n{"epo')
    assert epochs(reader.read()[0]) == [1]
    assert reader.read() == ([], False, False)
    with open(path, "a") as file:
        file.write('ch": 2}\n{"epoch": 3}\n')
    assert epochs(reader.read()[0]) == [2, 3]


def test_what_is_no_object_is_left_out_and_what_is_not_finite_is_none(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(
        b'\n[1]\nnope\n\xff\xfe\n{"epoch": 1, "a": NaN, "b": -Infinity}\n' + b"[" * 5000 + b'\n{"epoch": 2}\n'
    )
    rows = Tail(path).read()[0]
    assert rows == [{"epoch": 1, "a": None, "b": None}, {"epoch": 2}]


def test_lines_that_are_whole_only_together_are_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"epoch": 1\n"a": 2}\n{"epoch": 3}\n')
    assert Tail(path).read()[0] == [{"epoch": 3}]


def test_a_file_made_anew_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    reader = Tail(path)
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n')
    reader.read()
    path.write_text('{"epoch": 1}\n')  # shorter
    assert reader.read() == ([{"epoch": 1}], True, False)
    other = tmp_path / "other"
    other.write_text('{"epoch": 1}\n{"epoch": 9}\n')
    os.replace(other, path)  # another file of that name, longer
    rows, anew, _ = reader.read()
    assert (epochs(rows), anew) == ([1, 9], True)
    with open(path, "r+") as file:  # the same file, cut and grown beyond where reading stopped
        file.truncate(0)
        file.write('{"epoch": 5}\n{"epoch": 6}\n{"epoch": 7}\n')
    rows, anew, _ = reader.read()
    assert (epochs(rows), anew) == ([5, 6, 7], True)
    path.unlink()
    assert reader.read() == ([], True, False)


def test_long_files_come_in_pieces_and_a_line_beyond_measure_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    line = '{"epoch": %d, "pad": "' + "x" * 1000 + '"}\n'
    path.write_text("".join(line % n for n in range(2500)) + "[" + "1," * tail.CHUNK + "\n" + line % 2500)
    reader, rows, rounds = Tail(path), [], 0
    while True:
        new, _, more = reader.read()
        rows += new
        rounds += 1
        if not more:
            break
    assert epochs(rows) == list(range(2501))
    assert rounds > 3
