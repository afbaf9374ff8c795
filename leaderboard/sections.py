"""What the static page shows of a data set: its rows in each metric family, and their pictures."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.data import entry_of
from harness.metrics import FAMILIES, OFFICIAL
from harness.types import Run
from leaderboard.cells import differing_options, network, number_text
from leaderboard.conditions import HeatTable, heat_tables
from leaderboard.facts import Fact, command, facts, milliseconds
from leaderboard.marks import Mark
from leaderboard.meta import MetaTable, meta_tables
from leaderboard.ranks import RANKED, Board, Group, Row, Rule, boards, described, value
from leaderboard.reported import ReportedRow, reported_rows
from leaderboard.rows import ranked
from leaderboard.seeds import Fold
from leaderboard.strips import Strip, strips, withheld

PICTURED = 24  # so many rows of a data set have pictures on the page, which bounds its size


@dataclass(frozen=True)
class Entry:
    """One row as it is shown, whatever the family: its names, and what opens below it."""

    run: Run
    runs: tuple[Run, ...]
    spreads: Mapping[str, float]
    network: str
    options: str
    marks: tuple[Mark, ...]
    milliseconds: float | None  # per frame
    facts: tuple[Fact, ...]
    command: tuple[str, ...]  # words, quoted for a shell
    strips: tuple[Strip, ...] = ()
    heats: tuple[HeatTable, ...] = ()  # of a data set made of conditions
    meta: tuple[MetaTable, ...] = ()  # of the runs that have a meta classification


@dataclass(frozen=True)
class Line:
    """An entry in the ranked table of one family."""

    entry: int  # position in Section.entries
    standings: tuple[tuple[int | None, float | None], ...] = ()  # (place, score) by each rule
    best: frozenset[str] = frozenset()
    second: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Family:
    """A metric family of a data set: its columns, its rules, and its tables."""

    name: str
    columns: tuple[str, ...]
    rules: tuple[Rule, ...]  # the first one made the order of the lines
    tables: tuple[tuple[str, tuple[Line, ...]], ...]  # (caption, lines); the first one counts
    unranked: tuple[Line, ...]
    reported: tuple[ReportedRow, ...]


@dataclass(frozen=True)
class Section:
    """One data set as it is shown."""

    anchor: str
    dataset: str
    title: str
    paper: str
    licence: str
    frames_known: int | None
    notes: tuple[str, ...]
    positives: str  # share of anomalous pixels, in per cent
    entries: tuple[Entry, ...]
    families: tuple[Family, ...]  # at least one
    withheld: str  # why there are no pictures, or ""


def section(
    dataset: str,
    runs: Sequence[Run],
    marks: Mapping[tuple[str, str], tuple[Mark, ...]],
    root: Path,
    with_images: bool,
    files: dict[str, Path],
) -> Section:
    """The data set as it is shown; notes the files of its pictures in `files`.

    Args:
        dataset: its name, of the catalogue or not.
        runs: all runs on it.
        marks: those of the runs.
        root: the folder of the runs, where their thumbnails lie.
        with_images: shows pictures that may not be shown in public.
        files: name on the page to source.
    """
    known = entry_of(dataset)
    why_not = withheld(dataset, runs, with_images)
    known_rows = _Rows()
    families = [
        _family(name, board, known_rows) for name in _families(dataset, runs)
        for board in boards(runs, shown=OFFICIAL[name], rule=Rule.of(name))
    ]  # fmt: skip
    rows = known_rows.all()
    entries: list[Entry] = []
    for row, options in zip(rows, differing_options([row.run for row in rows]), strict=True):
        its = marks.get((dataset, row.run.id), ())
        pictured = not why_not and len(entries) < PICTURED
        entries.append(
            Entry(
                run=row.run,
                runs=row.runs,
                spreads=row.spreads,
                network=network(row.run),
                options=options,
                marks=its,
                milliseconds=milliseconds(row.run),
                facts=facts(row.run, row.runs, its),
                command=command(row.run, row.runs),
                strips=strips(root, row.runs[0], files) if pictured else (),
                heats=heat_tables(row.run),
                meta=_meta(root, row.runs),
            )
        )
    return Section(
        anchor=anchor(dataset),
        dataset=dataset,
        title=known.title if known else dataset,
        paper=known.paper if known else "",
        licence=known.licence if known else "",
        frames_known=known.frames if known else None,
        notes=known.notes if known else (),
        positives=_positives(row.run for row in rows if row.run.ranks),
        entries=tuple(entries),
        families=tuple(families),
        withheld=why_not,
    )


def anchor(dataset: str) -> str:
    """The data set's name as a fragment of an address and a file's name; odd names get a hash.

    >>> anchor("road_anomaly")
    'road_anomaly'
    """
    if re.fullmatch(r"[a-z][a-z0-9_]*", dataset) and dataset not in _TAKEN:
        return dataset
    return f"data-{hashlib.sha256(dataset.encode()).hexdigest()[:8]}"


def rules(family: str) -> tuple[Rule, ...]:
    """The rules that a reader can choose from; the first one is the default."""
    single = [
        Rule("single", (metric,))
        for metric in OFFICIAL[family]
        if described(metric).higher_is_better is not None
    ]
    several = (Rule.of(family), Rule.of(family, "borda")) if len(RANKED[family]) > 1 else ()
    return (*several, *single)


def _families(dataset: str, runs: Sequence[Run]) -> list[str]:
    """The families that some run has a ranking metric of; else the first of the data set's own."""
    there = {metric for run in runs for metric in run.metrics}
    found = [name for name in FAMILIES if there & set(RANKED[name])]
    entry = entry_of(dataset)
    own = entry.metric_families if entry else ()
    return found or [own[0] if own else FAMILIES[0]]


def _family(name: str, board: Board, rows: "_Rows") -> Family:
    """The family's tables; enters the rows that no earlier family had in `rows`."""
    chosen = rules(name)
    tables = []
    for group in board.groups:
        folds = [Fold(row.run, row.runs, row.spreads) for row in group.rows]
        by_rule = [ranked(folds, OFFICIAL[name], rule) for rule in chosen]
        lines = tuple(
            Line(
                rows.position(row),
                tuple((by[i].place, by[i].score) for by in by_rule),
                row.best,
                row.second,
            )
            for i, row in enumerate(group.rows)
        )
        tables.append((_caption(group) if len(board.groups) > 1 else "", lines))
    return Family(
        name,
        OFFICIAL[name],
        chosen,
        tuple(tables),
        tuple(Line(rows.position(row)) for row in board.unranked),
        reported_rows(board.dataset, OFFICIAL[name]),
    )


_TAKEN = (
    "overall",
    "reported",
    "boards",
    "how",
    "filter",
    "filtered",
    "legend",
)  # names on the page


class _Rows:
    """The rows of a data set, each once, in the order in which the families show them."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, ...], tuple[int, Row]] = {}

    def position(self, row: Row) -> int:
        """Where the row stands; it is entered where it is new."""
        key = (*row.run.flags, "of", *(run.id for run in row.runs))
        return self.found.setdefault(key, (len(self.found), row))[0]

    def all(self) -> list[Row]:
        """Every row that was entered."""
        return [row for _, row in self.found.values()]


def _meta(root: Path, runs: Sequence[Run]) -> tuple[MetaTable, ...]:
    """The meta classifications of a row's runs, which are named where there are several."""
    return tuple(
        replace(table, title=f"{run.id}: {table.title}") if len(runs) > 1 else table
        for run in runs
        for table in meta_tables(root, run)
    )


def _caption(group: Group) -> str:
    caption = f"data {group.fingerprint[:10]}, metrics version {group.metric_version}"
    return caption + (f", {group.protocol}" if group.protocol else "")


def _positives(runs: Iterable[Run]) -> str:
    return next((number_text(run, "positives") for run in runs if value(run, "positives")), "")
