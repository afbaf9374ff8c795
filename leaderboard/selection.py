"""Which rows a reader asked to see, and the words that stand beside a run at a glance."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.types import Run
from leaderboard.cells import network, options_shown
from leaderboard.marks import LEVELS, PROXY, Mark
from leaderboard.rows import Row

PAGE = 100  # rows

Marks = Mapping[tuple[str, str], tuple[Mark, ...]]  # by data set and id, as `marks.marks` gives it


@dataclass(frozen=True)
class Wanted:
    """What a reader asked to see; the default is everything."""

    text: str = ""  # every word of it stands somewhere in the row
    networks: tuple[str, ...] = ()  # (): all
    proxy: bool = True  # methods that learned from proxy outliers
    flagged: bool = True  # runs that do not rank


def selected(rows: Iterable[Row], wanted: Wanted, marks: Marks) -> list[Row]:
    """The rows that fit, in the same order, with the ranks that they have among all rows."""
    words = wanted.text.casefold().split()
    return [
        row
        for row in rows
        if (not wanted.networks or network(row.run) in wanted.networks)
        and (wanted.proxy or PROXY not in labels(row.run, marks))
        and (wanted.flagged or row.run.ranks)
        and _holds(row.run, words, marks)
    ]


def labels(run: Run, marks: Marks) -> tuple[str, ...]:
    """The run's flags, then the names of its marks, without the one that says who vouches."""
    its = (mark.name for mark in marks.get((run.dataset, run.id), ()) if mark.name not in LEVELS)
    return tuple(dict.fromkeys((*run.flags, *its)))


def level(run: Run, marks: Marks) -> str:
    """Who vouches for the run: the name of its last mark."""
    its = marks.get((run.dataset, run.id), ())
    return its[-1].name if its else ""


def checkpoint(run: Run) -> str:
    """The first digits of the weights' sha256: equal ones mean the same checkpoint; "": none."""
    known: Any = run.provenance.get("weights")
    if not isinstance(known, Mapping):
        return ""
    return " ".join(sorted(str(sha)[:6] for sha in known.values() if sha))


def _holds(run: Run, words: Sequence[str], marks: Marks) -> bool:
    if not words:
        return True
    options = " ".join(f"{key}={option}" for key, option in options_shown(run).items())
    text = " ".join((run.method, run.id, options, *labels(run, marks), *run.trained_on)).casefold()
    return all(word in text for word in words)
