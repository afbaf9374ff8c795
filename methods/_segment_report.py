"""What removal by meta classifiers makes of the segments of a whole data set.

Two of them learn from the labels of the evaluated frames, so what they say is an oracle's: the
published one, which leaves out one segment at a time and standardises features by all of them, and
one that leaves out whole frames and standardises by the others. The third is that of the method
itself, where it removes segments: it was fitted elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError, MethodError
from harness.method import Method
from harness.types import IGNORE, Frame, Label
from methods._meta_classification import Kind, Quality, held_out, removed
from methods._posthoc import PostHoc
from methods._segment_judgement import JudgedSegments, RemovalCounts
from methods._segment_sight import RemovesSegments, Sight, sight
from methods._segments import segments_of

THRESHOLD = 0.7  # of the normalised entropy, as published

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Removal:
    """What one meta classifier makes of the segments."""

    quality: Quality
    counts: RemovalCounts
    learned_from: tuple[str, ...] | None  # names of data sets; None: the evaluated frames


@dataclass(frozen=True, eq=False)
class SeenSegments:
    """The segments of all frames beside their labels, and what the method's own classifier says."""

    judged: JudgedSegments
    chances: NDArray[np.float64] | None  # (n,) of being false; None: the method has no classifier


@dataclass(frozen=True)
class SegmentReport:
    """What meta classifiers make of the segments of a data set."""

    segments: int
    objects: int
    published: Removal  # each segment left out alone, standardised by all
    by_frames: Removal  # whole frames left out, standardised by the others
    own: Removal | None  # by the method's own classifier, fitted before; None: it has none


def segment_report(
    method: Method,
    frames: Sequence[Frame],
    *,
    threshold: float,
    classifier: Kind,
    folds: int,
    seed: int,
    progress: Progress,
) -> SegmentReport:
    """What meta classifiers make of the segments that `method` finds on labelled `frames`.

    Args:
        method: reads the output of a network.
        frames: with labels.
        threshold: segments are connected pixels whose score is at least this.
        classifier: of the two that learn here, which remove above 0.5.
        folds: of whole frames.
        seed: of the first weights and batches of `mlp`.
        progress: called with what is done, how many steps of it, of how many.

    Raises:
        MethodError: the method reads no network, or no classifier can be learned at the threshold.
        DataError: a frame has no label, or segments lie in one frame only.
    """
    seen = seen_segments(method, frames, threshold=threshold, progress=progress)
    judged, false = seen.judged, seen.judged.false_positive
    if false.all() or not false.any():
        on_all = f"none of the {false.size} segments lies on a labelled object"
        on_none = f"all {false.size} segments lie on labelled objects"
        raise MethodError(
            f"{on_all if false.all() else on_none} at threshold {threshold:g}, and a meta "
            "classifier must see both sorts; choose another --threshold."
        )

    with_segments, place = np.unique(judged.frame, return_inverse=True)
    if len(with_segments) < 2:
        raise DataError(
            f"all {false.size} segments at threshold {threshold:g} lie in one frame, and whole "
            "frames are to be left out; report a run of more frames."
        )

    def learned(what: str, **options: Any) -> Removal:
        chances = held_out(
            *(judged.features, false),
            kind=classifier,
            seed=seed,
            progress=lambda done, total: progress(what, done, total),
            **options,
        )
        return Removal(Quality.of(chances, false), judged.removal(removed(chances)), None)

    own = None
    if seen.chances is not None:
        assert isinstance(method, RemovesSegments), "it gave the chances"
        own = Removal(
            Quality.of(seen.chances, false, method.certainty),
            judged.removal(removed(seen.chances, method.certainty)),
            method.fitted_on,
        )
    return SegmentReport(
        segments=len(false),
        objects=judged.objects,
        published=learned("leaving out each segment", normalisation="transductive"),
        by_frames=learned("leaving out frames", folds=place % folds),
        own=own,
    )


def chosen_threshold(method: Method, given: float | None) -> float:
    """The threshold of `method`'s segments: its own where it removes some, else `given`, else 0.7.

    Raises:
        MethodError: the method reads no network, or removes segments at another threshold.
    """
    if not isinstance(method, PostHoc):
        raise MethodError(
            f"{type(method).__name__} reads no network's output, so its segments have no class "
            "probabilities; report a run of a post-hoc method, entropy for example."
        )
    if not isinstance(method, RemovesSegments):
        return THRESHOLD if given is None else given
    if given not in (None, method.threshold):
        raise MethodError(
            f"{type(method).__name__} removes segments at its own threshold "
            f"{method.threshold:g}; leave --threshold out, or report a run of its base."
        )
    return method.threshold


def seen_segments(
    method: Method, frames: Sequence[Frame], *, threshold: float, progress: Progress
) -> SeenSegments:
    """The segments that `method` finds on `frames`, before it removes any; see `segment_report`."""
    assert isinstance(method, PostHoc), "as `chosen_threshold` says"
    remover = method if isinstance(method, RemovesSegments) else None
    every: JudgedSegments | None = None
    chances: list[NDArray[np.float64]] = []
    highest = -np.inf
    for done, frame in enumerate(frames, 1):
        if frame.label is None:
            raise DataError(f"{frame.id}: has no anomaly label; the report needs labelled frames.")
        if remover is None:
            found = sight(method, frame.image, method._loaded.preprocess(frame.image))
        else:
            found = remover.unlowered(frame.image)
            chances.append(_own_chances(remover, found, frame.label))
        judged = JudgedSegments.seen(found.probabilities, found.mask(threshold), frame.label)
        every = judged if every is None else every + judged
        highest = max(highest, found.prediction.score[frame.label != IGNORE].max(initial=-np.inf))
        progress("finding segments", done, len(frames))
    assert every is not None, "there are frames"
    if not len(every.iou):
        raise MethodError(
            f"no labelled pixel scores {threshold:g} or more, the highest score is {highest:.4g}, "
            "so there is no segment; choose a lower --threshold."
        )
    return SeenSegments(every, np.concatenate(chances) if remover else None)


def _own_chances(method: RemovesSegments, found: Sight, label: Label) -> NDArray[np.float64]:
    """What the method's classifier says of the segments of one frame that labels are beside.

    The method sees no labels: its segments are not cut where pixels are ignored. So each of those
    that are judged is part of one of its own, and goes or stays with that.
    """
    mask = found.mask(method.threshold)
    whole = segments_of(found.probabilities, mask)
    cut = segments_of(found.probabilities, mask, void=label == IGNORE)
    owner = np.zeros(len(cut) + 1, np.int64)
    owner[cut.components.index] = whole.components.index
    if not len(cut):
        return np.zeros(0)
    return method.chances(whole)[owner[1:] - 1]
