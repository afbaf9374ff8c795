"""Which rows a reader asked to see, and what a reader must know about a run at a glance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.data.catalog import DATASETS
from harness.types import Run
from leaderboard.cells import network, options_shown
from leaderboard.rows import Row
from leaderboard.site import FLAGS

PAGE = 100  # rows

PROXY, SEEN = "proxy outliers", "test data seen"
MEANINGS = {
    **FLAGS,
    PROXY: "Some of its training data stood in for anomalies. It ranks; filter it away to compare "
    "methods without such data.",
    SEEN: "Frames of this data set, or of one that shares frames with it, were among its training "
    "data. It ranks; judge for yourself what the numbers mean.",
}
"""What each mark says."""


@dataclass(frozen=True)
class Wanted:
    """What a reader asked to see; the default is everything."""

    text: str = ""  # every word of it stands somewhere in the row
    networks: tuple[str, ...] = ()  # (): all
    proxy: bool = True  # methods that learned from proxy outliers
    flagged: bool = True  # runs that do not rank


def selected(rows: Iterable[Row], wanted: Wanted) -> list[Row]:
    """The rows that fit, in the same order, with the ranks that they have among all rows."""
    words = wanted.text.casefold().split()
    return [
        row
        for row in rows
        if (not wanted.networks or network(row.run) in wanted.networks)
        and (wanted.proxy or PROXY not in marks(row.run))
        and (wanted.flagged or row.run.ranks)
        and _holds(row.run, words)
    ]


def marks(run: Run) -> tuple[str, ...]:
    """The run's flags, and what its training data means for a comparison.

    "proxy outliers": some of its training data stood in for anomalies. "test data seen": frames of
    the evaluated data set, or of one that shares frames with it, were among its training data.
    """
    found = list(run.flags)
    if any("outlier" in name.casefold() or "proxy" in name.casefold() for name in run.trained_on):
        found.append(PROXY)
    entry = DATASETS.get(run.dataset)
    shared = {run.dataset, *(overlap.dataset for overlap in entry.overlaps)} if entry else set()
    if shared & set(run.trained_on):
        found.append(SEEN)
    return tuple(dict.fromkeys(found))


def meaning(mark: str) -> str:
    """What the mark says of a run."""
    return MEANINGS.get(mark.partition(":")[0], "Shown, but not ranked.")


def checkpoint(run: Run) -> str:
    """The first digits of the weights' sha256: equal ones mean the same checkpoint; "": none."""
    known: Any = run.provenance.get("weights")
    if not isinstance(known, dict):
        return ""
    return " ".join(sorted(str(sha)[:6] for sha in known.values() if sha))


def milliseconds(run: Run) -> float | None:
    """Time of the method for a frame, the median where it was recorded; None: not known."""
    known = run.provenance.get("seconds_per_frame_median")
    seconds = known if isinstance(known, int | float) else 0.0
    if not seconds and run.frames:
        seconds = run.seconds / run.frames
    return 1000 * float(seconds) or None


def _holds(run: Run, words: Sequence[str]) -> bool:
    if not words:
        return True
    options = " ".join(f"{key}={option}" for key, option in options_shown(run).items())
    text = " ".join((run.method, run.id, options, *marks(run), *run.trained_on)).casefold()
    return all(word in text for word in words)
