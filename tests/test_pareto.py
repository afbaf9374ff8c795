"""Which points no other beats in both speed and quality."""

import numpy as np
import pytest

from leaderboard.pareto import pareto


def beaten(i: int, cost: np.ndarray, quality: np.ndarray) -> bool:
    no_worse = (cost <= cost[i]) & (quality >= quality[i])
    better = (cost < cost[i]) | (quality > quality[i])
    return bool(np.any(no_worse & better))


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost, quality = rng.integers(0, 8, (2, 25)).astype(float)
    expected = {i for i in range(25) if not beaten(i, cost, quality)}
    assert set(pareto(cost.tolist(), quality.tolist())) == expected


def test_costs_rise_along_the_line() -> None:
    cost = [3.0, 1.0, 2.0, 5.0]
    line = pareto(cost, [0.5, 0.1, 0.3, 0.4])
    assert [cost[i] for i in line] == [1.0, 2.0, 3.0]


def test_no_points_make_no_line() -> None:
    assert pareto([], []) == []
