"""Ranks of runs: rules, laws, ties, missing data, and what may be compared with what."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from harness.errors import RunError, UnknownName
from harness.metrics import FAMILIES, METRICS, OFFICIAL
from harness.types import Run
from leaderboard.ranks import KINDS, RANKED, RANKING, SHOWN, Rule, arrow, boards, overall, ranks


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


def places(runs: list[Run], rule: Rule | None = None) -> dict[str, int | None]:
    rows = boards(runs, rule=rule or Rule())[0].groups[0].rows
    return {row.run.method: row.place for row in rows}


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


def test_options_make_rows_of_their_own() -> None:
    runs = [a_run("m", 0.5, 0.5, 0.5, options={"temperature": t}) for t in (1, 2)]
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


def test_ranking_metrics_have_a_direction_and_only_those_of_components_use_labels() -> None:
    ranking = [METRICS[name] for names in RANKED.values() for name in names]
    assert all(metric.higher_is_better is not None for metric in ranking)
    assert {metric.family for metric in ranking if metric.oracle} == {"component"}


def test_every_family_has_a_ranking_of_shown_metrics() -> None:
    assert set(RANKED) == set(FAMILIES)
    assert all(set(RANKED[family]) <= set(OFFICIAL[family]) for family in FAMILIES)


def test_a_metric_without_direction_has_no_arrow() -> None:
    assert [arrow(name) for name in ("AP", "FPR95", "positives")] == ["↑", "↓", ""]


def test_of_equal_runs_only_the_newest_is_ranked() -> None:
    old = a_run("good", 0.95, 0.9, 0.1, id="old", finished="2026-01-01")
    new = a_run("good", 0.85, 0.9, 0.1, id="new", finished="2026-02-01")
    (board,) = boards([old, new, *THREE[1:]])
    assert [row.run.id for row in board.groups[0].rows if row.run.method == "good"] == ["new"]
    assert [(row.run.id, row.run.flags) for row in board.unranked] == [("old", ("superseded",))]


# By hand:  AP: a > b > c; AUROC: b = c > a; FPR95: c < a = b.
TIED = [a_run("a", 0.9, 0.5, 0.2), a_run("b", 0.8, 0.7, 0.2), a_run("c", 0.7, 0.7, 0.1)]
BORDA = Rule.of("pixel", "borda")


def test_mean_ranks_by_hand() -> None:
    rows = {row.run.method: row for row in boards(TIED)[0].groups[0].rows}
    assert {m: dict(row.ranks) for m, row in rows.items()} == {
        "a": {"AP": 1, "AUROC": 3, "FPR95": 2},
        "b": {"AP": 2, "AUROC": 1, "FPR95": 2},
        "c": {"AP": 3, "AUROC": 1, "FPR95": 1},
    }
    assert {m: (row.score, row.place) for m, row in rows.items()} == {
        "a": (pytest.approx(2), 3),
        "b": (pytest.approx(5 / 3), 1),
        "c": (pytest.approx(5 / 3), 1),
    }


def test_borda_points_by_hand() -> None:
    rows = {row.run.method: row for row in boards(TIED, rule=BORDA)[0].groups[0].rows}
    # AP 2, 1, 0; AUROC 0, 1 1/2, 1 1/2; FPR95 1/2, 1/2, 2
    assert {m: (row.score, row.place) for m, row in rows.items()} == {
        "a": (2.5, 3),
        "b": (3.0, 2),
        "c": (3.5, 1),
    }


def test_a_single_metric_orders_by_its_values() -> None:
    assert places(TIED, Rule("single", ("FPR95",))) == {"c": 1, "a": 2, "b": 2}
    assert places(TIED, Rule("single", ("AP",))) == {"a": 1, "b": 2, "c": 3}


def test_a_single_metric_asks_for_no_other() -> None:
    assert places([*TIED, a_run("d", 0.95)], Rule("single", ("AP",)))["d"] == 1


LEVELS = st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5])
VALUES = st.lists(
    st.tuples(*(st.one_of(st.none(), LEVELS) for _ in RANKING)), min_size=1, max_size=7
)
RULES = [Rule(), BORDA, *(Rule("single", (metric,)) for metric in RANKING)]


def some_runs(values: list[tuple[float | None, ...]]) -> list[Run]:
    return [a_run(f"m{i}", *its) for i, its in enumerate(values)]


@given(st.lists(st.tuples(LEVELS, LEVELS, LEVELS), min_size=1, max_size=7))
def test_borda_points_are_those_of_average_ranks(values: list[tuple[float, ...]]) -> None:
    runs = some_runs(values)
    found = {r.run.method: r.score for r in boards(runs, rule=BORDA)[0].groups[0].rows}
    signs = [-1 if arrow(metric) == "↑" else 1 for metric in RANKING]
    columns = [[s * v for v in c] for s, c in zip(signs, zip(*values, strict=True), strict=True)]
    averages = [rankdata(column) for column in columns]
    for i, run in enumerate(runs):
        assert found[run.method] == pytest.approx(sum(len(runs) - a[i] for a in averages))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.title)
@given(values=VALUES, data=st.data())
def test_leaving_out_a_value_never_improves_a_place(
    rule: Rule, values: list[tuple[float | None, ...]], data: st.DataObject
) -> None:
    runs = some_runs(values)
    index = data.draw(st.integers(0, len(runs) - 1))
    metric = data.draw(st.sampled_from(RANKING))
    left = {m: v for m, v in runs[index].metrics.items() if m != metric}
    before = places(runs, rule)[f"m{index}"]
    after = places([*runs[:index], replace(runs[index], metrics=left), *runs[index + 1 :]], rule)
    if before is not None:
        assert (after[f"m{index}"] or math.inf) >= before


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.title)
@given(values=VALUES)
def test_an_incomplete_run_changes_no_rank_and_no_score(
    rule: Rule, values: list[tuple[float | None, ...]]
) -> None:
    whole = a_run("whole", 0.3, 0.3, 0.3)
    runs = [whole, *some_runs(values)]
    complete = [run for run in runs if all(metric in run.metrics for metric in rule.metrics)]

    def facts(runs: list[Run]) -> dict[str, Any]:
        rows = boards(runs, rule=rule)[0].groups[0].rows
        return {r.run.method: (r.place, r.score, r.ranks) for r in rows if r.place}

    assert facts(runs) == facts(complete)


@pytest.mark.parametrize("metric", RANKING)
@given(values=VALUES, other=st.tuples(LEVELS, LEVELS, LEVELS))
def test_under_a_single_metric_another_run_keeps_the_order_of_the_rest(
    metric: str, values: list[tuple[float | None, ...]], other: tuple[float, ...]
) -> None:
    rule = Rule("single", (metric,))

    def order(runs: list[Run]) -> list[str]:
        rows = boards(runs, rule=rule)[0].groups[0].rows
        return [row.run.method for row in rows if row.run.method != "other"]

    runs = some_runs(values)
    assert order([*runs, a_run("other", *other)]) == order(runs)


def test_under_the_mean_rank_another_run_can_turn_the_order() -> None:
    runs = [a_run("a", 0.9, 0.5, 0.5), a_run("b", 0.5, 0.6, 0.4)]
    assert places(runs) == {"a": 2, "b": 1}
    between = [a_run(f"c{i}", 0.6 + i / 10, 0.1, 0.9) for i in range(2)]
    found = places([*runs, *between])
    assert found["a"] == 1
    assert (found["b"] or 0) > 1


def test_over_data_sets_a_single_metric_is_averaged_by_hand() -> None:
    runs = on("x", a=0.9, b=0.8) + on("y", a=0.5, b=0.7)
    table = overall(boards(runs, rule=Rule("single", ("AP",))))
    assert [(s.method, s.score, s.place) for s in table] == [
        ("b", pytest.approx(0.75), 1),
        ("a", pytest.approx(0.7), 2),
    ]


def test_over_data_sets_borda_points_are_averaged_over_metrics_and_data_sets_by_hand() -> None:
    runs = on("x", a=0.9, b=0.8, c=0.1) + on("y", a=0.5, b=0.9, c=0.5)
    table = overall(boards(runs, rule=BORDA))
    # x: a 2, b 1, c 0 points in each metric; y: b 2, a and c half a point each
    assert [(s.method, s.score) for s in table] == [("b", 1.5), ("a", 1.25), ("c", 0.25)]


def component_run(method: str, value: float, **facts: Any) -> Run:
    metrics = dict.fromkeys(("AP", "AUROC", "sIoU", "PPV", "F1*"), value) | {"FPR95": 1 - value}
    return replace(a_run(method, **facts), metrics=metrics)


def test_components_rank_by_siou_ppv_and_f1_star_and_say_that_they_are_an_oracles() -> None:
    rule = Rule.of("component")
    assert rule.metrics == ("sIoU", "PPV", "F1*")
    assert "Oracle: sIoU, PPV, F1* use a threshold chosen on the evaluated labels" in rule.stated
    assert "Oracle" not in Rule().stated
    assert places([component_run("a", 0.5), component_run("b", 0.6)], rule) == {"b": 1, "a": 2}


def test_components_at_a_given_threshold_rank_apart_from_an_oracles() -> None:
    given_one = {"threshold": {"value": 0.5, "from": "given"}}
    runs = [component_run("a", 0.5), component_run("b", 0.9, provenance=given_one)]
    (board,) = boards(runs, rule=Rule.of("component"))
    assert sorted(group.protocol for group in board.groups) == ["", "threshold given"]
    assert len(boards(runs)[0].groups) == 1


def test_pixel_metrics_decide_nothing_among_components() -> None:
    first = component_run("a", 0.5)
    better = replace(first, metrics={**first.metrics, "AP": 0.99})
    other = component_run("b", 0.6)
    assert places([first, other], Rule.of("component")) == places(
        [better, other], Rule.of("component")
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", RANKED)
def test_every_rule_of_every_family_is_stated_with_its_metrics(family: str, kind: str) -> None:
    rule = Rule.of(family, kind)
    assert all(f"{metric} {arrow(metric)}" in rule.stated for metric in rule.metrics)
    assert KINDS[kind] in rule.stated


def test_an_unknown_rule_answers_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'borda'"):
        Rule("broda")
    with pytest.raises(UnknownName, match="Did you mean 'pixel'"):
        Rule.of("pixels")


def test_a_metric_without_direction_makes_no_rule() -> None:
    with pytest.raises(RunError, match="positives is neither better high nor low"):
        Rule("single", ("positives",))


def test_a_single_rule_takes_one_metric() -> None:
    with pytest.raises(RunError, match="2 metrics, expected one metric"):
        Rule("single", ("AP", "AUROC"))
