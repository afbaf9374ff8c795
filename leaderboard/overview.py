"""What the static page shows over all data sets: competitors and their standing in each family."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from harness.data.catalog import DATASETS
from harness.metrics import FAMILIES
from harness.types import Run
from leaderboard.cells import differing_options
from leaderboard.ranks import RANKED, Rule, Standing, boards, overall
from leaderboard.seeds import contestant


@dataclass(frozen=True)
class Competitor:
    """One line of the overall table."""

    standing: Standing  # by the first rule
    options: str
    standings: tuple[tuple[int | None, float | None], ...]  # (place, score) by each rule


@dataclass(frozen=True)
class Overview:
    """The overall table of one metric family."""

    family: str
    columns: tuple[str, ...]  # of each data set
    datasets: tuple[str, ...]  # where anything of the family has a rank; at least two
    rules: tuple[Rule, ...]  # the first one made the order
    competitors: tuple[Competitor, ...]


def overviews(runs: Sequence[Run]) -> tuple[Overview, ...]:
    """The overall tables of the families that rank on two data sets or more."""
    found = []
    for family in FAMILIES:
        metrics = RANKED[family]
        having = [run for run in runs if any(metric in run.metrics for metric in metrics)]
        if len({run.dataset for run in having if run.ranks}) > 1:
            found += _overview(family, having)
    return tuple(found)


def in_catalogue_order(datasets: Sequence[str]) -> list[str]:
    """The data sets as the catalogue lists them; those that it does not know follow by name."""
    order = {name: position for position, name in enumerate(DATASETS)}
    return sorted(datasets, key=lambda name: (order.get(name, len(order)), name))


def _overview(family: str, runs: Sequence[Run]) -> list[Overview]:
    metrics = RANKED[family]
    several = (Rule.of(family), Rule.of(family, "borda")) if len(metrics) > 1 else ()
    rules = (*several, *(Rule("single", (metric,)) for metric in metrics))
    by_rule = [
        {
            contestant(_a_run(s), seed=False): s
            for s in overall(boards(runs, shown=metrics, rule=rule))
        }
        for rule in rules
    ]
    datasets = {dataset for s in by_rule[0].values() for dataset in s.rows}
    if len(datasets) < 2:
        return []
    # The data set's part in the comparison of options is played by one name for all.
    some = [
        dataclasses.replace(_a_run(s), dataset="all", options=s.options)
        for s in by_rule[0].values()
    ]
    competitors = []
    for (key, standing), options in zip(by_rule[0].items(), differing_options(some), strict=True):
        theirs = [by.get(key) for by in by_rule]
        standings = tuple((s.place, s.score) if s else (None, None) for s in theirs)
        competitors.append(Competitor(standing, options, standings))
    in_order = tuple(in_catalogue_order([*datasets]))
    return [Overview(family, metrics, in_order, rules, tuple(competitors))]


def _a_run(standing: Standing) -> Run:
    return next(iter(standing.rows.values())).run
