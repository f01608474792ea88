"""`fierce runs`: what was trained, as a table; `fierce runs show NAME`: one run."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Any

import typer

from fierce_tools import files, query, runs
from fierce_tools.cli import text
from fierce_tools.cli.options import Format, RunsDir
from fierce_tools.drawn.cells import show as show_cell
from fierce_tools.drawn.cells import show_age
from fierce_tools.menu import unknown

HEADS = {"dataset": "data", "ece": "ECE", "entropy": "H(T=9)"}
# Left out one after another where a terminal is narrow.
SPARE = ("ece", "entropy", "dataset", "model", "loss", "last", "teacher", "age")
COLUMNS = ("name", "loss", "model", "dataset", "teacher", "epoch", "best", "last", "ece", "entropy", "state", "age")
# Of training, beside validation's of the same name.
TRAINING = ("train_accuracy", "train_target_accuracy")
KEYS = (*COLUMNS, "seed", "epochs", "group", "tag", "tags", "acc", "accuracy", "error")


def table(
    ctx: typer.Context,
    sort: Annotated[
        str, typer.Option("--sort", metavar="COLUMN", help=f"{', '.join(COLUMNS)}; a leading hyphen reverses.")
    ] = "age",
    filter: Annotated[
        str,
        typer.Option(
            "--filter", metavar="TERMS", help="Such as 'loss:fierce best>0.9 -mnist | tag:keep'.", show_default=False
        ),
    ] = "",
    runs_dir: RunsDir = None,
    format: Format = "text",
) -> None:
    """List the runs there are: how far, how good on validation, in which state.

    best and last are validation accuracies; ECE and the soft-label entropy at T=9 (nats) are those of the last epoch.
    """
    if ctx.invoked_subcommand is not None:
        return
    root = runs.folder(runs_dir)
    rows = [runs.summary(run) for run in runs.listing(root)]
    chosen = _sorted([row for row in rows if _matches(filter, row)], sort)
    if format == "json":
        text.print_json(chosen)
        return
    shown = _fitting(chosen)
    cells = [[_cell(name, row) for name in shown] for row in chosen]
    text.print_table("", [HEADS.get(name, name) for name in shown], cells)
    text.say(
        f"{len(chosen)} of {len(rows)} runs in {root}"
        if rows
        else f"no runs in {root.resolve()}; `fierce train` makes one"
    )


def _matches(filter: str, row: dict[str, Any]) -> bool:
    parsed = query.parse(filter)
    for term in (t for terms in parsed for t in terms):
        if term.key and term.key not in KEYS:
            raise unknown("column in --filter:", term.key, KEYS)
    return query.matches(parsed, runs.searchable(row))


def _sorted(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    key = sort.removeprefix("-").lower()
    if key not in COLUMNS:
        raise unknown("column in --sort:", key, COLUMNS)
    there = [r for r in rows if r[key] is not None]
    numeric = all(isinstance(r[key], int | float) for r in there)
    ordered = sorted(there, key=lambda r: r[key] if numeric else str(r[key]), reverse=sort.startswith("-"))
    return ordered + [r for r in rows if r[key] is None]


def _fitting(rows: list[dict[str, Any]]) -> list[str]:
    """The columns there is room for, names whole; teachers where there are any."""
    shown = [name for name in COLUMNS if name != "teacher" or any(row["teacher"] for row in rows)]
    if not sys.stdout.isatty():
        return shown
    wide = {n: max([len(HEADS.get(n, n)), *(len(show_cell(_cell(n, r))) for r in rows)]) + 2 for n in COLUMNS}
    for name in [n for n in SPARE if n in shown]:
        if sum(wide[n] for n in shown) <= text.width():
            break
        shown.remove(name)
    return shown


def _cell(name: str, row: dict[str, Any]) -> str | int | float | None:
    if name == "epoch":
        return f"{row['epoch']}/{row['epochs']}" if row["epochs"] is not None else str(row["epoch"])
    if name == "age":
        return show_age(row["age"])
    return row[name]


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A run's name or folder.")],
    runs_dir: RunsDir = None,
    format: Format = "text",
) -> None:
    """Show one run: its recipe, command, versions, files and figures."""
    from fierce_tools import sources

    run = runs.find(name, runs.folder(runs_dir))
    info, summary, metrics = run.info(), runs.summary(run), run.metrics()
    listing = sorted(p for p in run.path.rglob("*") if p.is_file() and not p.name.startswith("."))
    sizes = {str(p.relative_to(run.path)): p.stat().st_size for p in listing}
    header: dict[str, Any] = {}
    lineage = [run.name, *runs.lineage(run)]
    if run.model_path.exists():
        tensors, document = files.read_header(run.model_path)
        header = {"tensors": {n: list(shape) for n, (_, shape) in tensors.items()}, **(document or {})}
    if format == "json":
        text.print_json(
            {
                "summary": summary,
                "info": info,
                "lineage": lineage,
                "recipe": run.recipe().as_dict(),
                "files": sizes,
                "checkpoint": header,
                "metrics": metrics,
            }
        )
        return
    facts = {
        "run": run.path,
        "state": summary["state"],
        "error": summary["error"],
        "warning": "; ".join(runs.remarks(metrics[-1] if metrics else {})),
        "command": shlex.join(map(str, info["command"])) if isinstance(info.get("command"), list) else None,
        "device": info.get("device"),
        "started": info.get("started"),
        "finished": info.get("finished"),
        "versions": ", ".join(f"{k} {v}" for k, v in info.get("versions", {}).items()),
        "trained on": sources.TRAINED_ON[sources.trained_on(header)] if header else None,
        "content": header.get("content_sha256"),
        "data": "; ".join(runs.data_notes(info)),
        "group": summary["group"],
        "peers": ", ".join(map(str, summary["peers"] or ())),
        "formula": info.get("formula"),
        "teacher": "; ".join(f"{t['path']} (content {t['sha256'][:12]}…)" for t in runs.teachers(info)),
        "teacher outputs": info.get("teacher_outputs"),
        "lineage": " ← ".join(lineage) if len(lineage) > 1 else None,
    }
    text.facts({key: value for key, value in facts.items() if value})
    print("\n" + run.recipe().to_toml())
    if metrics:
        shown = [k for k in metrics[-1] if k not in ("step",)]
        picked = metrics if len(metrics) <= 10 else [*metrics[:3], *metrics[-5:]]
        keep = [
            k
            for k in (
                "epoch",
                "train_loss",
                "val_loss",
                "val_accuracy",
                "val_target_accuracy",
                *TRAINING,
                "val_nll",
                "val_ece",
                "val_entropy_t9",
                "val_feature_entropy",
                "train_exchanged",
                "train_exchanged_wrong",
            )
            if k in shown
        ]
        text.print_table(
            "",
            [k if k.endswith("_loss") or k in TRAINING else k.partition("_")[2] or k for k in keep],
            [[row.get(k) for k in keep] for row in picked],
        )
    for path, size in sizes.items():
        print(f"{size:>12,}  {path}")
