"""What the page shows of a data set and of each run on it, as values for the templates."""

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.catalog import DATASETS
from harness.metrics import METRICS
from harness.types import Run
from leaderboard.ranks import SHOWN, Board, Row, value
from leaderboard.strips import Picture, Strip, strips, withheld
from leaderboard.table import MISSING, differing_options

SIDE_BY_SIDE = 12  # so many of the best runs stand beside each other in a data set's pictures


@dataclass(frozen=True)
class Cell:
    """One metric of one run, as it is shown."""

    metric: str
    text: str
    value: float | None  # what the column is sorted by
    interval: str = ""
    mark: str = ""  # "best", "second" or ""


@dataclass(frozen=True)
class Entry:
    """One run as it is shown: a line of a table, and what opens below it."""

    row: Row
    network: str
    options: str
    cells: tuple[Cell, ...]
    milliseconds: float | None  # per frame
    facts: tuple[tuple[str, str, str], ...]  # (what, short text, full text or "")
    command: tuple[str, ...]  # words, quoted for a shell
    strips: tuple[Strip, ...]


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
    tables: tuple[tuple[str, tuple[Entry, ...]], ...]  # (caption, entries), ranked
    unranked: tuple[Entry, ...]
    withheld: str  # why there are no pictures, or ""
    frames: tuple[tuple[str, Strip, tuple[tuple[Entry, Picture], ...]], ...]  # side by side


def section(board: Board, root: Path, with_images: bool, files: dict[str, Path]) -> Section:
    """The data set of `board` as it is shown; notes the files of its pictures in `files`."""
    entry = DATASETS.get(board.dataset)
    runs = [row.run for group in board.groups for row in group.rows]
    runs += [row.run for row in board.unranked]
    why_not = withheld(board.dataset, runs, with_images)
    texts = dict(
        zip(((run.id, run.finished) for run in runs), differing_options(runs), strict=True)
    )

    def entries(rows: Iterable[Row]) -> tuple[Entry, ...]:
        return tuple(
            _entry(
                row,
                texts[row.run.id, row.run.finished],
                () if why_not else strips(root, row.run, files),
            )
            for row in rows
        )

    tables = []
    for group in board.groups:
        caption = ""
        if len(board.groups) > 1:
            caption = f"data {group.fingerprint[:10]}, metrics version {group.metric_version}"
            caption += f", protocol {group.protocol}" if group.protocol else ""
        tables.append((caption, entries(group.rows)))
    return Section(
        anchor=_anchor(board.dataset),
        dataset=board.dataset,
        title=entry.title if entry else board.dataset,
        paper=entry.paper if entry else "",
        licence=entry.licence if entry else "",
        frames_known=entry.frames if entry else None,
        notes=entry.notes if entry else (),
        positives=next((_plain(row.run, "positives") for g in board.groups for row in g.rows), ""),
        tables=tuple(tables),
        unranked=entries(board.unranked),
        withheld=why_not,
        frames=_side_by_side(tables[0][1] if tables else ()),
    )


def _entry(row: Row, options: str, pictures: tuple[Strip, ...]) -> Entry:
    run = row.run
    per_frame = run.provenance.get("seconds_per_frame_median") or (
        run.seconds / run.frames if run.frames else 0
    )
    return Entry(
        row=row,
        network=str(run.options.get("network") or ""),
        options=options,
        cells=tuple(_cell(row, metric) for metric in SHOWN),
        milliseconds=1000 * float(per_frame) or None,
        facts=tuple((what, short, full) for what, short, full in _facts(row) if short),
        command=_command(run),
        strips=pictures,
    )


def _cell(row: Row, metric: str) -> Cell:
    found = value(row.run, metric)
    interval = row.run.intervals.get(metric)
    return Cell(
        metric,
        text=MISSING if found is None else f"{100 * found:.2f}",
        value=found,
        interval=f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if interval else "",
        mark="best" if metric in row.best else "second" if metric in row.second else "",
    )


def _facts(row: Row) -> Iterable[tuple[str, str, str]]:
    """What is known about how the run was made: (what, short text, full text or "")."""
    run = row.run
    known = run.provenance
    code = _mapping(known, "code")
    revision = str(code.get("revision") or "")
    dirty = " with uncommitted changes" if code.get("dirty") else ""
    yield "run", f"{run.dataset}/{run.id}", ""
    yield "ranks", ", ".join(f"{metric} {rank}" for metric, rank in row.ranks.items()), ""
    for name in sorted(run.metrics.keys() - set(SHOWN)):
        title = METRICS[name].title if name in METRICS else name
        yield title[:1].lower() + title[1:], _plain(run, name), ""
    undefined = [f"{metric}: {why}" for metric, why in sorted(run.undefined.items())]
    yield "undefined", "; ".join(undefined), ""
    yield "frames", str(run.frames), ""
    yield "options", _pairs(run.options), ""
    yield "trained on", ", ".join(run.trained_on), ""
    yield "code", revision[:12] + dirty, revision
    weights = _mapping(known, "weights")
    short = ", ".join(f"{role} {str(sha)[:12]}" for role, sha in sorted(weights.items()))
    yield "weights (sha256)", short, _pairs(weights)
    sources = _mapping(known, "sources")
    yield "sources", ", ".join(sorted(sources)), _pairs(sources)
    yield "data (fingerprint)", run.fingerprint[:12], run.fingerprint
    yield "metrics", f"version {run.metric_version}", ""
    yield "versions", _pairs(_mapping(known, "versions"), joint=" "), ""
    machine = sorted(_mapping(known, "machine").items())
    yield "machine", ", ".join(f"{v} cores" if k == "cores" else str(v) for k, v in machine), ""
    together = [str(name) for name in known.get("shared_forward_with") or ()]
    time = f"{run.seconds:.1f} s in the method" if run.seconds else ""
    yield "time", time + (f", shared with {', '.join(together)}" if together and time else ""), ""
    yield "finished", run.finished, ""


def _plain(run: Run, name: str) -> str:
    found, metric = value(run, name), METRICS.get(name)
    if found is None:
        return ""
    return f"{100 * found:.2f} %" if metric and metric.unit == "%" else f"{found:.5g}"


def _mapping(known: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = known.get(key)
    return found if isinstance(found, Mapping) else {}


def _pairs(mapping: Mapping[str, Any], joint: str = "=") -> str:
    return ", ".join(
        f"{key}{joint}{found}" for key, found in sorted(mapping.items()) if found not in ("", None)
    )


def _command(run: Run) -> tuple[str, ...]:
    """The words of the command that makes the run again, with every option that has a value."""
    if run.kind != "run":
        return ("harness", "evaluate", "SCORES", "--dataset", shlex.quote(run.dataset))
    words = ["harness", "run", "--method", run.method, "--dataset", run.dataset]
    for key, option in run.options.items():
        if option in ("", None):
            continue
        if key in ("network", "weights", "device", "precision", "seed"):
            words += [f"--{key}", str(option)]
        else:
            words += ["--set", f"{key}={option}"]
    if "limited" in run.flags:
        words += ["--limit", str(run.frames)]
    return tuple(shlex.quote(word) for word in words)


def _side_by_side(
    entries: Sequence[Entry],
) -> tuple[tuple[str, Strip, tuple[tuple[Entry, Picture], ...]], ...]:
    """Per frame that several runs show: image and label, and the heat maps of the best runs."""
    shown = entries[:SIDE_BY_SIDE]
    frames: dict[str, list[tuple[Entry, Strip]]] = {}
    for entry in shown:
        for strip in entry.strips:
            frames.setdefault(strip.frame, []).append((entry, strip))
    rows = []
    for frame, theirs in sorted(frames.items()):
        if len(theirs) < 2 or len(theirs) < len(shown) / 2:
            continue
        heat = tuple(
            (entry, picture)
            for entry, strip in theirs
            for picture in strip.pictures
            if picture.part == "score"
        )
        facts = tuple(picture for picture in theirs[0][1].pictures if picture.part != "score")
        rows.append((frame, Strip(frame, facts), heat))
    return tuple(rows)


def _anchor(dataset: str) -> str:
    """The data set's name as a fragment of an address; odd names get a hash.

    >>> _anchor("road_anomaly")
    'road_anomaly'
    """
    if re.fullmatch(r"[A-Za-z][\w-]*", dataset, re.ASCII) and dataset != "overall":
        return dataset
    return f"data-{hashlib.sha256(dataset.encode()).hexdigest()[:8]}"
