"""Component metrics: were the objects found? Segment Me If You Can's definition, in integers.

The connected regions (8 neighbours) of anomalous labels are *labelled components*, those of pixels
that score at least a threshold *predicted components*. Following Chan et al., "SegmentMeIfYouCan:
A Benchmark for Anomaly Segmentation", NeurIPS Datasets and Benchmarks 2021 (arXiv:2104.14812), and
the order of steps of its evaluation kit:

1. Ignored pixels are no prediction; so they can cut a predicted component in two.
2. Predicted components smaller than a minimum are dropped.
3. Labelled components smaller than a minimum become ignored, and what was predicted on them too.
4. A labelled component k is judged with all predicted components K that touch it, by
   sIoU(k) = |k ∩ K| / |k ∪ K without those pixels of K that lie on other labelled components|;
   a predicted component p by PPV(p) = the share of p that lies on any labelled component.

Ours differs from the kit in two comparisons, on purpose: a pixel is predicted if its score is *at
least* the threshold, as in the pixel metrics, and sIoU and PPV are compared with tau as fractions
of integers. `of_mask` takes any other mask.

    counts = total(ComponentCounts.of(score, label, threshold, ANOMALY_TRACK) for …)
    mean_siou(counts), mean_ppv(counts), f1(counts, tau=50), f1_star(counts)

Everything works on runs (stretches of a row with one meaning), of which there are far fewer than
pixels: https://en.wikipedia.org/wiki/Connected-component_labeling, over an interval graph.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from harness.errors import MetricError
from harness.metrics.score_map import checked
from harness.types import ANOMALY, IGNORE, Label, Score

Integers = NDArray[np.int64]

TAUS = tuple(range(25, 80, 5))
"""Per cent of overlap that make a find: 25, 30, … 75."""


class MinimumSizes(NamedTuple):
    """Smaller components do not take part; in pixels."""

    predicted_px: int  # smaller predicted components are dropped
    labelled_px: int  # smaller labelled components become ignored


ANOMALY_TRACK = MinimumSizes(predicted_px=500, labelled_px=100)
OBSTACLE_TRACK = MinimumSizes(predicted_px=50, labelled_px=10)


class Components(NamedTuple):
    """Integers of n components, in no particular order."""

    area_px: Integers  # (n,)
    overlap_px: Integers  # (n,) of these, how many lie on components of the other kind
    union_px: Integers  # (n,) adjusted union with the components that touch it; sIoU's denominator


class Finds(NamedTuple):
    """Components found, missed and invented, at one tau."""

    tp: int  # labelled components with sIoU >= tau
    fn: int  # labelled components with sIoU < tau
    fp: int  # predicted components with PPV < tau


@dataclass(frozen=True, eq=False)
class ComponentCounts:
    """Three integers per component, at one threshold: `of` one frame, `+` two.

    Sums do not depend on the order or grouping of frames: every metric is a count, or an exactly
    rounded sum.
    """

    threshold: float  # nan for a mask that was given
    minimum: MinimumSizes
    _labelled: tuple[Components, ...] = field(default=(), repr=False)  # pieces: one per frame
    _predicted: tuple[Components, ...] = field(default=(), repr=False)

    @classmethod
    def of(
        cls, score: Score, label: Label, threshold: float, minimum: MinimumSizes
    ) -> "ComponentCounts":
        """The components of one frame, where the score is at least `threshold`.

        Args:
            score: (H, W) float32, as `score_map.checked` returns it.
            label: (H, W) uint8 of NORMAL, ANOMALY and IGNORE.
            threshold: compared as the exact number it is, not rounded to float32 first.
            minimum: `ANOMALY_TRACK`, `OBSTACLE_TRACK`, or sizes of one's own.
        """
        if math.isnan(threshold):
            raise MetricError("a threshold of NaN calls nothing anomalous; give a number.")
        score = checked(score, np.shape(label), where="score map")
        return cls._of(score >= _as_float32(threshold), label, float(threshold), minimum)

    @classmethod
    def of_mask(
        cls, predicted: NDArray[np.bool_], label: Label, minimum: MinimumSizes
    ) -> "ComponentCounts":
        """The components of one frame whose prediction is the mask `predicted`, (H, W) bool."""
        return cls._of(np.asarray(predicted, bool), label, math.nan, minimum)

    @classmethod
    def from_components(
        cls, labelled: Components, predicted: Components, threshold: float, minimum: MinimumSizes
    ) -> "ComponentCounts":
        """The counts that were saved as integers of components."""
        return cls(threshold, minimum, (labelled,), (predicted,))

    @classmethod
    def _of(
        cls, predicted: NDArray[np.bool_], label: Label, threshold: float, minimum: MinimumSizes
    ) -> "ComponentCounts":
        labelled, found = _components(predicted, np.asarray(label), minimum)
        return cls(threshold, minimum, (labelled,), (found,))

    def __add__(self, other: "ComponentCounts") -> "ComponentCounts":
        same = np.array_equal(self.threshold, other.threshold, equal_nan=True)
        if not same or self.minimum != other.minimum:
            raise MetricError(
                f"components at threshold {self.threshold} with {self.minimum} do not add to those "
                f"at threshold {other.threshold} with {other.minimum}."
            )
        return ComponentCounts(
            self.threshold,
            self.minimum,
            self._labelled + other._labelled,
            self._predicted + other._predicted,
        )

    @property
    def labelled(self) -> Components:
        """All labelled components that take part."""
        return _together(self._labelled)

    @property
    def predicted(self) -> Components:
        """All predicted components that take part."""
        return _together(self._predicted)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ComponentCounts):
            return NotImplemented
        return (
            np.array_equal(self.threshold, other.threshold, equal_nan=True)
            and self.minimum == other.minimum
            and np.array_equal(_sorted(self.labelled), _sorted(other.labelled))
            and np.array_equal(_sorted(self.predicted), _sorted(other.predicted))
        )

    __hash__ = None  # type: ignore[assignment]


def mean_siou(counts: ComponentCounts) -> float:
    """Mean sIoU of the labelled components, in [0, 1]; one that nothing touches has 0."""
    labelled = counts.labelled
    if not labelled.area_px.size:
        raise MetricError(
            "mean sIoU is not defined: there is no labelled component of at least "
            f"{counts.minimum.labelled_px} px."
        )
    return _mean(labelled.overlap_px / labelled.union_px)


def mean_ppv(counts: ComponentCounts) -> float:
    """Mean PPV of the predicted components, in [0, 1]."""
    predicted = counts.predicted
    if not predicted.area_px.size:
        raise MetricError(
            "mean PPV is not defined: there is no predicted component of at least "
            f"{counts.minimum.predicted_px} px."
        )
    return _mean(predicted.overlap_px / predicted.area_px)


def finds(counts: ComponentCounts, tau: int) -> Finds:
    """How many components are found, missed and invented at `tau`, an overlap in per cent."""
    labelled, predicted = counts.labelled, counts.predicted
    found = int(np.count_nonzero(100 * labelled.overlap_px >= tau * labelled.union_px))
    return Finds(
        tp=found,
        fn=labelled.area_px.size - found,
        fp=int(np.count_nonzero(100 * predicted.overlap_px < tau * predicted.area_px)),
    )


def f1(counts: ComponentCounts, tau: int) -> float:
    """F1 = 2 TP / (2 TP + FN + FP) of the components at `tau` per cent, in [0, 1].

    Without labelled components it is 0 as soon as anything is predicted; with neither, undefined.
    """
    tp, fn, fp = finds(counts, tau)
    if not tp + fn + fp:
        raise MetricError(
            f"F1@{tau} is not defined: there is neither a labelled component of at least "
            f"{counts.minimum.labelled_px} px nor a predicted one of at least "
            f"{counts.minimum.predicted_px} px."
        )
    return 2 * tp / (2 * tp + fn + fp)


def f1_star(counts: ComponentCounts) -> float:
    """F1*, the mean of F1 over tau = 25, 30, … 75 per cent, in [0, 1]."""
    return math.fsum(f1(counts, tau) for tau in TAUS) / len(TAUS)


def _as_float32(threshold: float) -> np.float32:
    """The least float32 that is at least `threshold`: scores compare with both alike."""
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    return near if float(near) >= threshold else np.nextafter(near, np.float32(np.inf))


def _mean(shares: NDArray[np.float64]) -> float:
    return math.fsum(shares.tolist()) / shares.size  # exactly rounded, so in any order


def _together(pieces: tuple[Components, ...]) -> Components:
    if not pieces:
        return Components(*(np.empty(0, np.int64) for _ in Components._fields))
    return Components(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def _sorted(components: Components) -> NDArray[np.int64]:
    table = np.stack(components)
    return table[:, np.lexsort(table)]


_PREDICTED, _LABELLED = 1, 2  # bits of what a run of pixels is


def _components(
    predicted: NDArray[np.bool_], label: Label, minimum: MinimumSizes
) -> tuple[Components, Components]:
    """The labelled and the predicted components of one frame."""
    meaning = predicted * np.uint8(_PREDICTED) + (label == ANOMALY) * np.uint8(_LABELLED)
    meaning[label == IGNORE] = 0
    start, stop, kind, width = _runs(meaning)
    length = stop - start

    of_label, label_area = _regions(start, stop, kind & _LABELLED > 0, width)
    of_prediction, prediction_area = _regions(start, stop, kind & _PREDICTED > 0, width)
    takes_part = np.append(label_area >= minimum.labelled_px, False)  # the last: no region
    large = np.append(prediction_area >= minimum.predicted_px, False)

    counted = takes_part[of_label] | (kind & _LABELLED == 0)  # not on a label too small
    here = large[of_prediction] & counted
    area = _summed(of_prediction[here], length[here], prediction_area.size)

    both = here & takes_part[of_label]
    pairs, which = np.unique(
        of_label[both] * max(prediction_area.size, 1) + of_prediction[both], return_inverse=True
    )
    shared = _summed(which, length[both], pairs.size)
    k, p = np.divmod(pairs, max(prediction_area.size, 1))
    of_k = _summed(k, shared, label_area.size)
    of_p = _summed(p, shared, prediction_area.size)
    # |k ∪ K| without K on other labels = |k| + |K| - |k ∩ K| - |K on other labels|
    union_k = label_area - of_k + _summed(k, area[p] - (of_p[p] - shared), label_area.size)
    union_p = area - of_p + _summed(p, label_area[k] - (of_k[k] - shared), area.size)
    kept, remaining = takes_part[:-1], area > 0
    return (
        Components(label_area[kept], of_k[kept], union_k[kept]),
        Components(area[remaining], of_p[remaining], union_p[remaining]),
    )


def _runs(meaning: NDArray[np.uint8]) -> tuple[Integers, Integers, NDArray[np.uint8], int]:
    """Stretches of one non-zero meaning within a row: start, stop, meaning; and a row's length.

    Positions count along rows that are one pixel longer than the image: that pixel is empty, so no
    run continues in the next row and none touches across the border.
    """
    height, width = meaning.shape
    line = np.zeros((height, width + 1), np.uint8)
    line[:, :width] = meaning
    flat = line.ravel()
    change = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate(([0], change, [flat.size]))
    kind = flat[bounds[:-1]] if flat.size else np.empty(0, np.uint8)
    full = np.flatnonzero(kind)
    return bounds[full], bounds[full + 1], kind[full], width + 1


def _regions(
    start: Integers, stop: Integers, member: NDArray[np.bool_], width: int
) -> tuple[Integers, Integers]:
    """For each run the number of its 8-connected region of `member` runs, else -1; the areas."""
    region = np.full(len(start), -1, np.int64)
    if not member.any():
        return region, np.empty(0, np.int64)
    begin, end = start[member], stop[member]
    runs = np.arange(len(begin))
    # Below run i lie, diagonals included, the runs first[i] … last[i] - 1 of the next row.
    first = np.searchsorted(end, begin + width - 1, side="right")
    last = np.searchsorted(begin, end + width + 1, side="left")
    below = last - first
    upper = np.repeat(runs, below)
    lower = np.arange(upper.size) - np.repeat(np.cumsum(below) - below - first, below)
    beside = np.flatnonzero(end[:-1] == begin[1:])  # one region, two meanings
    one, other = np.concatenate((upper, beside)), np.concatenate((lower, beside + 1))
    graph = coo_array((np.ones(one.size, bool), (one, other)), shape=(runs.size, runs.size))
    how_many, number = connected_components(graph, directed=False)
    region[member] = number
    return region, _summed(number, end - begin, how_many)


def _summed(group: Integers, amounts: Integers, groups: int) -> Integers:
    """The sum of `amounts` in each group; exact, as pixels of an image stay far below 2^53."""
    return np.bincount(group, weights=amounts, minlength=groups).astype(np.int64)
