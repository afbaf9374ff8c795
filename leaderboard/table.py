"""Runs as the rows of a table, in the order of their ranks, and the table as text."""

from collections.abc import Iterable, Sequence

from harness.errors import unknown_name
from harness.types import Run
from leaderboard.cells import (
    MISSING,
    columns,
    differing_options,
    in_unit,
    options_shown,
    printable,
)
from leaderboard.ranks import SHOWN, Row, Rule, boards
from leaderboard.text import FORMATS

__all__ = [
    "FORMATS",
    "MISSING",
    "columns",
    "differing_options",
    "formatted",
    "in_unit",
    "options_shown",
    "printable",
    "rows",
]


def rows(
    runs: Iterable[Run], *, shown: Sequence[str] = SHOWN, rule: Rule | None = None
) -> tuple[Row, ...]:
    """The rows by data set: ranked ones first, best first, those with a flag last.

    Runs that are equal but for their seed are one row. `rule` None: the mean rank over the pixel
    family.
    """
    return tuple(
        row
        for board in boards(runs, shown=shown, rule=rule or Rule())
        for part in (*(group.rows for group in board.groups), board.unranked)
        for row in part
    )


def formatted(
    runs: Iterable[Run],
    format: str = "table",
    *,
    shown: Sequence[str] = SHOWN,
    rule: Rule | None = None,
    intervals: bool = False,
) -> str:
    """The rows of `runs` as text without a final line break; rates in per cent.

    Args:
        runs: in any order.
        format: table (aligned text), markdown, csv, json or latex (booktabs).
        shown: the metrics that have a column.
        rule: makes the order; None: the mean rank over the pixel family.
        intervals: over frames, behind the values; csv and json always have them.

    Raises:
        UnknownName: no such format or metric.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    return FORMATS[format](rows(runs, shown=shown, rule=rule), shown, intervals=intervals)
