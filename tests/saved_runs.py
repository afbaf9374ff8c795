"""Small saved runs for tests of the board: numbers from random counts, maps of drawn frames."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness import score_files, store
from harness.data import load_frames
from harness.metrics import METRIC_VERSION
from harness.metrics.confidence import GRID_METRICS, Grid, GridCounts
from harness.types import ANOMALY, Interval, Run

IDS = tuple(f"synthroad_{i:04}" for i in range(6))
BINS = 40


def saved(
    root: Path,
    method: str = "msp",
    *,
    dataset: str = "synthroad",
    run_id: str = "",
    quality: float = 1.0,
    maps: int = 0,
    options: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Run:
    """The run, saved below `root`: better the higher `quality`; `maps` of its maps are kept."""
    rng = np.random.default_rng(0)
    low = np.linspace(0, 1, BINS)[None, :]  # bin 0 holds the highest scores
    anomaly = rng.poisson(40 * np.exp(-4 * quality * low), (len(IDS), BINS)).astype(np.int32)
    normal = rng.poisson(40 * np.exp(3 * low), (len(IDS), BINS)).astype(np.int32)
    thresholds = np.linspace(0.05, 0.95, BINS - 1).astype(np.float32)
    grid = GridCounts(Grid(thresholds, np.ones(BINS, bool)), normal, anomaly)
    whole = grid.metrics(np.ones((1, len(IDS))))[0]
    metrics = dict(zip(GRID_METRICS, whole.tolist(), strict=True))
    run = Run(
        **{
            "id": run_id or f"{method}-0123456789",
            "kind": "run",
            "method": method,
            "options": {"network": "tiny", "device": "cpu"} if options is None else options,
            "dataset": dataset,
            "frames": len(IDS),
            "fingerprint": "f" * 64,
            "metric_version": METRIC_VERSION,
            "metrics": metrics | {"F1@25": 0.5, "F1@50": 0.25, "sIoU": 0.5, "PPV": 0.4, "F1*": 0.3},
            "undefined": {"mis.AP": "no pixel has a predicted class"},
            "intervals": {
                name: Interval(value, value * 0.9, min(1, value * 1.1), 0.95, 6, 2000, 0, 0.0)
                for name, value in metrics.items()
            },
            "trained_on": ("cityscapes_train",),
            "paper": "https://arxiv.org/abs/1911.11132",
            "seconds": 1.5 / quality,
            "finished": "2026-01-02T03:04:05+00:00",
            "provenance": {
                "code": {"revision": "a" * 40, "dirty": False},
                "machine": {"device": "cpu", "processor": "test"},
                "weights": {"network": "b" * 64},
                "command": f"harness run -m {method}",
                "seconds_per_frame_median": 0.2 * quality,
            },
            **facts,
        }
    )
    tp, fp = anomaly.sum(0).cumsum(), normal.sum(0).cumsum()
    curve = store.table_of(
        {
            "threshold": np.concatenate(([np.inf], thresholds[::-1], [-np.inf])),
            "tpr": np.concatenate(([0.0], tp / tp[-1])),
            "fpr": np.concatenate(([0.0], fp / fp[-1])),
            "precision": np.concatenate(([1.0], tp / (tp + fp))),
        }
    )
    ap = [*np.linspace(0.1, 0.9, len(IDS) - 1) ** quality, None]
    frames = store.table_of(
        {
            "id": list(IDS),
            "pixels": [100] * len(IDS),
            "AP": ap,
            "FPR": ap[::-1],
            "seconds": [0.1] * len(IDS),
        }
    )
    components = store.table_of(
        {
            "frame": [IDS[0], IDS[0], IDS[1]],
            "kind": ["labelled", "labelled", "predicted"],
            "area_px": [500, 20000, 700],
            "overlap_px": [100, 15000, 300],
            "union_px": [500, 20000, 700],
        }
    )
    partial = store.partial_folder(root, run.dataset, run.id)
    (partial / "scores").mkdir(parents=True)
    drawn = load_frames("synthroad")
    for at in range(maps):
        label = drawn.label(at)
        assert label is not None
        score = rng.random(label.shape, np.float32) * 0.5 + 0.4 * (label == ANOMALY)
        score_files.write(partial / "scores" / f"{IDS[at]}.score", score.astype(np.float32))
    store.save(
        root,
        run,
        tables={"frames": frames, "curve": curve, "components": components},
        classes=None,
        grid={
            "thresholds": thresholds,
            "tied": grid.grid.tied,
            "normal": normal,
            "anomaly": anomaly,
        },
        pictures={},
        keep_scores=maps > 0,
    )
    return run
