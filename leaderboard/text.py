"""Rows as text: aligned for a terminal, Markdown, CSV, JSON and LaTeX."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from leaderboard.cells import (
    MISSING,
    ORACLE,
    differing_options,
    in_unit,
    interval_text,
    is_oracle,
    network,
    number_text,
    printable,
    spread_text,
)
from leaderboard.rows import Row
from leaderboard.rules import SHOWN, arrow, described
from leaderboard.seeds import SEED, seeds


def as_table(rows: Sequence[Row], shown: Sequence[str] = SHOWN, *, intervals: bool = False) -> str:
    """The rows as aligned plain text, for a terminal."""
    columns = _columns(rows, shown, intervals)
    if not columns:
        return "No runs."
    padded = []
    for column in columns:
        cells = [column.title, *column.cells]
        width = max(len(cell) for cell in cells)
        padded.append([c.rjust(width) if column.is_number else c.ljust(width) for c in cells])
    return "\n".join("  ".join(line).rstrip() for line in zip(*padded, strict=True))


def as_markdown(
    rows: Sequence[Row], shown: Sequence[str] = SHOWN, *, intervals: bool = False
) -> str:
    """The rows as a Markdown table, the best value of each metric bold."""
    columns = _columns(rows, shown, intervals)
    if not columns:
        return "No runs."
    texts = [
        [
            f"**{cell}**" if column.metric in row.best else markdown_text(cell)
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


def as_csv(rows: Sequence[Row], shown: Sequence[str] = SHOWN, *, intervals: bool = False) -> str:
    """The rows as CSV: plain metric names, per cent with four decimals, every column.

    `_low` and `_high` are the interval over frames, `_spread` the standard deviation over seeds;
    they are there whether `intervals` are asked for or not.
    """
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    numbers = [f"{m}{part}" for m in shown for part in ("", "_low", "_high", "_spread")]
    write(
        (
            *("place", "method", "network", "dataset", *numbers),
            *("seeds", "frames", "seconds", "flags", "options", "paper", "run"),
        )
    )
    for row in rows:
        run = row.run
        options = " ".join(f"{k}={v}" for k, v in run.options.items() if k != "network")
        write(
            [
                row.place or "",
                *(cell_text(t) for t in (run.method, network(run), run.dataset)),
                *("" if v is None else f"{v:.4f}" for m in shown for v in _numbers(row, m)),
                cell_text(" ".join(seeds(row.runs))),
                run.frames,
                f"{run.seconds:.3f}",
                *(cell_text(t) for t in (", ".join(run.flags), options, run.paper, run.id)),
            ]
        )
    return out.getvalue().removesuffix("\n")


def as_json(rows: Sequence[Row], shown: Sequence[str] = SHOWN, *, intervals: bool = False) -> str:
    """The rows as a JSON list of objects, metrics in per cent by name, missing ones absent.

    Intervals and spreads are there whether `intervals` are asked for or not.
    """
    objects = [
        {
            "dataset": row.run.dataset,
            "flags": list(row.run.flags),
            "frames": row.run.frames,
            "intervals": {
                m: {"low": low, "high": high, "level": row.run.intervals[m].level}
                for m in shown
                for _, low, high, _ in [_numbers(row, m)]
                if low is not None
            },
            "method": row.run.method,
            "metrics": {m: v for m in shown if (v := in_unit(row.run, m)) is not None},
            "options": dict(row.run.options),
            "paper": row.run.paper,
            "place": row.place,
            "run": row.run.id,
            "runs": [run.id for run in row.runs],
            "seconds": row.run.seconds,
            "seeds": [run.options[SEED] for run in row.runs if SEED in run.options],
            "spreads": {m: v for m in shown if (v := _numbers(row, m)[3]) is not None},
            "trained_on": list(row.run.trained_on),
            "undefined": dict(row.run.undefined),
        }
        for row in rows
    ]
    return json.dumps(objects, indent=2, sort_keys=True, ensure_ascii=False, default=str)


def as_latex(rows: Sequence[Row], shown: Sequence[str] = SHOWN, *, intervals: bool = False) -> str:
    """The rows as a LaTeX tabular (booktabs), best values bold, second best underlined.

    A method whose paper is on arXiv or has a DOI cites it; the entries for the bibliography
    follow as comments.
    """
    columns = _columns(rows, shown, intervals)
    keys = [citation_key(row.run.paper) for row in rows]
    lines = [
        [
            rf"\textbf{{{text}}}"
            if column.metric in row.best
            else rf"\underline{{{text}}}"
            if column.metric in row.second
            else rf"{text}~\cite{{{keys[index]}}}"
            if column.title == "method" and keys[index]
            else text
            for column in columns
            for text in [latex_text(column.cells[index])]
        ]
        for index, row in enumerate(rows)
    ]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{''.join('r' if c.is_number else 'l' for c in columns)}}}",
            r"\toprule",
            " & ".join(latex_text(column.title) for column in columns) + r" \\",
            r"\midrule",
            # Behind \\ a bracket or a star at the start of a line would be its argument.
            *(
                f"{'{}' if line[0][:1] in ('[', '*') else ''}{' & '.join(line)} \\\\"
                for line in lines
            ),
            r"\bottomrule",
            r"\end{tabular}",
            *(_bibliography_entry(key) for key in sorted({*keys} - {""})),
        ]
    )


def citation_key(paper: str) -> str:
    """The key under which LaTeX cites the address of a paper; "" where it has no plain name.

    >>> citation_key("https://arxiv.org/abs/1911.11132")
    'arXiv:1911.11132'
    """
    found = re.fullmatch(r"https?://arxiv\.org/(?:abs|pdf)/([\w.-]+?)(?:v\d+)?(?:\.pdf)?", paper)
    if found:
        return f"arXiv:{found[1]}"
    found = re.fullmatch(r"https?://(?:dx\.)?doi\.org/(10\.\d+/[\w.()/:;-]+)", paper)
    return f"doi:{found[1]}" if found else ""


class Format(Protocol):
    """Writes rows as text without a final line break, rates in per cent."""

    def __call__(
        self, rows: Sequence[Row], shown: Sequence[str] = SHOWN, *, intervals: bool = False
    ) -> str:
        """The rows with a column for each of `shown`; `intervals` over frames behind the values."""


FORMATS: Mapping[str, Format] = {
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


def _columns(rows: Sequence[Row], shown: Sequence[str], intervals: bool) -> list[_Column]:
    """The columns that hold anything, in the order in which they are read."""
    runs = [row.run for row in rows]
    metrics = [
        _Column(
            f"{metric}{ORACLE if is_oracle(runs, metric) else ''} {arrow(metric)}".rstrip(),
            tuple(_number_cell(row, metric, intervals) for row in rows),
            is_number=True,
            metric=metric,
        )
        for metric in shown
    ]
    columns = [
        _Column("method", tuple(printable(run.method) for run in runs)),
        _Column("network", tuple(printable(network(run)) for run in runs)),
        _Column("options", tuple(map(printable, differing_options(runs)))),
        _Column("dataset", tuple(printable(run.dataset) for run in runs)),
        *metrics,
        _Column(
            "seeds",
            tuple(str(len(row.runs)) if len(row.runs) > 1 else "" for row in rows),
            is_number=True,
        ),
        _Column("frames", tuple(str(run.frames) for run in runs), is_number=True),
        _Column(
            "seconds", tuple(f"{r.seconds:.1f}" if r.seconds else "" for r in runs), is_number=True
        ),
        _Column("flags", tuple(printable(", ".join(run.flags)) for run in runs)),
    ]
    return [c for c in columns if any(cell not in ("", MISSING) for cell in c.cells)]


def _number_cell(row: Row, metric: str, intervals: bool) -> str:
    """The value, of several seeds their mean and spread: `85.10 ± 0.31 [83.0, 87.2]`."""
    text = number_text(row.run, metric)
    if text == MISSING:
        return text
    parts = [text, spread_text(metric, row.spreads.get(metric))]
    if intervals:
        parts.append(interval_text(row.run, metric))
    return " ".join(filter(None, parts))


def _numbers(row: Row, metric: str) -> tuple[float | None, ...]:
    """Value, low and high end of the interval over frames, and spread over seeds; in its unit."""
    times = 100 if described(metric).unit == "%" else 1
    interval, spread = row.run.intervals.get(metric), row.spreads.get(metric)
    return (
        in_unit(row.run, metric),
        times * interval.low if interval else None,
        times * interval.high if interval else None,
        None if spread is None else times * spread,
    )


def _bibliography_entry(key: str) -> str:
    kind, _, name = key.partition(":")
    if kind == "arXiv":
        return f"% @misc{{{key}, eprint = {{{name}}}, archivePrefix = {{arXiv}}}}"
    return f"% @misc{{{key}, doi = {{{name}}}}}"


def markdown_text(text: str) -> str:
    """`text` such that Markdown shows every sign of it."""
    return "".join(f"\\{c}" if c in "\\`*[]<>|" else c for c in text)


def cell_text(text: str) -> str:
    """`text` such that a spreadsheet does not take it for a formula, or for several cells."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def latex_text(text: str) -> str:
    """`text` such that LaTeX shows every sign of it."""
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        ORACLE: r"\textsuperscript{\dag}",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        MISSING: "--",
        "±": r"$\pm$",
        "→": r"$\to$",
        **{c: f"\\{c}" for c in "&%$#_{}"},
    }
    return "".join(special.get(c, c) for c in text)
