"""How many labelled objects a run finds, by the size of the object."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness import store
from harness.types import Run

SIZES = (
    ("small, below 32² px", 0, 32**2),
    ("medium", 32**2, 96**2),
    ("large, from 96² px", 96**2, 0),
)
"""Name, least area and the area that is too large (0: none), in pixels; COCO's limits."""

TAU = 25  # per cent of sIoU that make a find: the least that the protocol asks for


@dataclass(frozen=True)
class OfSize:
    """Labelled components of one size in one run."""

    size: str
    components: int
    siou: float  # their mean sIoU, in [0, 1]
    found: float  # share whose sIoU is at least TAU per cent, in [0, 1]


def by_size(root: Path, run: Run) -> tuple[OfSize, ...]:
    """Per size that occurs, what became of its labelled components; () where none are recorded.

    At the run's one threshold, like its component metrics; components that the protocol ignores
    for being too small are not among them.
    """
    try:
        table = pq.read_table(store.run_folder(root, run) / "components.parquet").to_pydict()
        labelled = np.array(table["kind"]) == "labelled"
        area, overlap, union = (
            np.array(table[name], dtype=np.int64)[labelled]
            for name in ("area_px", "overlap_px", "union_px")
        )
    except (OSError, KeyError, pa.ArrowException):
        return ()
    found = []
    for size, least, too_large in SIZES:
        at = (area >= least) & ((area < too_large) if too_large else True)
        if at.any():
            siou = float(np.mean(overlap[at] / union[at]))
            finds = float(np.mean(100 * overlap[at] >= TAU * union[at]))
            found.append(OfSize(size, int(np.count_nonzero(at)), siou, finds))
    return tuple(found)
