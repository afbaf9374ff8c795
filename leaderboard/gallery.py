"""The per-frame table of runs, and the order in which its frames are worth looking at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness import store
from harness.errors import RunError
from harness.metrics.confidence import Floats
from harness.types import Run

ORDERS = ("worst", "best", "disagreement", "name")


@dataclass(frozen=True, eq=False)
class FrameTable:
    """What a run notes of each frame; NaN where the frame has no such value."""

    ids: tuple[str, ...]
    ap: Floats  # of the frame alone, in [0, 1]
    columns: dict[str, list[Any]]  # the whole table, by name, `id` included

    @classmethod
    def load(cls, root: Path, run: Run) -> "FrameTable":
        """The table that `run` saved.

        Raises:
            RunError: it cannot be read.
        """
        try:
            columns = store.frame_table(root, run).to_pydict()
            ids = tuple(str(frame) for frame in columns["id"])
        except (OSError, KeyError, pa.ArrowException) as error:
            raise RunError(f"{run.id}: its table of frames cannot be read.") from error
        ap = [np.nan if v is None else float(v) for v in columns.get("AP", [None] * len(ids))]
        return cls(ids, np.array(ap, dtype=np.float64), columns)


@dataclass(frozen=True)
class Card:
    """One frame of the gallery."""

    frame: str
    ap: tuple[float | None, ...]  # per run, in [0, 1]; None: the frame has no anomaly

    @property
    def spread(self) -> float:
        """Largest minus smallest AP; 0 where fewer than two runs have one."""
        known = [value for value in self.ap if value is not None]
        return max(known) - min(known) if len(known) > 1 else 0.0


def cards(tables: Sequence[FrameTable], order: str = "worst") -> list[Card]:
    """The frames that all tables have, in the asked order; frames without an AP come last.

    Args:
        tables: of the runs looked at; the first one decides "worst" and "best".
        order: one of `ORDERS`: lowest AP first, highest first, largest difference between two
            runs first, or the data set's own order.
    """
    if not tables:
        return []
    by_frame = [dict(zip(table.ids, table.ap.tolist(), strict=True)) for table in tables]
    found = [
        Card(frame, tuple(_known(its[frame]) for its in by_frame))
        for frame in tables[0].ids
        if all(frame in its for its in by_frame)
    ]
    if order == "name":
        return found
    keys = {
        "worst": lambda card: (card.ap[0] is None, card.ap[0] or 0.0),
        "best": lambda card: (card.ap[0] is None, -(card.ap[0] or 0.0)),
        "disagreement": lambda card: (card.ap[0] is None, -card.spread),
    }
    return sorted(found, key=keys[order])


def _known(ap: float) -> float | None:
    return None if np.isnan(ap) else ap
