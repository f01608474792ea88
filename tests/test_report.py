from __future__ import annotations

import json

from fierce_tools.report import Bars, Heat, Images, Lines, Points, Report, Scalars, Series, Table, combine, from_dict

LINE = Series("a reference", (0.0, 1.0), (1.0, 2.0))


def report(value: float) -> Report:
    blocks = (
        Scalars("figures", {"x": value}, {"x": "nats"}),
        Table("rows", ("k", "v"), (("one", value),)),
        Lines("curve", "T", "nats", (Series("mean", (1.0, 2.0), (value, None)), LINE)),
        Points("cloud", "x", "y", (Series("cat", (1.0,), (value,), (0.5,), (1.5,)),)),
        Bars("bars", ("a",), (value,)),
        Heat("heat", ("r",), ("c",), ((value,),)),
        Images("pictures", (4, 2), ("four", "two")),
    )
    return Report("all", blocks, ("a note",))


def test_a_report_survives_json() -> None:
    assert from_dict(json.loads(json.dumps(report(0.5).to_dict()))) == report(0.5)


def test_one_report_is_itself() -> None:
    assert combine({"run": report(1.0)}) == report(1.0)


def test_several_stand_side_by_side() -> None:
    both = combine({"r1": report(1.0), "r2": report(2.0)})
    figures, rows, curve, cloud, *rest = both.blocks
    assert figures == Table("figures", ("source", "x (nats)"), (("r1", 1.0), ("r2", 2.0)))
    assert rows == Table("rows", ("source", "k", "v"), (("r1", "one", 1.0), ("r2", "one", 2.0)))
    assert isinstance(curve, Lines)
    assert [s.label for s in curve.series] == ["r1 mean", "a reference", "r2 mean"]
    assert isinstance(cloud, Points)
    assert [s.label for s in cloud.series] == ["r1", "r2"]
    assert [b.title for b in rest] == ["r1: bars", "r2: bars", "r1: heat", "r2: heat", "r1: pictures", "r2: pictures"]
    assert both.notes == ("a note",)


def test_a_block_that_one_lacks_is_kept() -> None:
    short = Report("all", report(1.0).blocks[:1])
    titles = [b.title for b in combine({"r1": short, "r2": report(2.0)}).blocks]
    assert titles == ["figures", "rows", "curve", "cloud", "r2: bars", "r2: heat", "r2: pictures"]
