"""The SMIYC kit's own numbers, its approximations included, so that its leaderboard can be quoted.

The evaluation kit of Segment Me If You Can (github.com/SegmentMeIfYouCan/road-anomaly-benchmark,
as of August 2023) publishes numbers that differ from the exact ones: it stores score maps as
float16, floors every score to at most 770 bin edges of its own frame, and calls a pixel anomalous
from the edge on in pixel metrics, but only *above* it in component metrics. This module follows it
in all that, in code of its own.

    counts = total(KitCounts.of(score, label, frame=frame_id) for …)           # pixel metrics
    pixel = kit_pixel(counts)
    components = total(kit_components(score, label, pixel.threshold, ANOMALY_TRACK) for …)
    mean_siou(components), mean_ppv(components), kit_f1_star(components)       # from component.py

What follows from the recipe, and is not mended here:

- A perfect map of zeros and ones has AP 1 and best F1 1 at threshold 1, but no pixel is above 1, so
  no component is found: sIoU 0, F1* 0, PPV undefined.
- Few anomalous pixels keep their scores while normal ones are floored: AP comes out too high, the
  more so the smaller the objects are.
- The curve starts with a part of the highest score, that of one frame, where several frames share
  it: so AP depends on the names of frames. The kit takes frames in the order of their sorted ids,
  and where its unstable sort leaves the order of ties open, the last frame comes first here.
- Scores closer than float16 can tell become ties (float16 has 11 significant bits, and nothing
  below 6e-8). Scores beyond 65504 would become infinite; the kit then reports wrong numbers without
  a word, here its metrics are undefined.

Two things are left out. The kit enlarges maps narrower than the image; here all maps have full
size. In frames with fewer pixels *outside* of anomalies than the smallest labelled component may
have, the kit ignores those pixels; no real frame has so few.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import MetricError
from harness.metrics.component import ComponentCounts, Finds, MinimumSizes
from harness.metrics.score_map import checked
from harness.types import ANOMALY, NORMAL, Label, Score

KIT_TAUS = tuple(float(tau) for tau in np.linspace(0.25, 0.75, 11))
"""The kit's overlaps; the eighth is 0.6000000000000001, so an sIoU of exactly 0.6 misses it."""

MOST_QUANTILES = 384
"""Bin edges per class and frame, at most."""


def stored(score: Score) -> NDArray[np.float16]:
    """The map as the kit's files hold it, float16; infinite where a score is beyond 65504."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(score).astype(np.float16)


# ------------------------------------------------------------------------------------------ pixels


class _Bins(NamedTuple):
    """One frame's pixels in its own bins, as the score falls."""

    frame: str
    edge: NDArray[np.float64]  # (n,) lower edges
    anomaly: NDArray[np.int64]  # (n,) pixels in the bin
    normal: NDArray[np.int64]  # (n,)
    problem: str  # why the kit has no sound number for this frame, or ""


@dataclass(frozen=True, eq=False)
class KitCounts:
    """Pixels in the kit's bins, at most 769 a frame: `of` one frame, `+` two, in any order."""

    frames: tuple[_Bins, ...]

    @classmethod
    def of(cls, score: Score, label: Label, *, frame: str) -> "KitCounts":
        """The counts of one frame.

        Args:
            score: (H, W) float32, as `score_map.checked` returns it; rounded to float16 here.
            label: (H, W) uint8 of NORMAL, ANOMALY and IGNORE.
            frame: its id; ids sorted as text give the order of frames.
        """
        label = np.asarray(label)
        half = stored(checked(score, label.shape, where="score map"))
        return cls((_bins_of(half[label == ANOMALY], half[label == NORMAL], frame),))

    def __add__(self, other: "KitCounts") -> "KitCounts":
        return KitCounts(self.frames + other.frames)


@dataclass(frozen=True)
class KitPixel:
    """The kit's pixel metrics as fractions, and the threshold that its component metrics use."""

    average_precision: float
    auroc: float
    fpr95: float
    best_f1: float
    threshold: float  # of best F1; the highest, if several are as good


def kit_pixel(counts: KitCounts) -> KitPixel:
    """The kit's AP, AUROC, FPR95, best F1 and its threshold.

    Raises:
        MetricError: no anomalous or no normal pixel (the kit: nan, or FPR95 0), a frame without any
            pixel that counts (the kit stops), or scores beyond float16 (the kit: wrong numbers).
    """
    frames = sorted(counts.frames, key=lambda bins: bins.frame)
    problems = [f"frame '{bins.frame}': {bins.problem}" for bins in frames if bins.problem]
    if problems:
        more = f" ({len(problems)} frames like this)" if len(problems) > 1 else ""
        raise MetricError(f"the SMIYC kit's metrics are not defined, {problems[0]}{more}.")
    positives = sum(int(bins.anomaly.sum()) for bins in frames)
    negatives = sum(int(bins.normal.sum()) for bins in frames)
    if not positives or not negatives:
        missing = "normal" if positives else "anomalous"
        raise MetricError(f"the SMIYC kit's metrics are not defined: there is no {missing} pixel.")

    edge = np.concatenate([bins.edge for bins in frames])
    falling = np.argsort(edge, kind="stable")[::-1]
    edge = edge[falling]
    tp = np.cumsum(np.concatenate([bins.anomaly for bins in frames])[falling])
    fp = np.cumsum(np.concatenate([bins.normal for bins in frames])[falling])
    # One point where a run of equal edges ends, but always the very first entry too.
    ends = np.flatnonzero(edge[:-1] != edge[1:])
    points = np.concatenate(([0], ends, [len(edge) - 1]))
    threshold = np.concatenate(([np.inf], edge[points]))
    tp = np.concatenate(([0], tp[points]))
    fp = np.concatenate(([0], fp[points]))

    tpr, fpr = tp / positives, fp / negatives
    precision = np.concatenate(([1.0], tp[1:] / (tp[1:] + fp[1:])))
    f1 = 2 * tp / (tp + fp + positives)
    best = int(np.argmax(f1))
    return KitPixel(
        average_precision=float(np.sum(np.diff(tpr) * precision[1:])),
        auroc=float(np.trapezoid(tpr, fpr)),
        fpr95=float(fpr[np.searchsorted(tpr, 0.95)]),
        best_f1=float(f1[best]),
        threshold=float(threshold[best]),
    )


# -------------------------------------------------------------------------------------- components


def kit_components(
    score: Score, label: Label, threshold: float, minimum: MinimumSizes
) -> ComponentCounts:
    """The components of one frame at `threshold`, where the kit sees a prediction.

    That is: float16 scores above (never equal to) the threshold, itself rounded to float16, as the
    kit's pinned NumPy does. Add frames with `+`.

    Args:
        score: (H, W) float32, as `score_map.checked` returns it.
        label: (H, W) uint8 of NORMAL, ANOMALY and IGNORE.
        threshold: `kit_pixel(counts).threshold`, or any other.
        minimum: `component.ANOMALY_TRACK` or `component.OBSTACLE_TRACK`.
    """
    label = np.asarray(label)
    half = stored(checked(score, label.shape, where="score map"))
    with np.errstate(over="ignore", under="ignore"):
        # As float32, which holds every float16: comparing those is much slower.
        predicted = half.astype(np.float32) > np.float32(np.float16(threshold))
    return ComponentCounts.of_mask(predicted, label, minimum)


def kit_finds(counts: ComponentCounts, tau: float) -> Finds:
    """How many components are found, missed and invented at `tau`, one of KIT_TAUS.

    Compared as the kit does, rounded quotients with a rounded tau.
    """
    labelled, predicted = counts.labelled, counts.predicted
    found = int(np.count_nonzero(labelled.overlap_px / labelled.union_px >= tau))
    invented = int(np.count_nonzero(predicted.overlap_px / predicted.area_px < tau))
    return Finds(tp=found, fn=labelled.area_px.size - found, fp=invented)


def kit_f1(counts: ComponentCounts, tau: float) -> float:
    """F1 = 2 TP / (2 TP + FN + FP) of the components at `tau`, in [0, 1].

    Raises:
        MetricError: no component was labelled and none predicted (the kit stops).
    """
    tp, fn, fp = kit_finds(counts, tau)
    if not tp + fn + fp:
        raise MetricError(
            "the SMIYC kit's F1 is not defined: there is neither a labelled nor a predicted "
            "component that is large enough."
        )
    return 2 * tp / (2 * tp + fn + fp)


def kit_f1_star(counts: ComponentCounts) -> float:
    """The mean of F1 over KIT_TAUS, in [0, 1]; the kit calls it f1_mean."""
    return sum(kit_f1(counts, tau) for tau in KIT_TAUS) / len(KIT_TAUS)


def kit_siou_of_predictions(counts: ComponentCounts) -> float:
    """Mean sIoU of predicted components with what is labelled, in [0, 1]; the kit's sIoU_pred."""
    predicted = counts.predicted
    if not predicted.area_px.size:
        raise MetricError(
            "the SMIYC kit's sIoU of predictions is not defined: nothing large enough is predicted."
        )
    return float(np.mean(predicted.overlap_px / predicted.union_px))


# ----------------------------------------------------------------------------------------- private

_MINUS_ZERO = 0x8000
_ASCENDING = np.concatenate((np.arange(2**16 - 1, 2**15 - 1, -1), np.arange(2**15)))
"""The bits of all float16 in ascending order of their values; NaN at both ends."""
_VALUES = _ASCENDING.astype(np.uint16).view(np.float16)


class _Tally:
    """How often each float16 occurs: sorting without a sort."""

    def __init__(self, values: NDArray[np.float16]) -> None:
        times = np.bincount(values.view(np.uint16), minlength=2**16)
        times[0] += times[_MINUS_ZERO]  # which equals 0
        times[_MINUS_ZERO] = 0
        times = times[_ASCENDING]
        here = np.flatnonzero(times)
        self.values = _VALUES[here]  # distinct, ascending
        self.up_to = np.cumsum(times[here])
        self.size = int(values.size)

    def ranked(self, rank: NDArray[np.int64]) -> NDArray[np.float16]:
        """The values at these places of the sorted list."""
        return self.values[np.searchsorted(self.up_to, rank, side="right")]

    def quantiles(self, most: int) -> NDArray[np.float64]:
        """At most `most` evenly spaced quantiles, with every rounding step of numpy's `quantile`.

        The difference of neighbours is a float16; an edge may so come to lie above the very score
        that it was taken from.
        """
        if not self.size:
            return np.empty(0)
        place = (self.size - 1) * np.linspace(0, 1, min(most, self.size))
        below = np.minimum(np.floor(place).astype(np.int64), self.size - 1)
        part = place - below
        low, high = self.ranked(below), self.ranked(np.minimum(below + 1, self.size - 1))
        with np.errstate(over="ignore", invalid="ignore"):
            step = (high - low).astype(np.float64)
            from_low, from_high = low + step * part, high - step * (1 - part)
        return np.where(part >= 0.5, from_high, from_low)

    def below(self, edge: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many values are below each edge."""
        return np.append(0, self.up_to)[np.searchsorted(self.values.astype(np.float64), edge)]


def _bins_of(anomaly: NDArray[np.float16], normal: NDArray[np.float16], frame: str) -> _Bins:
    nothing = np.empty(0, np.int64)
    empty = _Bins(frame, np.empty(0), nothing, nothing, "")
    if not anomaly.size + normal.size:
        return empty._replace(problem="all of its pixels are ignored")
    beyond = sum(int(np.count_nonzero(np.isinf(values))) for values in (anomaly, normal))
    if beyond:
        return empty._replace(problem=f"{beyond:,} scores are beyond 65504, the end of float16")
    tallies = _Tally(anomaly), _Tally(normal)
    ends = np.concatenate([tally.values[[0, -1]] for tally in tallies if tally.size])
    least, most = ends.min(), ends.max()
    with np.errstate(over="ignore"):
        margin = max(0.01 * float(most - least), 0.01)  # infinite at worst, which does no harm
    quantiles = np.concatenate([tally.quantiles(MOST_QUANTILES) for tally in tallies])
    if not np.isfinite(quantiles).all():
        return empty._replace(problem="neighbouring scores are more than 65504 apart")
    edges = np.unique(np.append(quantiles, [float(least) - margin, float(most) + margin]))
    found, false = (np.diff(tally.below(edges))[::-1] for tally in tallies)
    return _Bins(frame, edges[:-1][::-1], found, false, "")
