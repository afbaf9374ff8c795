"""Runs that differ in their seed only: one row with mean and spread, and never a better one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.types import Interval, Run
from leaderboard.ranks import Row, boards, overall

AP = (0.70, 0.75, 0.83)


def seeded(seed: int, ap: float, **facts: Any) -> Run:
    defaults: dict[str, Any] = {
        "id": f"m-{seed}",
        "kind": "run",
        "method": "m",
        "options": {"network": "tiny", "seed": seed},
        "dataset": "road",
        "frames": 60,
        "fingerprint": "f",
        "metric_version": "1",
        "metrics": {"AP": ap, "AUROC": 0.9, "FPR95": 0.1},
        "seconds": float(seed),
    }
    return Run(**{**defaults, **facts})


THREE = [seeded(seed, ap) for seed, ap in enumerate(AP)]


def the_row(runs: list[Run]) -> Row:
    (row,) = boards(runs)[0].groups[0].rows
    return row


def test_seeds_of_one_method_are_one_row_with_their_mean() -> None:
    row = the_row(THREE[::-1])
    assert row.run.metrics["AP"] == pytest.approx(np.mean(AP))
    assert [run.id for run in row.runs] == ["m-0", "m-1", "m-2"]
    assert "seed" not in row.run.options


def test_the_spread_is_the_sample_standard_deviation() -> None:
    row = the_row(THREE)
    assert row.spreads["AP"] == pytest.approx(np.std(AP, ddof=1))
    assert row.spreads["AUROC"] == pytest.approx(0)


def test_a_lone_seed_stays_itself_and_has_no_spread() -> None:
    row = the_row(THREE[:1])
    assert (row.run, row.runs, dict(row.spreads)) == (THREE[0], (THREE[0],), {})


def test_the_mean_of_seeds_is_ranked_not_the_best_of_them() -> None:
    rival = seeded(0, 0.80, method="rival", id="rival-0")
    rows = boards([*THREE, rival])[0].groups[0].rows
    assert {row.run.method: row.ranks["AP"] for row in rows} == {"rival": 1, "m": 2}


def test_a_metric_that_one_seed_lacks_is_missing_with_a_reason() -> None:
    bad = replace(THREE[0], metrics={"AUROC": 0.9, "FPR95": 0.1})
    rival = seeded(0, 0.1, method="rival", id="rival-0")
    row = next(r for r in boards([bad, *THREE[1:], rival])[0].groups[0].rows if r.run.method == "m")
    assert "AP" not in row.run.metrics
    assert row.run.undefined == {"AP": "not every seed has a value"}
    assert row.place is None


def test_other_options_or_weights_are_no_seeds_of_one_method() -> None:
    other = seeded(3, 0.9, options={"network": "big", "seed": 3})
    weights = seeded(4, 0.9, provenance={"weights": {"network": "ab"}})
    assert len(boards([*THREE, other, weights])[0].groups[0].rows) == 3


def test_a_flagged_seed_is_shown_apart_and_not_averaged() -> None:
    limited = seeded(3, 0.99, flags=("limited",))
    (board,) = boards([*THREE, limited])
    assert board.groups[0].rows == (the_row(THREE),)
    assert [row.run.id for row in board.unranked] == ["m-3"]


def test_of_equal_seeds_the_newest_counts() -> None:
    again = seeded(0, 0.71, id="m-0-again", finished="2030-01-01")
    (board,) = boards([*THREE, again])
    assert [run.id for run in board.groups[0].rows[0].runs] == ["m-0-again", "m-1", "m-2"]
    assert [(row.run.id, row.run.flags) for row in board.unranked] == [("m-0", ("superseded",))]


def test_seeds_of_older_code_are_not_averaged_with_newer_ones() -> None:
    old = [
        replace(run, provenance={"sources": {"m.py": "1"}}, finished="2026-01-01") for run in THREE
    ]
    new = seeded(5, 0.6, provenance={"sources": {"m.py": "2"}}, finished="2026-02-01")
    (board,) = boards([*old, new])
    assert [run.id for run in board.groups[0].rows[0].runs] == ["m-5"]
    assert all(row.run.flags == ("superseded",) for row in board.unranked)


def interval(low: float, high: float, units: int = 60) -> dict[str, Interval]:
    return {"AP": Interval(0.5, low, high, 0.95, units, 2000, 0, 0.0)}


def test_the_interval_of_seeds_is_the_mean_of_theirs() -> None:
    runs = [replace(run, intervals=interval(0.1 * i, 0.5 + 0.1 * i)) for i, run in enumerate(THREE)]
    found = the_row(runs).run.intervals["AP"]
    assert (found.low, found.high) == pytest.approx((0.1, 0.6))
    assert found.value == pytest.approx(np.mean(AP))


def test_without_the_interval_of_every_seed_there_is_none() -> None:
    runs = [replace(THREE[0], intervals=interval(0.1, 0.9)), *THREE[1:]]
    assert not the_row(runs).run.intervals


def test_other_numbers_of_seeds_on_other_data_sets_are_one_competitor() -> None:
    elsewhere = seeded(7, 0.5, dataset="street")
    (standing,) = overall(boards([*THREE, elsewhere]))
    assert set(standing.rows) == {"road", "street"}
    assert standing.place == 1
