"""Confidence: how far a metric could move had other frames been drawn (bootstrap over frames).

Pixels of one frame resemble each other, so pixels are never resampled: whole frames are, or whole
scenes where frames of one scene resemble each other too. A resample is a row of weights, how often
each frame is taken, and whatever adds over frames can be weighed so without reading a map again:

    grid = grid_of(counts)                                        # counts: exact, of all frames
    frames = stacked([FrameGrid.of(score, label, grid) for score, label in maps])
    intervals(frames.metrics, ids, exact=exact, rng=np.random.default_rng(0))
    compare(frames.metrics, other_frames.metrics, ids, rng=np.random.default_rng(0))

`metrics` is one *statistic*: weights (B, F) in, values (B, M) out, NaN where undefined. `summed`
makes another from any per-frame integers, such as counts of components found and missed.

What the interval does not know: another training run, another network, frames of another city.
"""

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from harness.errors import MetricError
from harness.metrics.pixel import PixelCounts, curve
from harness.metrics.score_map import checked
from harness.types import ANOMALY, NORMAL, Label, Score

RESAMPLES = 2000
LEVEL = 0.95
FEWEST_UNITS = 30
"""With fewer frames or scenes than this an interval is too narrow, so it is marked indicative."""

GRID_METRICS = ("AP", "AUROC", "FPR95", "bestF1")
"""The columns of `GridCounts.metrics`."""

Floats = NDArray[np.float64]

Statistic = Callable[[Floats], Floats]
"""From (B, F) weights, how often each of F frames is taken, to (B, M) values; NaN: undefined."""


@dataclass(frozen=True)
class Interval:
    """Where a metric's value would mostly lie if the frames were drawn anew."""

    value: float  # the exact metric of the frames as they are
    low: float
    high: float
    level: float  # of 1; how often such an interval is meant to hold the true value
    units: int  # frames or scenes that were drawn
    resamples: int
    undefined: int  # resamples where the metric has no value, left out
    grid_error: float  # the statistic's value of the same frames minus `value`; already taken out

    @property
    def indicative(self) -> bool:
        """Whether the units are too few for the level to be believed."""
        return self.units < FEWEST_UNITS


@dataclass(frozen=True)
class Comparison:
    """How far one run is above another on the same frames, drawn together."""

    difference: float  # first minus second, exact
    low: float
    high: float
    level: float
    p: float  # two-sided, for "no difference"; never 0, because 0 cannot be seen by resampling
    units: int
    resamples: int
    undefined: int
    grid_error: float

    @property
    def indicative(self) -> bool:
        """Whether the units are too few for the level to be believed."""
        return self.units < FEWEST_UNITS
