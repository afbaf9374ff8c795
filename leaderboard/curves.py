"""A run's curve for plots: precision, recall and false positives at every threshold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness import store
from harness.errors import RunError
from harness.types import Run

POINTS = 400  # of a drawn line; more would not be seen

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of falling threshold: the lower it is, the more pixels are flagged."""

    threshold: Floats
    tpr: Floats  # share of anomalous pixels that are flagged
    fpr: Floats  # share of normal pixels that are
    precision: Floats  # share of flagged pixels that are anomalous; 1 where none is flagged

    def __len__(self) -> int:
        return len(self.threshold)

    def threshold_at(self, tpr: float) -> float:
        """The highest threshold that finds at least the share `tpr` of all anomalous pixels."""
        at = int(np.searchsorted(self.tpr, tpr))
        return float(self.threshold[min(at, len(self) - 1)])

    def thinned(self, points: int = POINTS) -> "Curve":
        """At most about `points` of the points, even along both axes; both ends stay."""
        if len(self) <= points:
            return self
        walked = np.cumsum(np.abs(np.diff(self.tpr, prepend=0)) + np.abs(np.diff(self.fpr)).tolist())
        raise NotImplementedError(walked)
