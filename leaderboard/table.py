"""Runs as the rows of a table, in the order of their ranks, and the table as text."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from harness.data import DATASETS
from harness.errors import unknown_name
from harness.metrics import FAMILIES, METRICS, OFFICIAL
from harness.metrics.flavours import FLAVOURS
from harness.types import Run
from leaderboard.ranks import SHOWN, Row, arrow, boards, described, value

MISSING = "–"


def rows(runs: Iterable[Run], *, shown: Sequence[str] = SHOWN) -> tuple[Row, ...]:
    """One row per run: by data set, ranked rows first, best first, rows with a flag last."""
    return tuple(
        row
        for board in boards(runs, shown=shown)
        for part in (*(group.rows for group in board.groups), board.unranked)
        for row in part
    )


def options_shown(run: Run) -> dict[str, Any]:
    """The run's options, files named without the folder that they lay in on one machine."""
    return {
        key: PurePath(option).name if _is_path(option) else option
        for key, option in run.options.items()
    }


def differing_options(runs: Sequence[Run]) -> list[str]:
    """Per run, the options that tell it from its method's other runs, as `key=value`.

    Compared are runs with equal method, network and data set; "" where the names say it all.
    """
    # Values may be lists, so they are compared as text.
    values: dict[tuple[str, ...], set[str]] = {}
    for run in runs:
        for key, option in run.options.items():
            values.setdefault((*_named(run), key), set()).add(repr(option))
    return [
        ", ".join(
            f"{key}={option}"
            for key, option in options_shown(run).items()
            if option not in ("", None) and len(values[(*_named(run), key)]) > 1
        )
        for run in runs
    ]


def columns(runs: Iterable[Run], metrics: str = "official", *, flavours: bool = False) -> list[str]:
    """The names of the metrics that a table of `runs` shows.

    Args:
        runs: decide which metrics there are.
        metrics: "official" (those of the data sets' protocols), "all" (every one that some run
            has), or names with commas between.
        flavours: published variants too, behind the metrics.

    Raises:
        UnknownName: no metric is called so.
    """
    runs = list(runs)
    there = {name for run in runs for name in run.metrics}
    if metrics == "all":
        chosen = [name for name in METRICS if name in there]
    elif metrics == "official":
        families = {"pixel"}.union(
            *(DATASETS[r.dataset].metric_families for r in runs if r.dataset in DATASETS)
        )
        chosen = [name for family in FAMILIES if family in families for name in OFFICIAL[family]]
    else:
        chosen = [name.strip() for name in metrics.split(",") if name.strip()]
        for name in chosen:
            described(name)
    return [*chosen, *(name for name in FLAVOURS if flavours and name in there)]


def formatted(runs: Iterable[Run], format: str = "table", *, shown: Sequence[str] = SHOWN) -> str:
    """The rows of `runs` as text without a final line break; rates in per cent.

    Args:
        runs: in any order.
        format: table (aligned text), markdown, csv, json or latex (booktabs).
        shown: the metrics that have a column.

    Raises:
        UnknownName: no such format or metric.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    return FORMATS[format](rows(runs, shown=shown), shown)


def as_table(rows: Sequence[Row], shown: Sequence[str] = SHOWN) -> str:
    """The rows as aligned plain text, for a terminal."""
    columns = _columns(rows, shown)
    if not columns:
        return "No runs."
    padded = []
    for column in columns:
        cells = [column.title, *column.cells]
        width = max(len(cell) for cell in cells)
        padded.append([c.rjust(width) if column.is_number else c.ljust(width) for c in cells])
    return "\n".join("  ".join(line).rstrip() for line in zip(*padded, strict=True))


def as_markdown(rows: Sequence[Row], shown: Sequence[str] = SHOWN) -> str:
    """The rows as a Markdown table, the best value of each metric bold."""
    columns = _columns(rows, shown)
    if not columns:
        return "No runs."
    texts = [
        [
            f"**{cell}**" if column.metric in row.best else _markdown_text(cell)
            for cell, row in zip(column.cells, rows, strict=True)
        ]
        for column in columns
    ]
    lines = [
        [column.title for column in columns],
        ["---:" if column.is_number else "---" for column in columns],
        *zip(*texts, strict=True),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_csv(rows: Sequence[Row], shown: Sequence[str] = SHOWN) -> str:
    """The rows as CSV: plain metric names, per cent with four decimals, every column."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["method", "network", "dataset", *shown, "frames", "seconds", "flags", "options", "run"])
    for row in rows:
        run = row.run
        values = [in_unit(run, metric) for metric in shown]
        options = " ".join(f"{k}={v}" for k, v in run.options.items() if k != "network")
        write(
            [
                *(_cell_text(t) for t in (run.method, _network(run), run.dataset)),
                *("" if v is None else f"{v:.4f}" for v in values),
                run.frames,
                f"{run.seconds:.3f}",
                *(_cell_text(t) for t in (", ".join(run.flags), options, run.id)),
            ]
        )
    return out.getvalue().removesuffix("\n")


def as_json(rows: Sequence[Row], shown: Sequence[str] = SHOWN) -> str:
    """The rows as a JSON list of objects, metrics in per cent by name, missing ones absent."""
    objects = [
        {
            "dataset": row.run.dataset,
            "flags": list(row.run.flags),
            "frames": row.run.frames,
            "method": row.run.method,
            "metrics": {m: v for m in shown if (v := in_unit(row.run, m)) is not None},
            "options": dict(row.run.options),
            "run": row.run.id,
            "seconds": row.run.seconds,
            "undefined": dict(row.run.undefined),
        }
        for row in rows
    ]
    return json.dumps(objects, indent=2, sort_keys=True, ensure_ascii=False, default=str)


def as_latex(rows: Sequence[Row], shown: Sequence[str] = SHOWN) -> str:
    """The rows as a LaTeX tabular (booktabs), best values bold, second best underlined."""
    columns = _columns(rows, shown)
    lines = [
        [
            rf"\textbf{{{text}}}"
            if column.metric in row.best
            else rf"\underline{{{text}}}"
            if column.metric in row.second
            else text
            for column in columns
            for text in [_latex_text(column.cells[index])]
        ]
        for index, row in enumerate(rows)
    ]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{''.join('r' if c.is_number else 'l' for c in columns)}}}",
            r"\toprule",
            " & ".join(_latex_text(column.title) for column in columns) + r" \\",
            r"\midrule",
            *(" & ".join(line) + r" \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


FORMATS: Mapping[str, Callable[[Sequence[Row], Sequence[str]], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
    "latex": as_latex,
}


@dataclass(frozen=True)
class _Column:
    title: str
    cells: tuple[str, ...]
    is_number: bool = False
    metric: str = ""


def _columns(rows: Sequence[Row], shown: Sequence[str]) -> list[_Column]:
    """The columns that hold anything, in the order in which they are read."""
    runs = [row.run for row in rows]
    metrics = [
        _Column(
            f"{metric} {arrow(metric)}",
            tuple(_number(run, metric) for run in runs),
            is_number=True,
            metric=metric,
        )
        for metric in shown
    ]
    columns = [
        _Column("method", tuple(printable(run.method) for run in runs)),
        _Column("network", tuple(printable(_network(run)) for run in runs)),
        _Column("options", tuple(map(printable, differing_options(runs)))),
        _Column("dataset", tuple(printable(run.dataset) for run in runs)),
        *metrics,
        _Column("frames", tuple(str(run.frames) for run in runs), is_number=True),
        _Column(
            "seconds", tuple(f"{r.seconds:.1f}" if r.seconds else "" for r in runs), is_number=True
        ),
        _Column("flags", tuple(printable(", ".join(run.flags)) for run in runs)),
    ]
    return [c for c in columns if any(cell not in ("", MISSING) for cell in c.cells)]


def _named(run: Run) -> tuple[str, ...]:
    return run.method, _network(run), run.dataset


def _network(run: Run) -> str:
    return str(run.options.get("network") or "")


def _is_path(option: Any) -> bool:
    return isinstance(option, str) and bool(re.match(r"([~.]|\.\.|[A-Za-z]:)?[/\\]", option))


def in_unit(run: Run, metric: str) -> float | None:
    """The run's value of `metric` in the unit that it is printed in; None where it has none."""
    found = value(run, metric)
    return 100 * found if found is not None and described(metric).unit == "%" else found


def _number(run: Run, metric: str) -> str:
    found = in_unit(run, metric)
    if found is None:
        return MISSING
    # Counts and thresholds stand as they are, rates with two decimals.
    return f"{found:.2f}" if described(metric).unit == "%" else f"{found:.6g}"


def printable(text: str) -> str:
    """`text` without control and direction marks, which could forge other lines or cells."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _markdown_text(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*[]<>|" else c for c in text)


def _cell_text(text: str) -> str:
    """`text` such that a spreadsheet does not take it for a formula."""
    return f"'{text}" if text[:1] in tuple("=+-@\t\r") else text


def _latex_text(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        MISSING: "--",
        **{c: f"\\{c}" for c in "&%$#_{}"},
    }
    return "".join(special.get(c, c) for c in text)
