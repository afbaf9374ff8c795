"""Curves of runs, thinned for plots, and thresholds read from them."""

from pathlib import Path

import numpy as np
import pytest
from saved_runs import saved

from harness import store
from harness.errors import RunError
from harness.metrics.pixel import Pivots, PixelCounts, curve
from leaderboard.curves import Curve, load_curve


def drawn(points: int = 3000) -> Curve:
    rng = np.random.default_rng(1)
    tpr, fpr = np.sort(rng.random(points)), np.sort(rng.random(points) ** 3)
    return Curve(np.linspace(9, -9, points), tpr, fpr, rng.random(points))


def test_the_saved_curve_is_read(tmp_path: Path) -> None:
    run = saved(tmp_path, "a")
    found = load_curve(tmp_path, run)
    assert found.tpr[0] == 0
    assert found.tpr[-1] == 1
    assert np.all(np.diff(found.tpr) >= 0)


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_curve_that_cannot_be_read_is_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    run = saved(tmp_path, "a")
    path = store.run_folder(tmp_path, run) / "curve.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match="score the run again"):
        load_curve(tmp_path, run)


def test_a_thinned_curve_keeps_both_ends_and_the_order() -> None:
    whole, thin = drawn(), drawn().thinned(400)
    assert len(thin) <= 402
    assert (thin.threshold[0], thin.threshold[-1]) == (whole.threshold[0], whole.threshold[-1])
    assert np.all(np.diff(thin.threshold) < 0)


def test_a_thinned_curve_looks_the_same() -> None:
    whole, thin = drawn(), drawn().thinned(400)
    between = np.interp(whole.fpr, thin.fpr, thin.tpr)
    assert np.abs(between - whole.tpr).max() < 0.02


def test_a_short_curve_is_not_thinned() -> None:
    whole = drawn(30)
    assert whole.thinned(400) is whole


@pytest.mark.parametrize("recall", [0.01, 0.5, 0.9, 0.95, 1.0])
def test_the_threshold_finds_at_least_the_share_asked_for(recall: float) -> None:
    rng = np.random.default_rng(0)
    label = (rng.random((60, 60)) < 0.2).astype(np.uint8)
    score = rng.normal(size=label.shape).astype(np.float32) + label
    exact = curve(PixelCounts.of(score, label, Pivots.of(score, label)))
    found = Curve(exact.threshold, exact.tpr, exact.fpr, exact.precision)
    threshold = found.threshold_at(recall)
    assert np.mean(score[label == 1] >= threshold) >= recall
    above = np.min(score[label == 1][score[label == 1] > threshold], initial=np.inf)
    assert np.mean(score[label == 1] >= above) < recall or above == np.inf
