"""Intervals from 2,000 bootstrap resamples of the frames: ours, and one resample after another."""

import numpy as np
from contest import Contest, Contestant
from maps import Maps

from harness.metrics import component, confidence
from harness.metrics.pixel import Pivots, PixelCounts, total

THRESHOLD = 1.45  # of the components
NAMES = ("AP", "AUROC", "FPR95")


def counted(maps: Maps) -> confidence.GridCounts:
    """The counts of each frame on the shared grid; what that takes is nobody's work here."""
    with maps.aside():
        drawn = Maps(maps.frames, maps.height, maps.width, maps.share, maps.dtype)
        pivots = total(Pivots.of(score, label) for score, label in drawn)
        counts = total(PixelCounts.of(score, label, pivots) for score, label in drawn)
        grid = confidence.grid_of(counts)
        return confidence.stacked(
            confidence.FrameGrid.of(score, label, grid) for score, label in drawn
        )


def harness(maps: Maps) -> dict[str, float]:
    """Intervals of AP, AUROC, FPR95 and best F1, tails by the jackknife included."""
    return _ends(confidence.GRID_METRICS, counted(maps).metrics, maps)


def harness_components(maps: Maps) -> dict[str, float]:
    """Intervals of mean sIoU, mean PPV, F1* and the eleven F1."""
    with maps.aside():
        frames = [
            component.ComponentCounts.of(
                maps.score(i), maps.label(i), THRESHOLD, component.OBSTACLE_TRACK
            )
            for i in range(maps.frames)
        ]
    statistic = confidence.component_statistic(frames)
    _ends(confidence.COMPONENT_METRICS, statistic, maps)
    return {}


def scikit_learn(maps: Maps) -> dict[str, float]:
    """Percentile intervals of AP, AUROC and FPR95 of the same counts, a resample at a time.

    Each bin of scores is a sample of a normal and one of an anomalous pixel, weighted by how many
    there are.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    counts = counted(maps)
    bins = len(counts.grid)
    label = np.repeat([0, 1], bins)
    score = np.tile(np.arange(bins, 0, -1), 2)  # bin 0 has the highest scores
    rng = np.random.default_rng(0)
    values = np.empty((confidence.RESAMPLES, len(NAMES)))
    for row in values:
        drawn = rng.integers(0, maps.frames, maps.frames)
        pixels = counts.normal[drawn].sum(axis=0), counts.anomaly[drawn].sum(axis=0)
        weight = np.concatenate(pixels)
        fpr, tpr, _ = roc_curve(label, score, sample_weight=weight, drop_intermediate=False)
        row[:] = (
            average_precision_score(label, score, sample_weight=weight),
            roc_auc_score(label, score, sample_weight=weight),
            fpr[np.argmax(tpr >= 0.95)],
        )
    low, high = np.quantile(values, [0.025, 0.975], axis=0)
    return _named(NAMES, low, high)


def _ends(names: tuple[str, ...], statistic: confidence.Statistic, maps: Maps) -> dict[str, float]:
    found = confidence.intervals(statistic, range(maps.frames), rng=np.random.default_rng(0))
    ends = [(np.nan, np.nan) if each is None else (each.low, each.high) for each in found]
    known = dict(zip(names, ends, strict=True))
    return _named(NAMES, *zip(*(known.get(name, (np.nan,) * 2) for name in NAMES), strict=True))


def _named(names, low, high) -> dict[str, float]:  # type: ignore[no-untyped-def]
    return {
        f"{name} {end}": float(value)
        for end, values in (("from", low), ("to", high))
        for name, value in zip(names, values, strict=True)
    }


# The harness moves the ends outwards (Student's quantile, jackknife), scikit-learn counts bins as
# ties: close, not equal.
BOOTSTRAP = Contest(
    task="95 % intervals from 2,000 resamples",
    contestants={
        "harness": Contestant(harness),
        "scikit-learn": Contestant(scikit_learn, within=0.05),
        "harness, component metrics": Contestant(harness_components),
    },
    frames=100,
    smooth_px=4,
    columns=("seconds", "ratio"),
)
