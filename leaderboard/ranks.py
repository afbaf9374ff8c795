"""Who is better than whom: runs on boards of comparable runs, ranked, and over all data sets."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from harness.errors import unknown_name
from harness.metrics import METRICS, Metric
from harness.metrics.flavours import FLAVOURS, Flavour
from harness.types import Run

RANKING = ("AP", "AUROC", "FPR95")
"""The metrics that make ranks: the pixel family. Oracle and descriptive metrics never rank."""

SHOWN = (*RANKING, "bestF1")
"""The metrics that have a column unless others are asked for."""


def described(metric: str) -> Metric | Flavour:
    """What is known of the metric or flavour called `metric`: title, unit, direction.

    Raises:
        UnknownName: there is none.
    """
    found = METRICS.get(metric) or FLAVOURS.get(metric)
    if found is None:
        raise unknown_name("metric", metric, [*METRICS, *FLAVOURS])
    return found


@dataclass(frozen=True)
class Row:
    """One run with its standing among the runs that it may be compared with."""

    run: Run
    ranks: Mapping[str, int] = field(default_factory=dict)  # by ranking metric; ties share a rank
    mean_rank: float | None = None  # None: not ranked, or a ranking metric is missing
    place: int | None = None  # rank of the mean rank
    best: frozenset[str] = frozenset()  # metrics in which no comparable run is better
    second: frozenset[str] = frozenset()  # metrics in which exactly one is


@dataclass(frozen=True)
class Group:
    """Ranked rows that may be compared: equal data, metric version and protocol. Best first."""

    dataset: str
    fingerprint: str
    metric_version: str
    protocol: str  # "" is the data set's own
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Board:
    """Everything that was run on one data set."""

    dataset: str
    groups: tuple[Group, ...]  # the first one counts in the overall table
    unranked: tuple[Row, ...]  # runs with a flag, shown apart


@dataclass(frozen=True)
class Standing:
    """One method with one set of options, over several data sets."""

    method: str
    options: Mapping[str, Any]
    rows: Mapping[str, Row]  # by data set; a data set that it was not run on is absent
    mean_rank: float | None = None  # None: it is not complete on every data set
    place: int | None = None


def boards(runs: Iterable[Run], *, shown: Sequence[str] = SHOWN) -> tuple[Board, ...]:
    """One board per data set, by name, whatever the order of `runs`; best marked in `shown`.

    Runs are compared only with equal data set, fingerprint, metric version and protocol. Of
    several such groups the one with the most runs comes first, then the one with the newest run.
    A run with any flag is not ranked and changes no rank. Of several runs of one method with equal
    options and weights the newest is ranked; the others are flagged as superseded.
    """
    by_dataset: dict[str, list[Run]] = {}
    for run in runs:
        by_dataset.setdefault(run.dataset, []).append(run)
    return tuple(_board(dataset, found, shown) for dataset, found in sorted(by_dataset.items()))


def overall(boards: Iterable[Board]) -> tuple[Standing, ...]:
    """Methods over all data sets where anything has a rank, best first; incomplete ones last.

    Ranks are counted anew among the complete methods only: those with every ranking metric on
    every data set. So a missing result never helps, and an incomplete method changes no rank.
    The mean is over data sets, of each one's mean over metrics.
    """
    counted = {
        board.dataset: board.groups[0].rows
        for board in boards
        if board.groups and any(row.place for row in board.groups[0].rows)
    }
    found: dict[str, dict[str, Row]] = {}
    for dataset, its_rows in counted.items():
        for row in its_rows:
            found.setdefault(_contestant(row.run), {})[dataset] = row
    complete = [
        key
        for key, by_dataset in found.items()
        if all(name in by_dataset and by_dataset[name].place is not None for name in counted)
    ]
    means: dict[str, Fraction] = dict.fromkeys(complete, Fraction(0))
    for dataset in counted:
        for key, row in zip(
            complete, _ranked([found[k][dataset].run for k in complete]), strict=True
        ):
            means[key] += Fraction(sum(row.ranks.values()), len(row.ranks) * len(counted))
    places = ranks([means.get(key) for key in found], higher_is_better=False)
    standings = [
        Standing(
            method=next(iter(by_dataset.values())).run.method,
            options=next(iter(by_dataset.values())).run.options,
            rows={name: by_dataset[name] for name in counted if name in by_dataset},
            mean_rank=_number(means.get(key)),
            place=place,
        )
        for (key, by_dataset), place in zip(found.items(), places, strict=True)
    ]
    return tuple(
        sorted(
            standings,
            key=lambda s: (
                s.place or math.inf,
                -len(s.rows),
                s.method,
                json.dumps(dict(s.options), sort_keys=True, default=str),
            ),
        )
    )


def ranks(values: Sequence[Any], *, higher_is_better: bool) -> list[int | None]:
    """Competition ranks ("1224"): one more than how many are better; None stays None.

    >>> ranks([0.7, 0.9, None, 0.7, 0.2], higher_is_better=True)
    [2, 1, None, 2, 4]
    """
    there = sorted((v for v in values if v is not None), reverse=higher_is_better)
    first: dict[Any, int] = {}
    for position, value in enumerate(there, start=1):
        first.setdefault(value, position)
    return [None if value is None else first[value] for value in values]


def value(run: Run, metric: str) -> float | None:
    """The run's value of `metric`, a fraction; None where it is missing or undefined."""
    found = run.metrics.get(metric)
    return found if found is not None and math.isfinite(found) else None


def arrow(metric: str) -> str:
    """The direction in which the metric improves; "" where it says nothing of quality.

    >>> arrow("FPR95")
    '↓'
    """
    return {True: "↑", False: "↓", None: ""}[described(metric).higher_is_better]


def _board(dataset: str, runs: list[Run], shown: Sequence[str]) -> Board:
    comparable: dict[tuple[str, str, str], list[Run]] = {}
    newest: dict[tuple[object, ...], Run] = {}
    flagged = []
    for run in sorted(runs, key=lambda run: (run.finished, run.id), reverse=True):
        key = (run.fingerprint, run.metric_version, str(run.provenance.get("protocol", "")))
        if not run.ranks:
            flagged.append(run)
        elif newest.setdefault((*key, _contestant(run)), run) is run:
            comparable.setdefault(key, []).append(run)
        else:  # an earlier run of the same thing, by other code: a row of its own would be noise
            flagged.append(replace(run, flags=("superseded",)))
    groups = [
        Group(
            dataset,
            *key,
            rows=tuple(sorted(_ranked(sorted(found, key=_order), shown), key=_standing)),
        )
        for key, found in sorted(comparable.items())
    ]
    groups.sort(
        key=lambda group: (len(group.rows), max(row.run.finished for row in group.rows)),
        reverse=True,
    )
    return Board(dataset, tuple(groups), tuple(Row(run) for run in sorted(flagged, key=_order)))


def _ranked(runs: Sequence[Run], shown: Sequence[str] = SHOWN) -> list[Row]:
    """One row per run, in the same order, ranked among `runs`, which are comparable."""
    by_metric = {
        metric: ranks(
            [value(run, metric) for run in runs],
            higher_is_better=bool(described(metric).higher_is_better),
        )
        for metric in dict.fromkeys((*RANKING, *shown))
    }
    # A metric that no run has (the data set does not define it) asks nothing of anybody.
    asked = [metric for metric in RANKING if any(by_metric[metric])]
    own = [{m: rank for m in asked if (rank := by_metric[m][i])} for i in range(len(runs))]
    means = [
        Fraction(sum(its.values()), len(asked)) if asked and len(its) == len(asked) else None
        for its in own
    ]
    places = ranks(means, higher_is_better=False)
    # Where only one run has a value there is nothing that it is better than.
    contested = [
        m
        for m in shown
        if sum(rank is not None for rank in by_metric[m]) > 1
        and described(m).higher_is_better is not None
    ]
    return [
        Row(
            run,
            ranks=own[i],
            mean_rank=_number(means[i]),
            place=places[i],
            best=frozenset(m for m in contested if by_metric[m][i] == 1),
            second=frozenset(m for m in contested if by_metric[m][i] == 2),
        )
        for i, run in enumerate(runs)
    ]


def _number(mean: Fraction | None) -> float | None:
    return None if mean is None else float(mean)


def _order(run: Run) -> tuple[Any, ...]:
    ap = value(run, "AP")
    return (math.inf if ap is None else -ap, run.method, run.id, run.finished)


def _standing(row: Row) -> tuple[Any, ...]:
    return (row.place or math.inf, *_order(row.run))


def _contestant(run: Run) -> str:
    """What makes runs on different data sets one competitor: the method and what it was given.

    Weights count by their content, and the device does not count.
    """
    options = {
        key: option for key, option in run.options.items() if key not in ("device", "weights")
    }
    weights = run.provenance.get("weights") or run.options.get("weights", "")
    return json.dumps([run.kind, run.method, options, weights], sort_keys=True, default=str)
