"""Runs compared in pairs, against `harness compare`, and how far they agree."""

from pathlib import Path

import numpy as np
import pytest
from saved_runs import saved

from harness.compare import check_comparable, compare_runs
from harness.errors import RunError
from harness.metrics.confidence import GRID_METRICS
from leaderboard.duels import duels, frame_agreement
from leaderboard.gallery import FrameTable


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("duels")


def three(root: Path) -> list:
    return [saved(root, name, quality=q) for name, q in (("a", 1.0), ("b", 2.5), ("c", 1.05))]


@pytest.mark.parametrize("metric", GRID_METRICS)
def test_the_numbers_are_those_of_harness_compare(root: Path, metric: str) -> None:
    runs = three(root)
    expected = [one for one in compare_runs(root, runs) if one.metric == metric]
    found = duels(root, runs, metric)
    assert [(one.first.id, one.second.id) for one in found] == [
        (one.first.id, one.second.id) for one in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.comparison == other.comparison
        assert one.p == pytest.approx(other.corrected_p)


@pytest.mark.parametrize("metric", ["AP", "FPR95"])
def test_the_winner_is_the_better_run_in_either_direction(root: Path, metric: str) -> None:
    a, b, _ = three(root)
    for runs in ((a, b), (b, a)):
        (duel,) = duels(root, runs, metric)
        assert duel.winner in (None, b)
        assert duel.p < 0.05, "the test's runs are too alike to tell a winner"


def test_a_run_has_no_lead_over_itself(root: Path) -> None:
    a, *_ = three(root)
    (duel,) = duels(root, (a, a), "AP")
    assert duel.winner is None
    assert duel.comparison.difference == 0


@pytest.mark.parametrize("facts", [{"fingerprint": "0" * 64}, {"metric_version": "0"}])
def test_runs_on_other_data_or_metrics_are_refused(tmp_path: Path, facts: dict[str, str]) -> None:
    one, other = saved(tmp_path, "a"), saved(tmp_path, "b", **facts)
    with pytest.raises(RunError):
        check_comparable([one, other])
    with pytest.raises(RunError):
        duels(tmp_path, [one, other], "AP")


def table(ap: list[float]) -> FrameTable:
    return FrameTable(tuple(map(str, range(len(ap)))), np.array(ap), {})


def test_agreement_is_one_for_equal_orders_and_minus_one_for_opposite_ones() -> None:
    up = table([0.1, 0.2, 0.7, np.nan])
    same, down = table([0.3, 0.5, 0.6, 0.9]), table([0.9, 0.8, 0.1, np.nan])
    found = frame_agreement([up, same, down])
    assert np.allclose(found, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])


def test_agreement_of_too_little_is_not_a_number() -> None:
    assert np.isnan(frame_agreement([table([0.1, 0.2]), table([0.1, 0.2])])).all()
    assert np.isnan(frame_agreement([table([0.1, 0.1, 0.1]), table([0.1, 0.2, 0.3])])[0, 1])
