"""Exact pixel metrics: counts at the scores of anomalous pixels, and what follows from them.

Every metric here changes its value only at a score that some anomalous pixel has (a *pivot*):
between two pivots, a lower threshold adds false positives and nothing else. So it is enough to
know, for each pivot, how many normal and anomalous pixels score at least as much, and how many
exactly as much. That state is exact, needs memory for the anomalous pixels only, and adds.

    pivots = total(Pivots.of(score, label) for score, label in maps)               # first pass
    counts = total(PixelCounts.of(score, label, pivots) for score, label in maps)  # second pass
    average_precision(counts), auroc(counts), fpr_at_tpr(counts, 0.95), best_f1(counts)

Why the pivots are always the anomalous scores, even where anomalous pixels are the majority: AP
is a sum over anomalous pixels, and one that stands alone adds another precision than one that
shares its score, which counts at the normal scores cannot tell. A majority of anomalies costs
memory, not exactness.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import DataError, MetricError, ScoreError
from harness.metrics.score_map import checked
from harness.types import ANOMALY, IGNORE, NORMAL, Label, Score

Counts = NDArray[np.int64]
_Waiting = tuple[tuple[Score, Score], ...]  # of each frame, its normal and its anomalous scores


class Pivots:
    """The distinct scores of anomalous pixels: `of` one frame, `+` two.

    Adding n frames one after the other takes time n log n: sorted runs are kept and merged with
    their equals, like the digits of a binary counter. `values` merges what is left.
    """

    __slots__ = ("_runs",)

    def __init__(self, values: ArrayLike = ()) -> None:
        """Pivots at the distinct finite `values`, any order, as float32."""
        run = _distinct(np.array(values, dtype=np.float32).ravel())
        self._runs: tuple[Score, ...] = (run,) if run.size else ()

    @classmethod
    def of(cls, score: Score, label: Label) -> Self:
        """The distinct scores of the anomalous pixels of one frame.

        Args:
            score: (H, W) float32, as `score_map.checked` returns it.
            label: (H, W) uint8 of NORMAL, ANOMALY and IGNORE.
        """
        score, label = _matching(score, label)
        return cls(score[label == ANOMALY])

    def __add__(self, other: "Pivots") -> "Pivots":
        runs = sorted(self._runs + other._runs, key=len, reverse=True)
        while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
            runs[-2:] = [_distinct(np.concatenate(runs[-2:]))]
        return self._from(tuple(runs))

    @property
    def values(self) -> Score:
        """(K,) float32, distinct, ascending; there is no -0.0, which equals 0.0."""
        if len(self._runs) != 1:
            self._runs = (_distinct(np.concatenate((np.empty(0, np.float32), *self._runs))),)
        return self._runs[0]

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pivots):
            return NotImplemented
        return self is other or np.array_equal(self.values, other.values)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Pivots({len(self)} scores)"

    @classmethod
    def _from(cls, runs: tuple[Score, ...]) -> Self:
        new = cls.__new__(cls)
        new._runs = runs
        return new


class PixelCounts:
    """How many normal and anomalous pixels score at least as much as, and exactly as much as, each
    pivot: `of` one frame, `+` two. Ignored pixels count nowhere.

    The counts do not depend on the order or the grouping of the frames. Pixels of several frames
    wait, as plain scores, to be sorted and joined with the pivots together, which costs as much
    as for one frame; that is a matter of speed (and of at most 2^25 waiting pixels), not of value.
    """

    __slots__ = ("_state", "anomaly", "normal", "pivots")

    pivots: Pivots
    normal: int
    """Normal pixels in all."""
    anomaly: int
    """Anomalous pixels in all."""

    def __init__(self, pivots: Pivots) -> None:
        """No pixel yet."""
        self.pivots = pivots
        self.normal = self.anomaly = 0
        self._state: tuple[_Joined | None, _Waiting] = (None, ())  # one, as threads may look

    @classmethod
    def of(cls, score: Score, label: Label, pivots: Pivots | None = None) -> Self:
        """The counts of one frame.

        Args:
            score: (H, W) float32, as `score_map.checked` returns it.
            label: (H, W) uint8 of NORMAL, ANOMALY and IGNORE.
            pivots: the pivots of all frames whose counts will be added; the frame's own, if it is
                to be judged alone.

        Raises:
            ScoreError: a score is not finite, or anomalous and none of the pivots.
            DataError: a label is something else.
        """
        score, label = _matching(score, label)
        is_normal, is_anomaly = label == NORMAL, label == ANOMALY
        counts = cls(Pivots.of(score, label) if pivots is None else pivots)
        counts.normal = int(np.count_nonzero(is_normal))
        counts.anomaly = int(np.count_nonzero(is_anomaly))
        if counts.normal + counts.anomaly + int(np.count_nonzero(label == IGNORE)) != label.size:
            known = (NORMAL, ANOMALY, IGNORE)
            found = ", ".join(str(value) for value in np.unique(label) if value not in known)
            raise DataError(
                f"the label holds {found}, but only 0 (normal), 1 (anomaly) and 255 (ignored) have "
                "a meaning. Translate it before counting."
            )
        counts._state = (None, ((score[is_normal], score[is_anomaly]),))
        counts._join_if_many()
        return counts

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        if self.pivots != other.pivots:
            raise MetricError(
                "counts at different pivots do not add. Add the pivots of all frames first, "
                "then count every frame at them."
            )
        both = type(self)(self.pivots)
        both.normal = self.normal + other.normal
        both.anomaly = self.anomaly + other.anomaly
        (mine, my_waiting), (theirs, their_waiting) = self._state, other._state
        joined = mine or theirs
        if mine is not None and theirs is not None:
            kind = _dtype(both.normal + both.anomaly)
            joined = _Joined(*(np.add(*two, dtype=kind) for two in zip(mine, theirs, strict=True)))
        both._state = (joined, my_waiting + their_waiting)
        both._join_if_many()
        return both

    @property
    def normal_at_least(self) -> Counts:
        """(K,) normal pixels that score at least as much as each pivot."""
        return self._all().normal_at_least.astype(np.int64)

    @property
    def normal_equal(self) -> Counts:
        """(K,) normal pixels that score exactly as much as each pivot."""
        return self._all().normal_equal.astype(np.int64)

    @property
    def anomaly_at_least(self) -> Counts:
        """(K,) anomalous pixels that score at least as much as each pivot."""
        return np.cumsum(self.anomaly_equal[::-1])[::-1]

    @property
    def anomaly_equal(self) -> Counts:
        """(K,) anomalous pixels that score exactly as much as each pivot."""
        return self._all().anomaly_equal.astype(np.int64)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PixelCounts):
            return NotImplemented
        return (
            (self.normal, self.anomaly) == (other.normal, other.anomaly)
            and self.pivots == other.pivots
            and all(map(np.array_equal, self._all(), other._all()))
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PixelCounts({self.normal:,} normal, {self.anomaly:,} anomalous pixels)"

    def __getstate__(self) -> tuple[Pivots, int, int, "_Joined"]:
        return self.pivots, self.normal, self.anomaly, self._all()  # never the waiting pixels

    def __setstate__(self, state: tuple[Pivots, int, int, "_Joined"]) -> None:
        self.pivots, self.normal, self.anomaly, joined = state
        self._state = (joined, ())

    def _all(self) -> "_Joined":
        joined, waiting = self._state
        if waiting or joined is None:
            new = _join(self.pivots.values, waiting, _dtype(self.normal + self.anomaly))
            if joined is not None:
                for mine, earlier in zip(new, joined, strict=True):
                    np.add(mine, earlier, out=mine)
            self._state = (new, ())
            return new
        return joined

    def _join_if_many(self) -> None:
        waiting = sum(normal.size for normal, _ in self._state[1])
        if waiting >= min(_MOST_WAITING, 16 * len(self.pivots)):
            self._all()


class BestF1(NamedTuple):
    """The largest F1 of any threshold, and the highest threshold that gives it."""

    f1: float
    threshold: float


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of the ROC and precision-recall curves, each exact, as the threshold falls.

    Arrays of one length. A pixel is called anomalous if its score is at least `threshold`.
    """

    threshold: NDArray[np.float64]  # from inf to -inf, between them pivots
    tpr: NDArray[np.float64]  # recall, in [0, 1]
    fpr: NDArray[np.float64]  # in [0, 1]
    precision: NDArray[np.float64]  # in [0, 1]; 1 at threshold inf, where nothing is predicted


def average_precision(counts: PixelCounts) -> float:
    """AP in [0, 1]: the mean, over anomalous pixels, of the precision at their score.

    Equals sum (R_k - R_k-1) P_k over falling thresholds, scikit-learn's `average_precision_score`;
    not the trapezoidal area, which flatters ties.
    """
    _need_both_classes(counts, "AP")
    # Pivots of frames that were not counted add nothing, and may have neither tp nor fp.
    sums = (
        float(np.sum(s.anomaly * (s.tp / np.maximum(s.tp + s.fp, 1)))) for s in _falling(counts)
    )
    return math.fsum(sums) / counts.anomaly


def auroc(counts: PixelCounts) -> float:
    """AUROC in [0, 1]: how often an anomalous pixel outscores a normal one; a tie counts half.

    Equals the trapezoidal area under the ROC curve, scikit-learn's `roc_auc_score`. Summed in
    integers (Mann-Whitney's U, doubled) and divided once.
    """
    _need_both_classes(counts, "AUROC")
    high = low = 0
    for s in _falling(counts):
        won = 2 * (counts.normal - s.fp) + s.normal  # a win is 2, a tie 1
        # Products reach 1e9 * 5e9 and their sum does not fit into 64 bits; its halves do.
        high += int(np.sum(s.anomaly * (won >> 20)))
        low += int(np.sum(s.anomaly * (won & 0xFFFFF)))
    return ((high << 20) + low) / (2 * counts.normal * counts.anomaly)


def fpr_at_tpr(counts: PixelCounts, tpr: float = 0.95) -> float:
    """The lowest false-positive rate, in [0, 1], of any threshold whose recall is at least `tpr`.

    Equals the first point with TPR >= tpr of scikit-learn's `roc_curve` without dropped points.
    Compared in integers (for 0.95: 20 TP >= 19 P), nothing is interpolated.
    """
    _need_both_classes(counts, f"FPR at TPR {tpr}")
    return _at_tpr(counts, tpr)[1] / counts.normal


def best_f1(counts: PixelCounts) -> BestF1:
    """The largest F1 = 2 TP / (2 TP + FP + FN) in [0, 1] of any threshold, and that threshold.

    An oracle: the threshold was chosen on the labels that it is judged by. Of several equally
    good thresholds, the highest.
    """
    _need_both_classes(counts, "best F1")
    best = BestF1(-1.0, math.inf)
    for s in _falling(counts):
        f1 = 2 * s.tp / (s.tp + s.fp + counts.anomaly)
        k = int(np.argmax(f1))
        if f1[k] > best.f1:
            best = BestF1(float(f1[k]), float(s.threshold[k]))
    return best


def positives_share(counts: PixelCounts) -> float:
    """The share of anomalous pixels among all that are not ignored, in [0, 1]: AP of a guess."""
    if not counts.normal + counts.anomaly:
        raise MetricError("the positives' share is not defined: no pixel was counted.")
    return counts.anomaly / (counts.normal + counts.anomaly)


def curve(counts: PixelCounts, points: int = 2000) -> Curve:
    """At most `points` points of the curve, evenly spread over recall and over false positives.

    Always there: both ends (thresholds inf and -inf), the highest and the lowest pivot, and the
    points of FPR95 and best F1.
    """
    _need_both_classes(counts, "the curve")
    if points < 6:
        raise ValueError(f"a curve needs at least 6 points, not {points}.")
    kept = {_at_tpr(counts, 0.95)[0], best_f1(counts).threshold}
    steps = np.arange(1, (points - 6) // 2 + 1)
    tp_steps = np.ceil(counts.anomaly / max(len(steps), 1) * steps)
    fp_steps = np.ceil(counts.normal / max(len(steps), 1) * steps)
    everything = len(counts.pivots) <= points - 2
    chosen: list[tuple[NDArray[np.float64], Counts, Counts]] = []
    for s in _falling(counts):
        if everything:
            keep = np.arange(len(s.tp))
        else:
            ends = [0] * s.first + [len(s.tp) - 1] * s.last
            marks = np.flatnonzero(np.isin(s.threshold, np.array(list(kept), np.float32)))
            by_tp = np.searchsorted(s.tp, tp_steps[tp_steps > s.tp[0] - s.anomaly[0]])
            by_fp = np.searchsorted(s.fp, fp_steps[fp_steps > s.fp_before])
            keep = np.unique(np.concatenate((ends, marks, by_tp, by_fp)).astype(np.int64))
            keep = keep[keep < len(s.tp)]
        chosen.append((s.threshold[keep].astype(np.float64), s.tp[keep], s.fp[keep]))
    threshold, tp, fp = (np.concatenate(column) for column in zip(*chosen, strict=True))
    tp = np.concatenate(([0], tp, [counts.anomaly]))
    fp = np.concatenate(([0], fp, [counts.normal]))
    return Curve(
        threshold=np.concatenate(([np.inf], threshold, [-np.inf])),
        tpr=tp / counts.anomaly,
        fpr=fp / counts.normal,
        precision=np.concatenate(([1.0], tp[1:] / (tp[1:] + fp[1:]))),
    )


class Adds(Protocol):
    """Anything with `+` that gives its own kind."""

    def __add__(self, other: Any, /) -> Any: ...


T = TypeVar("T", bound=Adds)


def total(parts: Iterable[T]) -> T:
    """The sum of `parts`, taken one by one and freed as it goes; no part is an error."""
    result: T | None = None
    for part in parts:
        result = part if result is None else result + part
    if result is None:
        raise MetricError("nothing to count: there is no frame.")
    return result


_MOST_WAITING = 2**25  # pixels; 16 frames of 1024x2048, 128 MiB
_PIVOTS_AT_ONCE = 4096  # with their share of the sorted scores they stay in the cache
_STRETCH = 2**20  # pivots that a metric looks at together


class _Joined(NamedTuple):
    """(K,) counts per pivot; unsigned 32 bits as long as all pixels together fit, then int64."""

    normal_at_least: NDArray[Any]
    normal_equal: NDArray[Any]
    anomaly_equal: NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Stretch:
    """A stretch of pivots as the threshold falls."""

    threshold: Score
    tp: Counts  # anomalous pixels >= threshold
    fp: Counts  # normal pixels >= threshold
    anomaly: Counts  # anomalous pixels == threshold
    normal: Counts  # normal pixels == threshold
    fp_before: int  # fp of the pivot above this stretch, -1 for none
    first: bool
    last: bool


def _falling(counts: PixelCounts) -> Iterator[_Stretch]:
    joined, pivots = counts._all(), counts.pivots.values
    tp_before, fp_before = 0, -1
    for stop in range(len(pivots), 0, -_STRETCH):
        part = slice(max(0, stop - _STRETCH), stop)
        anomaly = joined.anomaly_equal[part][::-1].astype(np.int64)
        tp = np.cumsum(anomaly) + tp_before
        fp = joined.normal_at_least[part][::-1].astype(np.int64)
        yield _Stretch(
            threshold=pivots[part][::-1],
            tp=tp,
            fp=fp,
            anomaly=anomaly,
            normal=joined.normal_equal[part][::-1].astype(np.int64),
            fp_before=fp_before,
            first=stop == len(pivots),
            last=part.start == 0,
        )
        tp_before, fp_before = int(tp[-1]), int(fp[-1])


def _at_tpr(counts: PixelCounts, tpr: float) -> tuple[float, int]:
    """The highest threshold whose recall is at least `tpr`, and its false positives."""
    if not 0 < tpr <= 1:
        raise ValueError(f"a true-positive rate is above 0 and at most 1, not {tpr}.")
    needed = math.ceil(Fraction(str(tpr)) * counts.anomaly)
    for s in _falling(counts):
        if s.tp[-1] >= needed:
            k = int(np.searchsorted(s.tp, needed))
            return float(s.threshold[k]), int(s.fp[k])
    raise AssertionError("the lowest pivot has recall 1")


def _need_both_classes(counts: PixelCounts, what: str) -> None:
    if counts.anomaly and counts.normal:
        return
    missing = "anomalous" if counts.normal else "normal" if counts.anomaly else "labelled"
    raise MetricError(
        f"{what} is not defined: there is no {missing} pixel among the "
        f"{counts.normal + counts.anomaly:,} that are not ignored."
    )


def _matching(score: Score, label: Label) -> tuple[Score, Label]:
    label = np.asarray(label)
    if not isinstance(score, np.ndarray) or score.dtype != np.float32 or score.shape != label.shape:
        score = checked(score, label.shape, where="score map")
    return score, label


def _distinct(values: Score) -> Score:
    """The distinct of `values` (which it may reorder), ascending, without -0.0."""
    if not values.size:
        return values
    values.sort()
    _check_ends(values)
    first = np.empty(values.size, bool)
    first[0] = True
    np.not_equal(values[1:], values[:-1], out=first[1:])
    # -0.0 equals 0.0, so which of them comes first hangs on the order of frames; + 0 makes it 0.0.
    distinct: Score = values[first] + np.float32(0)
    return distinct


def _check_ends(ascending: Score) -> None:
    if ascending.size and not np.isfinite(ascending[[0, -1]]).all():  # NaN sorts last
        raise ScoreError("a score is NaN or infinite. Pass score maps through score_map.checked.")


def _dtype(pixels: int) -> type[np.uint32] | type[np.int64]:
    return np.uint32 if pixels < 2**32 else np.int64


def _join(pivots: Score, frames: _Waiting, kind: Any) -> _Joined:
    nothing = np.empty(0, np.float32)
    normal = np.concatenate((nothing, *(normal for normal, _ in frames)))
    anomaly = np.concatenate((nothing, *(anomaly for _, anomaly in frames)))
    return _Joined(*_normal_counts(pivots, normal, kind), _anomaly_counts(pivots, anomaly, kind))


def _normal_counts(pivots: Score, normal: Score, kind: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    normal.sort()
    _check_ends(normal)
    at_least, equal = np.empty(len(pivots), kind), np.zeros(len(pivots), kind)
    bounds = np.append(np.searchsorted(normal, pivots[::_PIVOTS_AT_ONCE]), normal.size)
    for i, start in enumerate(range(0, len(pivots), _PIVOTS_AT_ONCE)):
        some = pivots[start : start + _PIVOTS_AT_ONCE]
        part = normal[bounds[i] : bounds[i + 1]]
        below = np.searchsorted(part, some)
        at_least[start : start + len(some)] = (normal.size - bounds[i]) - below
        if part.size:
            tied = np.flatnonzero(part.take(below, mode="clip") == some)
            if tied.size:
                up_to = np.searchsorted(part, some[tied], side="right")
                equal[start + tied] = up_to - below[tied]
    return at_least, equal


def _anomaly_counts(pivots: Score, anomaly: Score, kind: Any) -> NDArray[Any]:
    equal = np.zeros(len(pivots), kind)
    if not anomaly.size:
        return equal
    values, how_many = np.unique(anomaly, return_counts=True)
    place = np.searchsorted(pivots, values)
    if not len(pivots) or not np.array_equal(pivots.take(place, mode="clip"), values):
        raise ScoreError(
            "an anomalous pixel's score is none of the pivots. Add the pivots of every frame "
            "(Pivots.of) before counting the first one."
        )
    equal[place] = how_many
    return equal
