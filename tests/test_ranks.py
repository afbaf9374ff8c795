"""Ranks of runs: laws, ties, missing data, and what may be compared with what."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from harness.metrics import METRICS
from harness.types import Run
from leaderboard.ranks import RANKING, SHOWN, arrow, boards, overall, ranks


def a_run(method: str, *values: float | None, dataset: str = "road", **facts: Any) -> Run:
    metrics = {m: v for m, v in zip(SHOWN, values, strict=False) if v is not None}
    defaults: dict[str, Any] = {
        "id": f"{method}-{dataset}-{facts}",
        "kind": "run",
        "options": {"network": "tiny"},
        "frames": 60,
        "fingerprint": f"data of {dataset}",
        "metric_version": "1",
    }
    return Run(method=method, dataset=dataset, metrics=metrics, **{**defaults, **facts})


THREE = [a_run("good", 0.9, 0.9, 0.1), a_run("fair", 0.5, 0.8, 0.2), a_run("poor", 0.1, 0.7, 0.3)]


def standing(runs: list[Run]) -> dict[str, Any]:
    return {
        row.run.id: (row.ranks, row.mean_rank, row.place, row.best, row.second)
        for board in boards(runs)
        for group in board.groups
        for row in group.rows
    }


def places(runs: list[Run]) -> dict[str, int | None]:
    return {row.run.method: row.place for row in boards(runs)[0].groups[0].rows}


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), max_size=12))
def test_ranks_are_the_competition_ranks_of_scipy(values: list[float]) -> None:
    assert ranks(values, higher_is_better=False) == list(rankdata(values, method="min"))
    negated = list(rankdata([-v for v in values], method="min"))
    assert ranks(values, higher_is_better=True) == negated


def test_the_mean_rank_is_over_ap_auroc_and_fpr95() -> None:
    a, b = a_run("a", 0.9, 0.5, 0.2, 0.1), a_run("b", 0.8, 0.6, 0.1, 0.9)
    row = boards([a, b])[0].groups[0].rows[1]
    assert row.run.method == "a"
    assert dict(row.ranks) == {"AP": 1, "AUROC": 2, "FPR95": 2}
    assert row.mean_rank == pytest.approx(5 / 3)


def test_a_lower_fpr95_ranks_better() -> None:
    assert places([a_run("low", 0.5, 0.5, 0.1), a_run("high", 0.5, 0.5, 0.2)]) == {
        "low": 1,
        "high": 2,
    }


def test_exact_ties_share_a_place_and_the_next_is_counted_after_them() -> None:
    runs = [a_run(name, 0.5, 0.5, 0.5) for name in "ab"] + [a_run("c", 0.4, 0.4, 0.6)]
    assert places(runs) == {"a": 1, "b": 1, "c": 3}


def test_two_best_leave_no_second_best() -> None:
    runs = [a_run(name, 0.5, 0.5, 0.5) for name in "ab"] + [a_run("c", 0.4, 0.4, 0.6)]
    rows = boards(runs)[0].groups[0].rows
    assert [set(row.best) for row in rows] == [set(RANKING), set(RANKING), set()]
    assert not any(row.second for row in rows)


def test_a_lone_run_is_not_called_best() -> None:
    assert not boards([THREE[0]])[0].groups[0].rows[0].best


def test_the_order_of_runs_changes_nothing() -> None:
    runs = [*THREE, a_run("tie", 0.5, 0.8, 0.2), a_run("limited", 1, 1, 0, flags=("limited",))]
    expected = boards(runs)
    for permuted in itertools.permutations(runs):
        assert boards(permuted) == expected


@pytest.mark.parametrize(
    "flag", ["limited", "unverified data", "hidden labels", "invalidated", "another"]
)
def test_a_flagged_run_changes_no_rank_and_has_none(flag: str) -> None:
    flagged = a_run("flagged", 1.0, 1.0, 0.0, flags=(flag,))
    assert standing([*THREE, flagged]) == standing(THREE)
    (row,) = boards([*THREE, flagged])[0].unranked
    assert (row.run, row.place, dict(row.ranks)) == (flagged, None, {})


@pytest.mark.parametrize(
    "other",
    [
        {"fingerprint": "other data"},
        {"metric_version": "0"},
        {"provenance": {"protocol": "other"}},
    ],
)
def test_runs_of_other_data_metrics_or_protocol_rank_apart(other: dict[str, Any]) -> None:
    apart = a_run("apart", 1.0, 1.0, 0.0, **other)
    assert {k: v for k, v in standing([*THREE, apart]).items() if k != apart.id} == standing(THREE)
    (board,) = boards([*THREE, apart])
    assert [len(group.rows) for group in board.groups] == [3, 1]


def test_a_missing_metric_gives_no_place() -> None:
    partial = a_run("partial", 1.0, None, 0.0)
    row = boards([*THREE, partial])[0].groups[0].rows[-1]
    assert (row.run.method, row.mean_rank, row.place) == ("partial", None, None)
    assert dict(row.ranks) == {"AP": 1, "FPR95": 1}


def test_a_value_that_is_no_number_is_missing() -> None:
    assert places([*THREE, a_run("nan", float("nan"), 0.9, 0.1)])["nan"] is None


def test_a_metric_that_no_run_has_is_not_asked_for() -> None:
    assert places([a_run("a", 0.9, None, 0.1), a_run("b", 0.8, None, 0.2)]) == {"a": 1, "b": 2}


def test_options_and_seeds_make_rows_of_their_own() -> None:
    runs = [a_run("m", 0.5, 0.5, 0.5, options={"seed": seed}) for seed in (1, 2)]
    assert len(boards(runs)[0].groups[0].rows) == 2


def on(dataset: str, **by_method: float) -> list[Run]:
    return [a_run(m, v, v, 1 - v, dataset=dataset) for m, v in by_method.items()]


def test_overall_ranks_are_means_over_data_sets_by_hand() -> None:
    runs = (
        on("x", a=0.9, b=0.8, c=0.1) + on("y", a=0.5, b=0.9, c=0.1) + on("z", a=0.5, b=0.9, c=0.1)
    )
    table = [(s.method, s.mean_rank, s.place) for s in overall(boards(runs))]
    assert table == [
        ("b", pytest.approx(4 / 3), 1),
        ("a", pytest.approx(5 / 3), 2),
        ("c", pytest.approx(3.0), 3),
    ]


def test_a_method_that_lacks_a_data_set_has_no_overall_rank_and_changes_none() -> None:
    runs = on("x", a=0.9, b=0.8) + on("y", a=0.9, b=0.8)
    before = overall(boards(runs))
    after = overall(boards(runs + on("x", best=1.0)))
    assert [(s.method, s.mean_rank, s.place) for s in after[:2]] == [
        (s.method, s.mean_rank, s.place) for s in before
    ]
    assert (after[2].method, after[2].mean_rank, after[2].place) == ("best", None, None)
    assert list(after[2].rows) == ["x"]


def test_a_method_that_lacks_a_metric_somewhere_has_no_overall_rank() -> None:
    runs = [*on("x", a=0.9, b=0.8), a_run("a", 1.0, None, 0.0, dataset="y"), *on("y", b=0.5)]
    assert {s.method: s.place for s in overall(boards(runs))} == {"a": None, "b": 1}


def test_data_sets_with_flagged_runs_only_are_not_asked_for_overall() -> None:
    runs = on("x", a=0.9, b=0.8) + on("y", a=0.9, b=0.8)
    hidden = [replace(run, metrics={}, flags=("hidden labels",)) for run in on("z", a=0.5)]
    assert overall(boards(runs + hidden)) == overall(boards(runs))


def test_the_newest_of_equal_runs_counts_overall_not_the_best() -> None:
    facts = {"finished": "2030-01-02", "id": "a-1111111111"}
    newer = a_run("a", 0.2, 0.2, 0.8, dataset="x", **facts)
    runs = [*on("x", a=0.9, b=0.5), newer, *on("y", a=0.9, b=0.5)]
    (a,) = (s for s in overall(boards(runs)) if s.method == "a")
    assert a.rows["x"].run == newer


def test_equal_weights_in_other_folders_are_one_competitor() -> None:
    def one(dataset: str, folder: str) -> Run:
        return a_run(
            *("m", 0.5, 0.5, 0.5),
            dataset=dataset,
            options={"weights": f"{folder}/w.pth", "device": folder},
            provenance={"weights": {"network": "ab" * 32}},
        )

    (standing,) = overall(boards([one("x", "/one"), one("y", "/two")]))
    assert set(standing.rows) == {"x", "y"}


def test_ranking_metrics_have_a_direction_and_use_no_labels() -> None:
    assert all(METRICS[name].higher_is_better is not None for name in SHOWN)
    assert not any(METRICS[name].oracle for name in RANKING)


def test_a_metric_without_direction_has_no_arrow() -> None:
    assert [arrow(name) for name in ("AP", "FPR95", "positives")] == ["↑", "↓", ""]


def test_of_equal_runs_only_the_newest_is_ranked() -> None:
    old = a_run("good", 0.95, 0.9, 0.1, id="old", finished="2026-01-01")
    new = a_run("good", 0.85, 0.9, 0.1, id="new", finished="2026-02-01")
    (board,) = boards([old, new, *THREE[1:]])
    assert [row.run.id for row in board.groups[0].rows if row.run.method == "good"] == ["new"]
    assert [(row.run.id, row.run.flags) for row in board.unranked] == [("old", ("superseded",))]
