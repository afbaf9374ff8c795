"""Frames and their score maps -> counts -> metrics: the only evaluation loop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data import Frames
from harness.errors import MetricError
from harness.metrics import METRICS
from harness.metrics.pixel import Pivots, PixelCounts, average_precision, total
from harness.metrics.score_map import checked
from harness.parallel import ahead
from harness.types import Label, Score

THREADS = 2  # decompressing and sorting release the GIL; more threads cost memory, a map each

ScoreOf = Callable[[str], NDArray[np.floating]]
"""From a frame's id to its (H, W) score map; called twice for each frame."""


@dataclass(frozen=True)
class FrameRow:
    """What one frame alone says; pooled metrics are not the mean of these."""

    id: str
    pixels: int  # with a label other than IGNORE
    anomalous: int  # of these
    average_precision: float | None  # None where the frame has no anomaly, or nothing else


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one set of score maps, pooled over all pixels of all frames."""

    metrics: dict[str, float]
    undefined: dict[str, str]  # metric -> why it has no value
    counts: PixelCounts
    rows: tuple[FrameRow, ...]  # in the order of the frames


def evaluate(frames: Frames, score_of: ScoreOf) -> Evaluation:
    """The pixel metrics of the score maps of `frames`, exact, over all their pixels together.

    Pass 1 collects the distinct scores of anomalous pixels, pass 2 counts every frame's pixels at
    them: each metric changes only there. Memory grows with the anomalous pixels only.

    Raises:
        ScoreError: a map is missing, has the wrong size or type, or is not finite.
        MetricError: the data set has no public anomaly labels.
    """
    if not frames.has_labels:
        raise MetricError(
            f"{frames.dataset.name}: no anomaly labels are here, so there is nothing to count."
        )

    def loaded(index: int) -> tuple[str, Score, Label]:
        frame_id, label = frames.ids[index], frames.label(index)
        assert label is not None, "has_labels says so"
        where = f"{frames.dataset.name}/{frame_id}"
        return frame_id, checked(score_of(frame_id), label.shape, where=where), label

    def pivots_of(index: int) -> Pivots:
        _, score, label = loaded(index)
        return Pivots.of(score, label)

    indices = range(len(frames))
    pivots = total(ahead(pivots_of, indices, threads=THREADS))

    def counted(index: int) -> tuple[FrameRow, PixelCounts]:
        frame_id, score, label = loaded(index)
        return _row(frame_id, score, label), PixelCounts.of(score, label, pivots)

    rows: list[FrameRow] = []

    def counts_in_order() -> Iterator[PixelCounts]:
        for row, counts in ahead(counted, indices, threads=THREADS):
            rows.append(row)
            yield counts

    counts = total(counts_in_order())
    metrics, undefined = {}, {}
    for name, metric in METRICS.items():
        try:
            metrics[name] = metric.value(counts)
        except MetricError as error:
            undefined[name] = str(error)
    return Evaluation(metrics, undefined, counts, tuple(rows))


def _row(frame_id: str, score: Score, label: Label) -> FrameRow:
    counts = PixelCounts.of(score, label)  # at the frame's own pivots, which are few
    defined = counts.normal and counts.anomaly
    ap = average_precision(counts) if defined else None
    return FrameRow(frame_id, counts.normal + counts.anomaly, counts.anomaly, ap)
