"""A run's curve for plots: precision, recall and false positives at every threshold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness import store
from harness.errors import RunError
from harness.types import Run

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of falling threshold: the lower it is, the more pixels are flagged."""

    threshold: Floats
    tpr: Floats  # share of anomalous pixels that are flagged: the recall
    fpr: Floats  # share of normal pixels that are
    precision: Floats  # share of flagged pixels that are anomalous; 1 where none is flagged

    def __len__(self) -> int:
        return len(self.threshold)

    def threshold_at(self, tpr: float) -> float:
        """The highest threshold of the curve that finds at least the share `tpr`, in [0, 1]."""
        at = int(np.searchsorted(self.tpr, tpr - 1e-12))
        return float(self.threshold[min(at, len(self) - 1)])

    def thinned(self, points: int = 400) -> "Curve":
        """About `points` of the points, even in recall and in the logarithm of `fpr`; both ends.

        A line through more points looks the same, and takes longer to send.
        """
        if len(self) <= points:
            return self
        log_fpr = np.log10(self.fpr + 1e-7)
        chosen = {0, len(self) - 1}
        for along in (self.tpr, log_fpr):
            steps = np.linspace(along[0], along[-1], points // 2)
            chosen.update(np.clip(np.searchsorted(along, steps), 0, len(self) - 1).tolist())
        at = np.array(sorted(chosen))
        return Curve(self.threshold[at], self.tpr[at], self.fpr[at], self.precision[at])


def load_curve(root: Path, run: Run) -> Curve:
    """The curve that `run` saved.

    Raises:
        RunError: it saved none (no anomaly labels), or the file is damaged.
    """
    path = store.run_folder(root, run) / "curve.parquet"
    try:
        table = pq.read_table(path)
        columns = (table.column(name) for name in ("threshold", "tpr", "fpr", "precision"))
        return Curve(*(column.to_numpy().astype(np.float64) for column in columns))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise RunError(f"{path}: the curve cannot be read; score the run again.") from error
