"""Hidden labels: how a judge gets them, and how little of them a published run gives away."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.data import Frames
from harness.data.catalog import BINARY
from harness.data.folder import FrameFiles
from harness.errors import DataError
from harness.types import Interval, Run

DECIMALS = 3  # of fractions, so one decimal of per cent


def with_labels(frames: Frames, folder: Path) -> Frames:
    """The same frames with the labels in `folder`: <frame id>.png, 0 normal, 1 anomaly, 255 void.

    Raises:
        DataError: a label is missing, or the frames do not come from image files.
    """
    readers = []
    for reader in frames.readers:
        path = folder / f"{reader.id}.png"
        if not isinstance(reader, FrameFiles):
            raise DataError(f"{frames.dataset.name}: labels can be added to image files only.")
        if not path.is_file():
            raise DataError(f"{path}: no such label; the judge needs one of every frame.")
        layout = replace(reader.layout, values=BINARY)
        readers.append(replace(reader, layout=layout, label_file=path))
    return replace(frames, readers=tuple(readers), has_labels=True)


def rounded(run: Run) -> Run:
    """The run as it may be published: a few decimals, no threshold, no path of the judge.

    What is finer would let a series of submissions measure single pixels of the labels.
    """
    threshold = run.threshold_given
    return replace(
        run,
        metrics=rounded_metrics(run.metrics),
        intervals={name: _interval(each) for name, each in run.intervals.items()},
        provenance={
            **run.provenance,
            "data": "labels held by the host of the board",
            "rounded": f"to {DECIMALS} decimals, as the labels are hidden",
            "threshold": {
                **run.provenance.get("threshold", {}),
                "value": threshold,
            },
        },
    )


def rounded_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics as they may be published, and compared with what a card claims."""
    return {name: _rounded(value) for name, value in metrics.items()}


def _interval(interval: Interval) -> Interval:
    return replace(
        interval,
        value=_rounded(interval.value),
        low=_rounded(interval.low),
        high=_rounded(interval.high),
        grid_error=_rounded(interval.grid_error),
    )


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)
