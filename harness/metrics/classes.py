"""What class predictions are worth: mIoU, calibration, failure detection, and open-mIoU.

Classes are Cityscapes train ids, 0 to 18; label 255 is ignored, except by open-mIoU, where it is
what should be rejected. Two states add, in integers: `ClassCounts` (confusion, reliability) and
`OpenCounts` (predictions that are kept or rejected at given thresholds).

Failure detection needs no state of its own. `misclassification_label` turns a frame's classes
into an anomaly label, so the pixel metrics of `harness.metrics.pixel` give AP, AUROC and FPR95 of
finding wrong pixels by their score, and `aurc` and `excess_aurc` read the same `PixelCounts`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import DataError, MetricError, ScoreError
from harness.metrics.pixel import PixelCounts
from harness.metrics.score_map import checked
from harness.types import ANOMALY, CLASS_NAMES, IGNORE, NORMAL, Classes, Label, Score

CLASSES = len(CLASS_NAMES)
VOID = CLASSES
"""The twentieth class of open-mIoU: whatever should be, or is, rejected."""
BINS = 15
"""Confidence bins ((i - 1) / 15, i / 15], the first closed: Guo et al. 2017."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Labelled pixels by label and predicted class, and by confidence: `of` one frame, `+` two.

    All are integers, so the order and grouping of frames do not matter. Confidences are summed
    in units of 2^-28, which is exact for every float32 from 1/32 to 1, hence for the largest
    softmax probability of up to 32 classes; smaller values are rounded to the nearest unit.
    """

    confusion: Counts  # (19, 19), pixels of [label, predicted class]
    pixels: Counts  # (15,) pixels in each confidence bin, all zero if no confidence was given
    right: Counts  # (15,) those whose predicted class is the label
    confidence: tuple[int, ...]  # (15,) their confidences, summed, in units of 2^-28

    @classmethod
    def of(
        cls, predicted: Classes, classes: Classes, confidence: NDArray[np.float32] | None = None
    ) -> Self:
        """The counts of one frame.

        Args:
            predicted: (H, W) train ids 0 to 18.
            classes: (H, W) labelled train ids 0 to 18, or 255 for ignored.
            confidence: (H, W) largest softmax probability; above 1 by at most 1e-6 counts as 1.

        Raises:
            ScoreError: predictions or confidences of another size, type or range.
            DataError: a label is something else.
        """
        predicted, classes = _checked_classes(predicted, classes)
        # Ignored pixels get cells of their own, beyond the others: faster than picking the rest.
        cell = classes.ravel().astype(np.uint16) * CLASSES + predicted.ravel()
        confusion = np.bincount(cell, minlength=CLASSES**2)[: CLASSES**2]
        pixels, right = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
        sums = [0] * BINS
        if confidence is not None:
            labelled = classes != IGNORE
            certain = _checked_confidence(confidence, classes.shape)[labelled]
            is_right = (predicted == classes)[labelled]
            # 2^24 pixels at a time: their sum is below 2^53, where float64 still counts by ones.
            for start in range(0, certain.size, _EXACT_AT_ONCE):
                part = slice(start, start + _EXACT_AT_ONCE)
                units = np.rint(np.minimum(certain[part], 1).astype(np.float64) * CONFIDENCE_UNITS)
                # Exact in float64: whole numbers below 2^32, divided by a power of 2.
                place = np.ceil(units * (BINS / CONFIDENCE_UNITS)).astype(np.int64) - 1
                np.maximum(place, 0, out=place)
                either = np.bincount(place + BINS * is_right[part], minlength=2 * BINS)
                pixels += either[:BINS] + either[BINS:]
                right += either[BINS:]
                new = np.bincount(place, weights=units, minlength=BINS)
                sums = [old + int(more) for old, more in zip(sums, new, strict=True)]
        return cls(confusion.reshape(CLASSES, CLASSES).astype(np.int64), pixels, right, tuple(sums))

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        return type(self)(
            self.confusion + other.confusion,
            self.pixels + other.pixels,
            self.right + other.right,
            tuple(a + b for a, b in zip(self.confidence, other.confidence, strict=True)),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClassCounts):
            return NotImplemented
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ClassCounts({int(self.confusion.sum()):,} labelled pixels)"

    def to_json(self) -> list[int]:
        """406 integers: confusion by rows, pixels, right, confidence; `from_json` reads them."""
        flat = np.concatenate((self.confusion.ravel(), self.pixels, self.right))
        return [int(count) for count in flat] + list(self.confidence)

    @classmethod
    def from_json(cls, numbers: Sequence[int]) -> Self:
        """The counts that `to_json` wrote.

        Raises:
            DataError: not such a list.
        """
        cells = CLASSES**2
        if len(numbers) != cells + 3 * BINS or not all(type(n) is int and n >= 0 for n in numbers):
            raise DataError(
                f"saved class counts are {cells + 3 * BINS} integers from 0 up, "
                f"but here are {len(numbers)} values of another kind or number."
            )
        flat = np.array(numbers[: cells + 2 * BINS], np.int64)
        return cls(
            flat[:cells].reshape(CLASSES, CLASSES),
            flat[cells : cells + BINS],
            flat[cells + BINS :],
            tuple(numbers[cells + 2 * BINS :]),
        )


class MeanIoU(NamedTuple):
    """A mean over classes, and over how many of them it was taken."""

    value: float
    classes: int


class ReliabilityBin(NamedTuple):
    """The labelled pixels whose confidence lies in (low, high]."""

    low: float
    high: float
    pixels: int
    accuracy: float
    confidence: float  # mean


def iou_per_class(counts: ClassCounts) -> tuple[float | None, ...]:
    """Intersection over union of each class in [0, 1], by train id; None where it is not defined.

    TP / (TP + FP + FN) over all labelled pixels of all frames. As in the Cityscapes script
    (`evalPixelLevelSemanticLabeling.py`), a class is undefined where that sum is 0: it is neither
    labelled nor predicted. A class that is predicted but labelled nowhere has IoU 0.
    """
    hit = np.diagonal(counts.confusion)
    union = counts.confusion.sum(axis=0) + counts.confusion.sum(axis=1) - hit
    return _ratios(hit, union)


def miou(counts: ClassCounts) -> MeanIoU:
    """Mean IoU in [0, 1] over the classes where it is defined, and how many these are.

    The rule of `iou_per_class`, hence that of Cityscapes and of a nanmean in mmsegmentation.
    """
    return _mean(iou_per_class(counts), "mIoU")


def pixel_accuracy(counts: ClassCounts) -> float:
    """The share of labelled pixels whose predicted class is right, in [0, 1].

    MultiShiftSeg prints this as "mAcc"; it is not the mean of the classes' accuracies.
    """
    pixels = int(counts.confusion.sum())
    if not pixels:
        raise MetricError("pixel accuracy is not defined: no pixel has a class label.")
    return int(np.trace(counts.confusion)) / pixels


def expected_calibration_error(counts: ClassCounts) -> float:
    """ECE in [0, 1]: the gap between accuracy and mean confidence of each bin, by its pixels.

    Guo et al. 2017 (https://arxiv.org/abs/1706.04599), equation 3, with their 15 bins of equal
    width; added up in integers and divided once.

    Raises:
        MetricError: no labelled pixel, or some of them came without a confidence.
    """
    pixels = _need_confidence(counts)
    gaps = zip(counts.right.tolist(), counts.confidence, strict=True)
    return float(
        sum(abs(right * CONFIDENCE_UNITS - total) for right, total in gaps)
        / (pixels * CONFIDENCE_UNITS)
    )


def reliability_curve(counts: ClassCounts) -> tuple[ReliabilityBin, ...]:
    """Accuracy beside confidence, one `ReliabilityBin` per bin that holds a pixel, ascending.

    Raises:
        MetricError: no labelled pixel, or some of them came without a confidence.
    """
    _need_confidence(counts)
    rows = zip(counts.pixels.tolist(), counts.right.tolist(), counts.confidence, strict=True)
    return tuple(
        ReliabilityBin(
            i / BINS, (i + 1) / BINS, pixels, right / pixels, total / (pixels * CONFIDENCE_UNITS)
        )
        for i, (pixels, right, total) in enumerate(rows)
        if pixels
    )


def misclassification_label(predicted: Classes, classes: Classes) -> Label:
    """(H, W) uint8: ANOMALY where the predicted class is wrong, NORMAL where right, else IGNORE.

    A score map counted against it (`Pivots`, `PixelCounts`) gives failure detection: AP, AUROC,
    FPR95, `aurc`.
    """
    predicted, classes = _checked_classes(predicted, classes)
    label = np.where(predicted == classes, NORMAL, ANOMALY).astype(np.uint8)
    label[classes == IGNORE] = IGNORE
    return label


def rejection_label(predicted: Classes, classes: Classes) -> Label:
    """(H, W) uint8: NORMAL where the predicted class is right, ANOMALY elsewhere, void included.

    What FlowEneDet's open-mIoU wants rejected; no pixel is ignored.
    """
    predicted, classes = _checked_classes(predicted, classes)
    return np.where(predicted == classes, NORMAL, ANOMALY).astype(np.uint8)


def aurc(counts: PixelCounts) -> float:
    """Area under the risk-coverage curve, in [0, 1]; lower is better.

    `counts` come from `misclassification_label`: an anomalous pixel is a wrong one. Accept pixels
    from the lowest score to the highest. The risk at i pixels is the share of wrong ones among
    them, and the area is the mean risk over i = 1 .. n: Geifman, Uziel, El-Yaniv 2018
    (https://arxiv.org/abs/1805.08206), section 3. Of pixels with equal scores any order may come
    first, so the area is the expected one over their orders: within such a group, wrong pixels
    are accepted at a steady rate. Right pixels among themselves need no order, hence the counts at
    the scores of wrong pixels are enough.

    Raises:
        MetricError: no pixel is labelled. Without any wrong pixel it is 0, with wrong ones only 1.
    """
    n = counts.normal + counts.anomaly
    if not n:
        raise MetricError("AURC is not defined: no pixel has a class label.")
    wrong, group = counts.anomaly_equal, counts.anomaly_equal + counts.normal_equal
    wrong_below = counts.anomaly - counts.anomaly_at_least
    below = n - counts.anomaly_at_least - counts.normal_at_least  # accepted before the group
    after = below + group
    # Sum over j = 1 .. group of (wrong_below + rate j) / (below + j), and then, up to the next
    # group, of a constant number of wrong ones over the growing number of accepted ones.
    rate = wrong / group.clip(1)
    groups = (wrong_below - rate * below) * _harmonic_steps(below, after) + wrong
    gaps = (wrong_below + wrong) * _harmonic_steps(after, np.append(below[1:], n)[: len(after)])
    return float(np.sum(groups) + np.sum(gaps)) / n


def excess_aurc(counts: PixelCounts) -> float:
    """E-AURC, at least 0: `aurc` less that of the best order, which accepts every right pixel
    first.

    Geifman et al. 2018, section 3. The best order's area is summed, not approximated by
    r + (1 - r) ln(1 - r), so a perfect score has excess 0.
    """
    area = aurc(counts)
    n = counts.normal + counts.anomaly
    steps = _harmonic_steps(np.array([counts.normal]), np.array([n]))
    best = (counts.anomaly - counts.normal * float(steps[0])) / n
    return max(0.0, area - best)  # rounding may leave -1e-17 of a perfect score


@dataclass(frozen=True, eq=False)
class OpenCounts:
    """Pixels by score interval, right or wrong, and predicted class: `of` one frame, `+` two.

    From this follow open-IoU and open-mIoU at each of the thresholds. A pixel is rejected if its
    score is above the threshold, as in FlowEneDet; thresholds are compared in float32.
    """

    thresholds: Score  # (T,) distinct, ascending
    pixels: Counts  # (T + 1, 2, 19): above how many thresholds, 0 wrong or void, 1 right, class

    @classmethod
    def of(cls, score: Score, predicted: Classes, classes: Classes, thresholds: ArrayLike) -> Self:
        """The counts of one frame.

        Args:
            score: (H, W) float32, higher where more anomalous.
            predicted: (H, W) train ids 0 to 18.
            classes: (H, W) labelled train ids 0 to 18, or 255 for void; void is not ignored here.
            thresholds: one or more scores: a tuned one, or a grid to tune on.
        """
        predicted, classes = _checked_classes(predicted, classes)
        score = checked(score, classes.shape, where="score map")
        steps = np.unique(np.atleast_1d(np.asarray(thresholds, dtype=np.float32)))
        if not steps.size or not np.isfinite(steps).all():
            raise ValueError("open-mIoU needs one finite threshold or more.")
        above = np.searchsorted(steps, score.ravel(), side="left")  # thresholds below the score
        right = (predicted == classes).ravel()
        cell = (above * 2 + right) * CLASSES + predicted.ravel()
        counted = np.bincount(cell, minlength=(steps.size + 1) * 2 * CLASSES)
        return cls(steps, counted.reshape(-1, 2, CLASSES).astype(np.int64))

    def __add__(self, other: "OpenCounts") -> "OpenCounts":
        if not np.array_equal(self.thresholds, other.thresholds):
            raise MetricError(
                "counts at different thresholds do not add. Count every frame at the same ones."
            )
        return type(self)(self.thresholds, self.pixels + other.pixels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OpenCounts):
            return NotImplemented
        return np.array_equal(self.thresholds, other.thresholds) and np.array_equal(
            self.pixels, other.pixels
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"OpenCounts({int(self.pixels.sum()):,} pixels, {len(self.thresholds)} thresholds)"

    def to_json(self) -> list[Any]:
        """[thresholds, counts], both flat lists of numbers; `from_json` reads them."""
        return [[float(t) for t in self.thresholds], [int(n) for n in self.pixels.ravel()]]

    @classmethod
    def from_json(cls, saved: Sequence[Any]) -> Self:
        """The counts that `to_json` wrote.

        Raises:
            DataError: not such a list.
        """
        try:
            steps, pixels = np.array(saved[0], np.float32), np.array(saved[1], np.int64)
            return cls(steps, pixels.reshape(steps.size + 1, 2, CLASSES))
        except (IndexError, TypeError, ValueError, KeyError) as error:
            raise DataError(f"saved open-set counts cannot be read: {error}.") from error


class BestOpenMIoU(NamedTuple):
    """The largest open-mIoU of the counted thresholds, and the highest threshold that gives it."""

    value: float
    threshold: float


def open_iou_per_class(counts: OpenCounts, threshold: float) -> tuple[float | None, ...]:
    """Open-IoU in [0, 1] of the 19 classes and, last, of void, as FlowEneDet defines it.

    Rejected pixels (score above the threshold) are predicted as void; pixels whose predicted class
    is wrong, and those labelled void, count as labelled void; nothing is ignored. So a wrong
    prediction that is rejected is right, and one that is kept misses void. None where a class is
    neither labelled nor predicted. Source: `mmseg/core/evaluation/metrics.py` of FlowEneDet.

    The threshold decides what the number is. With `flowenedet_threshold` averaged over the same
    frames it is an oracle; with one from a validation set it is not.
    """
    place = int(np.searchsorted(counts.thresholds, np.float32(threshold)))
    if place == len(counts.thresholds) or counts.thresholds[place] != np.float32(threshold):
        raise MetricError(
            f"open-mIoU was not counted at threshold {threshold}. "
            "Pass it to OpenCounts.of among the thresholds."
        )
    return _open_iou(counts, place)


def open_miou(counts: OpenCounts, threshold: float) -> MeanIoU:
    """Mean of `open_iou_per_class` over the (up to 20) classes where it is defined."""
    return _mean(open_iou_per_class(counts, threshold), "open-mIoU")


def best_open_miou(counts: OpenCounts) -> BestOpenMIoU:
    """The largest open-mIoU of the counted thresholds, and its threshold.

    An oracle on the frames that it was counted on. On a validation set, it tunes the threshold
    for another set.
    """
    best = BestOpenMIoU(-1.0, math.inf)
    for place in range(len(counts.thresholds) - 1, -1, -1):
        value = _mean(_open_iou(counts, place), "open-mIoU").value
        if value > best.value:
            best = BestOpenMIoU(value, float(counts.thresholds[place]))
    return best


def flowenedet_threshold(score: Score, predicted: Classes, classes: Classes) -> float:
    """The score threshold with the best F1 for finding one frame's wrong and void pixels.

    FlowEneDet's open-mIoU takes the mean of this over the evaluated frames (`mean_threshold`),
    which makes it an oracle. Of equally good thresholds the lowest, as the first maximum of
    scikit-learn's ascending curve, in the same floating-point steps.

    Raises:
        MetricError: no pixel is wrong or void. (The original then takes the frame's lowest or
            highest score, depending on the version of scikit-learn.)
    """
    counts = PixelCounts.of(score, rejection_label(predicted, classes))
    if not counts.anomaly:
        raise MetricError("this frame has no threshold of best F1: no pixel is wrong or void.")
    tp = counts.anomaly_at_least.astype(np.float64)
    precision, recall = tp / (tp + counts.normal_at_least), tp / counts.anomaly
    f1 = 2 * precision * recall / (precision + recall)
    return float(counts.pivots.values[np.argmax(f1)])


def mean_threshold(thresholds: Iterable[float]) -> float:
    """The mean of the frames' thresholds, whatever their order.

    Raises:
        MetricError: there is none.
    """
    values = list(thresholds)
    if not values:
        raise MetricError("there is no threshold to average: no frame has a wrong or void pixel.")
    return math.fsum(values) / len(values)


CONFIDENCE_UNITS = 2**28  # units of confidence in 1
_EXACT_AT_ONCE = 2**24  # pixels
_TABLE = 256  # harmonic numbers below this come from a table


def _checked_classes(predicted: Classes, classes: Classes) -> tuple[Classes, Classes]:
    predicted, classes = np.asarray(predicted), np.asarray(classes)
    if predicted.shape != classes.shape:
        raise ScoreError(
            f"the predicted classes are {predicted.shape}, the labelled ones {classes.shape}. "
            "Predict one train id per pixel of the image."
        )
    for what, ids in (("predicted", predicted), ("labelled", classes)):
        if ids.dtype.kind not in "ui":
            kind = ScoreError if ids is predicted else DataError
            raise kind(f"the {what} classes are {ids.dtype}; train ids as uint8 were expected.")
    if predicted.size and (predicted.min() < 0 or predicted.max() >= CLASSES):
        raise ScoreError(
            f"the predicted classes reach from {predicted.min()} to {predicted.max()}, but train "
            f"ids are 0 to {CLASSES - 1}. A void prediction is no class: predict the best of 19."
        )
    strange = (classes != IGNORE) & ((classes < 0) | (classes >= CLASSES))
    if strange.any():
        found = ", ".join(str(value) for value in np.unique(classes[strange]))
        raise DataError(
            f"the class labels hold {found}, but train ids are 0 to {CLASSES - 1} and 255 "
            "(ignored). Translate them before counting."
        )
    return predicted, classes


def _checked_confidence(
    confidence: NDArray[np.float32], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    confidence = np.asarray(confidence)
    if confidence.shape != shape or confidence.dtype.kind != "f":
        raise ScoreError(
            f"the confidences are {confidence.dtype} of {confidence.shape}; floats of {shape} were "
            "expected, the largest softmax probability of each pixel."
        )
    if not np.all((confidence >= 0) & (confidence <= 1 + 1e-6)):  # NaN fails too
        raise ScoreError(
            f"confidences reach from {confidence.min()} to {confidence.max()}, but the largest "
            "softmax probability lies in [0, 1]."
        )
    return confidence


def _need_confidence(counts: ClassCounts) -> int:
    labelled, pixels = int(counts.confusion.sum()), int(counts.pixels.sum())
    if not labelled:
        raise MetricError("calibration is not defined: no pixel has a class label.")
    if pixels != labelled:
        raise MetricError(
            f"calibration is not defined: {labelled - pixels:,} of {labelled:,} labelled pixels "
            "came without a confidence."
        )
    return pixels


def _ratios(part: Counts, whole: Counts) -> tuple[float | None, ...]:
    pairs = zip(part.tolist(), whole.tolist(), strict=True)
    return tuple(a / b if b else None for a, b in pairs)


def _mean(values: tuple[float | None, ...], what: str) -> MeanIoU:
    defined = [value for value in values if value is not None]
    if not defined:
        raise MetricError(f"{what} is not defined: no pixel was counted.")
    return MeanIoU(math.fsum(defined) / len(defined), len(defined))


def _open_iou(counts: OpenCounts, place: int) -> tuple[float | None, ...]:
    kept = counts.pixels[: place + 1].sum(axis=0)
    rejected = counts.pixels[place + 1 :].sum(axis=0)
    wrong, right = kept + rejected
    hit = np.append(kept[1], rejected[0].sum())
    predicted = np.append(kept.sum(axis=0), rejected.sum())
    labelled = np.append(right, wrong.sum())
    return _ratios(hit, predicted + labelled - hit)


def _harmonic_steps(start: Counts, stop: Counts) -> NDArray[np.float64]:
    """1 / (start + 1) + … + 1 / stop for each pair, to about 1e-16 of its value."""
    table = np.concatenate(([0.0], np.cumsum(1 / np.arange(1, _TABLE + 1))))
    small = table[np.minimum(stop, _TABLE)] - table[np.minimum(start, _TABLE)]
    a = np.maximum(start, _TABLE).astype(np.float64)
    b = np.maximum(stop, _TABLE).astype(np.float64)
    # Euler-Maclaurin from a to b. Each difference of powers is a product with (a - b), because
    # the difference of two near numbers would lose its digits.
    x, y = 1 / a, 1 / b
    difference = -(b - a) * x * y  # 1 / b - 1 / a
    squares = difference * (x + y)  # 1 / b^2 - 1 / a^2
    fourths = squares * (x * x + y * y)
    large: NDArray[np.float64] = (
        np.log1p((b - a) / a) + difference / 2 - squares / 12 + fourths / 120
    )
    return small + large
