"""One line of a board: a competitor with its standing among those it may be compared with."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from harness.types import Run
from leaderboard.rules import Rule, described, ranks, value
from leaderboard.seeds import Fold


@dataclass(frozen=True)
class Row:
    """One competitor with its standing among those that it may be compared with."""

    run: Run  # of several seeds: the first one's record with the means as metrics
    ranks: Mapping[str, int] = field(default_factory=dict)  # by the rule's metrics; ties share one
    mean_rank: float | None = None  # None: not ranked, or a ranking metric is missing
    place: int | None = None  # rank of the score
    best: frozenset[str] = frozenset()  # metrics in which no comparable run is better
    second: frozenset[str] = frozenset()  # metrics in which exactly one is
    score: float | None = None  # what the rule orders by: mean rank, Borda points or a value
    runs: tuple[Run, ...] = ()  # the saved runs behind the row, by seed; never empty on a board
    spreads: Mapping[str, float] = field(default_factory=dict)  # over seeds, where several ran


def ranked(folds: Sequence[Fold], shown: Sequence[str], rule: Rule) -> list[Row]:
    """One row per fold, in the same order, ranked among them all; they are comparable.

    A fold that lacks an asked metric has no place, and ranks are counted among the others only;
    its own ranks say where it would stand among them.
    """
    runs = [fold.run for fold in folds]
    by_metric = {m: [value(run, m) for run in runs] for m in dict.fromkeys((*rule.metrics, *shown))}
    # A metric that no run has (the data set does not define it) asks nothing of anybody.
    asked = [m for m in rule.metrics if any(v is not None for v in by_metric[m])]
    whole = [
        i for i in range(len(runs)) if asked and all(by_metric[m][i] is not None for m in asked)
    ]
    values = complete_values([runs[i] for i in whole], asked)
    scores = dict(zip(whole, rule.scores(values), strict=True))
    means = dict(zip(whole, replace(rule, kind="mean rank").scores(values), strict=True))
    in_order = ranks(list(scores.values()), higher_is_better=rule.higher_is_better)
    places = dict(zip(whole, in_order, strict=True))
    own: list[dict[str, int]] = [{} for _ in runs]
    for m in asked:
        rivals = sorted(one[m] for one in values)
        for i, found in enumerate(by_metric[m]):
            if found is not None:
                above = len(rivals) - bisect_right(rivals, found)
                up = described(m).higher_is_better
                own[i][m] = 1 + (above if up else bisect_left(rivals, found))
    from_best = {m: _from_best(m, by_metric[m]) for m in shown}
    return [
        Row(
            fold.run,
            ranks=own[i],
            mean_rank=_number(means.get(i)),
            place=places.get(i),
            best=frozenset(m for m in shown if from_best[m][i] == 1),
            second=frozenset(m for m in shown if from_best[m][i] == 2),
            score=_number(scores.get(i)),
            runs=fold.runs,
            spreads=fold.spreads,
        )
        for i, fold in enumerate(folds)
    ]


def complete_values(runs: Sequence[Run], metrics: Sequence[str]) -> list[dict[str, float]]:
    """Per run its values of those of `metrics` that the first has; all runs have the same ones."""
    return [
        {metric: run.metrics[metric] for metric in metrics if value(runs[0], metric) is not None}
        for run in runs
    ]


def _from_best(metric: str, values: Sequence[float | None]) -> list[int | None]:
    """Competition ranks; none where only one has a value and is better than nothing."""
    upward = described(metric).higher_is_better
    if upward is None or sum(found is not None for found in values) < 2:
        return [None] * len(values)
    return ranks(values, higher_is_better=upward)


def _number(found: Fraction | None) -> float | None:
    return None if found is None else float(found)
