"""Who is better than whom: runs on boards of comparable runs, ranked, and over all data sets."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from harness.types import Run
from leaderboard.rows import Row, complete_values, ranked
from leaderboard.rules import (
    KINDS,
    RANKED,
    RANKING,
    SHOWN,
    Rule,
    arrow,
    described,
    ranks,
    value,
)
from leaderboard.seeds import SEED, contestant, folded, sources

__all__ = [
    "KINDS",
    "RANKED",
    "RANKING",
    "SHOWN",
    "Board",
    "Group",
    "Row",
    "Rule",
    "Standing",
    "arrow",
    "boards",
    "described",
    "overall",
    "ranks",
    "value",
]

MEAN_RANK = Rule()


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
    rule: Rule = MEAN_RANK


@dataclass(frozen=True)
class Standing:
    """One method with one set of options, over several data sets."""

    method: str
    options: Mapping[str, Any]
    rows: Mapping[str, Row]  # by data set; a data set that it was not run on is absent
    mean_rank: float | None = None  # None: it is not complete on every data set
    place: int | None = None
    score: float | None = None  # of the rule, over data sets


def boards(
    runs: Iterable[Run], *, shown: Sequence[str] = SHOWN, rule: Rule = MEAN_RANK
) -> tuple[Board, ...]:
    """One board per data set, by name, whatever the order of `runs`; best marked in `shown`.

    Runs are compared only with equal data set, fingerprint, metric version and protocol; where the
    rule asks for component metrics, runs with a given threshold are apart from those with an
    oracle's. Of several such groups the one with the most rows comes first, then the one with the
    newest run. A run with any flag is not ranked and changes no rank. Runs that are equal but for
    their seed are one row. Of several runs of one method with equal options, weights and seed the
    newest is ranked; the others are flagged as superseded.
    """
    by_dataset: dict[str, list[Run]] = {}
    for run in runs:
        by_dataset.setdefault(run.dataset, []).append(run)
    return tuple(
        _board(dataset, found, shown, rule) for dataset, found in sorted(by_dataset.items())
    )


def overall(boards: Iterable[Board]) -> tuple[Standing, ...]:
    """Methods over all data sets where anything has a rank, best first; incomplete ones last.

    Ranks are counted anew among the complete methods only: those with every ranking metric on
    every data set. So a missing result never helps, and an incomplete method changes no rank.
    The score is the mean over data sets: of each one's mean rank, of its Borda points divided by
    its number of metrics, or of the single metric's values.
    """
    boards = list(boards)
    rule = boards[0].rule if boards else MEAN_RANK
    counted = {
        board.dataset: board.groups[0].rows
        for board in boards
        if board.groups and any(row.place for row in board.groups[0].rows)
    }
    found: dict[str, dict[str, Row]] = {}
    for dataset, its_rows in counted.items():
        for row in its_rows:
            found.setdefault(contestant(row.run, seed=False), {})[dataset] = row
    complete = [
        key
        for key, by_dataset in found.items()
        if all(name in by_dataset and by_dataset[name].place is not None for name in counted)
    ]
    means: dict[str, Fraction] = dict.fromkeys(complete, Fraction(0))
    scores: dict[str, Fraction] = dict.fromkeys(complete, Fraction(0))
    for dataset in counted if complete else ():
        values = complete_values([found[key][dataset].run for key in complete], rule.metrics)
        asked = len(values[0])
        divided = asked if rule.kind == "borda" else 1
        for key, mean, score in zip(
            complete, replace(rule, kind="mean rank").scores(values), rule.scores(values),
            strict=True,
        ):  # fmt: skip
            means[key] += mean / len(counted)
            scores[key] += score / divided / len(counted)
    places = ranks([scores.get(key) for key in found], higher_is_better=rule.higher_is_better)
    standings = [
        Standing(
            method=next(iter(by_dataset.values())).run.method,
            options=_given(next(iter(by_dataset.values())).run),
            rows={name: by_dataset[name] for name in counted if name in by_dataset},
            mean_rank=_number(means.get(key)),
            place=place,
            score=_number(scores.get(key)),
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


def _board(dataset: str, runs: list[Run], shown: Sequence[str], rule: Rule) -> Board:
    by_key: dict[tuple[str, str, str], dict[str, list[Run]]] = {}
    seen: set[tuple[object, ...]] = set()
    flagged = []
    for run in sorted(runs, key=lambda run: (run.finished, run.id), reverse=True):
        key = (run.fingerprint, run.metric_version, _protocol(run, rule))
        if not run.ranks:
            flagged.append(run)
            continue
        seeds = by_key.setdefault(key, {}).setdefault(contestant(run, seed=False), [])
        again = (*key, contestant(run))
        # An earlier run of the same thing, or of another seed by other code, is no seed beside it.
        if again in seen or (seeds and sources(seeds[0]) != sources(run)):
            flagged.append(replace(run, flags=("superseded",)))
        else:
            seen.add(again)
            seeds.append(run)
    groups = [
        Group(
            dataset,
            *key,
            rows=tuple(
                sorted(
                    ranked([folded(seeds) for seeds in found.values()], shown, rule),
                    key=_standing,
                )
            ),
        )
        for key, found in sorted(by_key.items())
    ]
    groups.sort(
        key=lambda group: (len(group.rows), max(row.run.finished for row in group.rows)),
        reverse=True,
    )
    apart = tuple(Row(run, runs=(run,)) for run in sorted(flagged, key=_order))
    return Board(dataset, tuple(groups), apart, rule)


def _protocol(run: Run, rule: Rule) -> str:
    """What else must be equal: the protocol, and for components whose threshold was used."""
    protocol = str(run.provenance.get("protocol", ""))
    of_components = any(getattr(described(m), "family", "") == "component" for m in rule.metrics)
    if of_components and run.threshold_given is not None:
        return f"{protocol}, threshold given".removeprefix(", ")
    return protocol


def _given(run: Run) -> dict[str, Any]:
    """The options without the seed, which may differ from data set to data set."""
    return {key: option for key, option in run.options.items() if key != SEED}


def _number(found: Fraction | None) -> float | None:
    return None if found is None else float(found)


def _order(run: Run) -> tuple[Any, ...]:
    ap = value(run, "AP")
    return (math.inf if ap is None else -ap, run.method, run.id, run.finished)


def _standing(row: Row) -> tuple[Any, ...]:
    return (row.place or math.inf, *_order(row.run))
