"""The meta classification of a run as a small table, for the terminal and the pages."""

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.meta_report import BY_FRAMES, PUBLISHED, MetaReport, Removal, load_reports
from harness.types import Run
from leaderboard.cells import ORACLE, printable
from leaderboard.tabular import tabular
from leaderboard.text import cell_text

BADGE = "oracle, not ranked"
RATES = ("auroc", "ap", "accuracy")
COLUMNS = {
    "meta classifier": "how it was fitted",
    "AUROC ↑": "of telling false segments from others, in per cent",
    "AP ↑": "false segments being the positives, in per cent",
    "accuracy ↑": "of all segments, how many are removed or kept rightly, in per cent",
    "FP": "segments on no labelled object, before and after removal",
    "TP removed": "segments on an object that are removed by mistake",
    "FN": "objects without a predicted pixel, before and after removal",
    "released FP": "what the released code calls false positives after removal",
}
"""What each column says, in order."""
NOTES = (
    f"{ORACLE} oracle: learned from the evaluated labels, and never ranked.",
    "FP: segments on no labelled object; FN: objects without a predicted pixel; before → after. "
    "As false positives after removal the released code counts true segments that were removed.",
)


@dataclass(frozen=True)
class MetaTable:
    """One report as it is shown."""

    title: str
    about: str  # which segments
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # a cell for each column
    notes: tuple[str, ...]
    badge: str  # "" where nothing is an oracle's


def meta_tables(root: Path, run: Run) -> tuple[MetaTable, ...]:
    """A table for each report that lies beside `run`; damaged ones are left out."""
    return tuple(
        meta_table(report) for report in load_reports(root, run, damaged=lambda error: None)
    )


def meta_table(report: MetaReport) -> MetaTable:
    """The report as it is shown."""
    oracle = any(each.oracle for each in report.removals)
    about = (
        f"{report.segments:,} segments of score ≥ {report.threshold:g}, {report.objects:,} objects,"
        f" {report.frames:,} frames, {printable(report.classifier)}"
    )
    return MetaTable(
        "Meta classification",
        about,
        tuple(COLUMNS),
        tuple(_cells(each, report) for each in report.removals),
        NOTES if oracle else NOTES[1:],
        BADGE if oracle else "",
    )


def formatted_report(report: MetaReport, form: str = "table") -> str:
    """The report as text without a final line break; rates in per cent.

    Args:
        report: what is written.
        form: table (aligned text), markdown, csv, json or latex (booktabs).
    """
    if form in ("csv", "json"):
        return _as_data(report, form)
    table = meta_table(report)
    lines = [table.columns, *table.rows]
    text = tabular(lines, form, numeric=[False, *(True for _ in table.columns[1:])])
    return f"{table.title}: {table.about}\n{text}" if form == "table" else text


def _cells(removal: Removal, report: MetaReport) -> tuple[str, ...]:
    return (
        _name(removal, report) + (ORACLE if removal.oracle else ""),
        *(f"{100 * getattr(removal, rate):.2f}" for rate in RATES),
        f"{removal.fp_before:,} → {removal.fp_remaining:,}",
        f"{removal.tp_removed:,}",
        f"{removal.fn_before:,} → {removal.fn_after:,}",
        f"{removal.fp_after_as_released:,}",
    )


def _name(removal: Removal, report: MetaReport) -> str:
    if removal.protocol == PUBLISHED:
        return "leave one out, as published"
    if removal.protocol == BY_FRAMES:
        return f"leave frames out, {min(report.folds, report.frames)} folds"
    return printable(f"fitted on {', '.join(removal.learned_from) or 'unknown data'}")


def _as_data(report: MetaReport, form: str) -> str:
    objects = [_facts(each, report) for each in report.removals]
    if form == "json":
        return json.dumps(objects, indent=2, sort_keys=True, ensure_ascii=False)
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(objects[0])
    for one in objects:
        rates = {name: f"{one[name]:.4f}" for name in RATES}
        listed = {"learned_from": " ".join(one["learned_from"])}
        values = {**one, **listed, **rates}.values()
        write([cell_text(value) if isinstance(value, str) else value for value in values])
    return out.getvalue().removesuffix("\n")


def _facts(removal: Removal, report: MetaReport) -> dict[str, Any]:
    """One line of the report with all that it is about, rates in per cent."""
    about = ("dataset", "run", "method", "threshold", "classifier", "folds", "seed")
    counted = ("frames", "segments", "objects")
    return {
        **{name: getattr(report, name) for name in about},
        **{name: getattr(report, name) for name in counted},
        **asdict(removal),
        **{name: 100 * getattr(removal, name) for name in RATES},
    }
