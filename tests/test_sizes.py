"""Objects found by their size, against the component metrics of the whole."""

from pathlib import Path

import numpy as np
import pytest
from saved_runs import saved

from harness import store
from harness.metrics.component import ComponentCounts, MinimumSizes, finds, mean_siou
from leaderboard.sizes import SIZES, TAU, by_size


def test_sizes_meet_without_a_gap() -> None:
    assert [too_large for _, _, too_large in SIZES[:-1]] == [least for _, least, _ in SIZES[1:]]
    assert SIZES[0][1] == SIZES[-1][2] == 0


def test_the_objects_of_all_sizes_are_those_of_the_component_metrics(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = np.zeros((400, 600), np.uint8)
    for _ in range(12):
        y, x, side = rng.integers(0, 300), rng.integers(0, 450), rng.integers(5, 100)
        label[y : y + side, x : x + side] = 1
    score = (label + rng.normal(0, 0.5, label.shape)).astype(np.float32)
    whole = ComponentCounts.of(score, label, 0.6, MinimumSizes(5, 10))
    run = saved(tmp_path, "a")
    table = store.table_of(
        {
            "frame": ["x"] * len(whole.labelled.area_px),
            "kind": ["labelled"] * len(whole.labelled.area_px),
        }
        | {name: getattr(whole.labelled, name) for name in ("area_px", "overlap_px", "union_px")}
    )
    store.pq.write_table(table, store.run_folder(tmp_path, run) / "components.parquet")
    found = by_size(tmp_path, run)
    number = sum(one.components for one in found)
    assert number == len(whole.labelled.area_px) > 3
    siou = sum(one.siou * one.components for one in found) / number
    assert siou == pytest.approx(mean_siou(whole))
    assert sum(one.found * one.components for one in found) == pytest.approx(finds(whole, TAU).tp)


def test_a_run_without_components_has_none(tmp_path: Path) -> None:
    run = saved(tmp_path, "a")
    (store.run_folder(tmp_path, run) / "components.parquet").unlink()
    assert by_size(tmp_path, run) == ()


def test_predicted_components_are_not_objects(tmp_path: Path) -> None:
    run = saved(tmp_path, "a")
    assert [(one.size[:5], one.components) for one in by_size(tmp_path, run)] == [
        ("small", 1),
        ("large", 1),
    ]
