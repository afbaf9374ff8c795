"""The conditions of a run as tables: a metric by corruption and severity, and all the means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.conditions import in_order, lines
from harness.types import Run
from leaderboard.cells import MISSING, network, number_text
from leaderboard.rows import Row
from leaderboard.rules import arrow, described
from leaderboard.rules import value as _value
from leaderboard.tabular import tabular
from leaderboard.text import FORMATS

HEATED = ("mIoU", "AP")
"""The metrics that have a table by corruption and severity."""
MEAN = "mean"


@dataclass(frozen=True)
class HeatTable:
    """One metric of a run: corruptions (or conditions) below each other, severities across."""

    metric: str
    columns: tuple[str, ...]  # severities, and MEAN over them; only MEAN where there are none
    rows: tuple[tuple[str, tuple["Heat", ...]], ...]  # (corruption, a cell for each column)


@dataclass(frozen=True)
class Heat:
    """One cell."""

    text: str  # in the metric's unit; a dash where it is not defined
    goodness: float | None  # 0 the worst cell of the table, 1 its best; None: no value


def heat_tables(run: Run) -> tuple[HeatTable, ...]:
    """A table for each of `HEATED` that was measured under the conditions of `run`."""
    return tuple(
        _heat_table(run, metric)
        for metric in HEATED
        if any(metric in found.metrics for found in run.conditions.values())
    )


def line_rows(run: Run, clean: Run | None = None) -> tuple[Row, ...]:
    """A row for each line of the report on `run`, named by its data set and the line's title."""
    return tuple(Row(one, runs=(one,)) for _, one in _lines(run, clean))


def report(run: Run, form: str, shown: Sequence[str], clean: Run | None = None) -> str:
    """The tables of `run`, which has conditions, as text.

    Args:
        run: the run.
        form: table, markdown or latex.
        shown: the metrics that have a column in the last table.
        clean: the same method on the clean images; None: no degradation is told.
    """
    parts = []
    for table in heat_tables(run):
        title = f"{run.dataset}, {' '.join((run.method, network(run))).strip()}"
        parts += [f"{title}: {table.metric} {arrow(table.metric)}, %", _text(table, form)]
    rows = [Row(one, runs=(one,)) for kind, one in _lines(run, clean) if kind != "condition"]
    if not any("/" in name for name in run.conditions):
        rows = list(line_rows(run, clean))
    return "\n\n".join([*parts, FORMATS[form](rows, shown)])


def _lines(run: Run, clean: Run | None) -> list[tuple[str, Run]]:
    """(kind, the run as if it had only the numbers of the line) of each line of the report."""
    return [
        (
            line.kind,
            replace(
                run,
                dataset=f"{run.dataset} {line.title}",
                metrics=line.found.metrics,
                undefined=line.found.undefined,
                intervals={},
                conditions={},
                seconds=0.0,
            ),
        )
        for line in lines(run, clean)
    ]


def _heat_table(run: Run, metric: str) -> HeatTable:
    found = lines(run)
    by_title = {line.title: replace(run, metrics=line.found.metrics) for line in found}
    own_mean = next(line.title for line in found if line.kind == "mean")
    conditions = [name.partition("/") for name in in_order(run.conditions)]
    severities = sorted({severity for _, _, severity in conditions if severity})
    means = [MEAN] if len(severities) > 1 else []
    rows = {
        name: [*(f"{name} {severity}" for severity in severities), *(name for _ in means)] or [name]
        for name, _, _ in conditions
    }
    if len(rows) > 1:
        rows[own_mean] = [*(f"severity {one}" for one in severities if means), own_mean]
    values = {title: _value(by_title[title], metric) for row in rows.values() for title in row}
    there = [value for value in values.values() if value is not None]
    low, high = min(there), max(there)
    up = described(metric).higher_is_better is not False

    def cell(title: str) -> Heat:
        value = values[title]
        if value is None:
            return Heat(MISSING, None)
        part = (value - low) / (high - low) if high > low else 1.0
        return Heat(number_text(by_title[title], metric), part if up else 1 - part)

    return HeatTable(
        metric,
        (*severities, *means) or (MEAN,),
        tuple((name, tuple(map(cell, row))) for name, row in rows.items()),
    )


def _text(table: HeatTable, form: str) -> str:
    grid = [("", *table.columns), *((name, *(c.text for c in cells)) for name, cells in table.rows)]
    return tabular(grid, form, numeric=[False, *(True for _ in table.columns)])
