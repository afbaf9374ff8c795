"""The static board: one page that opens from disk or from any web host, and its pictures."""

import base64
import dataclasses
import hashlib
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image as PILImage

from harness import store
from harness.data.catalog import DATASETS
from harness.errors import RunError
from harness.metrics import METRICS
from harness.types import Run
from leaderboard.ranks import RANKING, SHOWN, Board, Row, Standing, arrow, boards, overall, value
from leaderboard.table import MISSING, differing_options, formatted, options_shown, printable

TEMPLATES = Path(__file__).parent / "templates"
MARK = ".harness-board"  # lies in every folder that is a board, so that only boards are replaced
PARTS = ("image", "label", "score")  # pictures of a frame, in the order of the strip
SIDE_BY_SIDE = 12  # so many of the best runs stand beside each other in a data set's pictures

FLAGS = {
    "limited": "Only the first frames were scored (--limit).",
    "unverified data": "The files are not the data set's official ones, or not in its layout.",
    "hidden labels": "The labels are held by the data set's authors; nothing can be measured here.",
    "no anomaly labels": "The data set has no anomaly labels; nothing can be measured.",
    "invalidated": "The run was found to be wrong and has been retired.",
}
"""What each flag says. A run with any of them is shown, but not ranked."""


@dataclass(frozen=True)
class Picture:
    """One picture of a frame as a file of the page."""

    part: str  # one of PARTS
    file: str  # relative to the page
    width: int
    height: int


@dataclass(frozen=True)
class Strip:
    """The pictures of one frame in one run."""

    frame: str
    pictures: tuple[Picture, ...]


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


def write_site(
    runs: Sequence[Run], runs_root: Path, out: Path, *, with_images: bool, date: str = ""
) -> Path:
    """The page's path, `out/index.html`, after the folder `out` was written or replaced whole.

    Args:
        runs: what is shown, in any order; the same input gives the same bytes.
        runs_root: the folder of the runs, where their thumbnails lie.
        out: the board's folder: missing, empty, or a board written before.
        with_images: also shows pictures of data sets that may not be shown in public. Those with
            hidden labels are never shown.
        date: stands in the footer, as it is given.

    Raises:
        RunError: `out` holds something else, or cannot be written, or a thumbnail is damaged.
    """
    out = out.resolve()
    _check_replaceable(out)
    public = [_published(run) for run in runs]
    files: dict[str, Path] = {}
    text = _page(public, runs_root, with_images, date, files)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
            fresh, old = Path(temporary, "fresh"), Path(temporary, "old")
            (fresh / "pictures").mkdir(parents=True)
            for name, source in sorted(files.items()):
                shutil.copyfile(source, fresh / name)
            (fresh / "board.csv").write_text(formatted(public, "csv") + "\n", "utf-8")
            (fresh / "board.json").write_text(formatted(public, "json") + "\n", "utf-8")
            (fresh / "index.html").write_text(text, "utf-8")
            (fresh / MARK).write_text("Written by `harness board`, which replaces this folder.\n")
            if out.exists():
                out.rename(old)
            try:
                fresh.rename(out)
            except OSError:
                if old.exists():
                    old.rename(out)
                raise
    except OSError as error:
        raise RunError(
            f"{out}: the board cannot be written ({error.strerror or error}); make room, or "
            "choose another folder."
        ) from error
    return out / "index.html"


def _check_replaceable(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise RunError(
            f"{out}: holds files that are not a board of ours, and nothing was written; "
            "choose a new or empty folder."
        )
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file, a folder was expected; choose another name.")


def _published(run: Run) -> Run:
    """The run without the folders of the machine that it was made on."""
    return dataclasses.replace(run, options=options_shown(run))


def _page(
    runs: Sequence[Run],
    root: Path,
    with_images: bool,
    date: str,
    files: dict[str, Path],
) -> str:
    """The page's text; fills `files` with the pictures that it shows, name to source."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Names come from anybody: no control or direction marks on the page.
        finalize=lambda v: printable(v) if isinstance(v, str) and not isinstance(v, Markup) else v,
    )
    order = {name: position for position, name in enumerate(DATASETS)}
    found = sorted(boards(runs), key=lambda b: order.get(b.dataset, len(order)))
    sections = [_section(board, root, with_images, files) for board in found]
    standings = _standings(found)
    counted = {dataset for standing, _ in standings for dataset in standing.rows}
    style, script = ((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "script.js"))
    return environment.get_template("board.html.j2").render(
        sections=sections,
        standings=standings,
        datasets=[board.dataset for board in found if board.dataset in counted],
        anchors={section.dataset: section.anchor for section in sections},
        ranked=sum(len(entries) for s in sections for _, entries in s.tables),
        methods=len({run.method for run in runs}),
        runs=len(runs),
        metrics=[METRICS[name] for name in SHOWN],
        ranking=RANKING,
        arrow=arrow,
        flags={flag: FLAGS[flag] for flag in FLAGS if any(flag in run.flags for run in runs)},
        meaning_of=lambda flag: FLAGS.get(flag.partition(":")[0], "Shown, but not ranked."),
        value=value,
        link=_link,
        missing=MISSING,
        date=date,
        newest=max((run.finished for run in runs), default=""),
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _standings(found: Sequence[Board]) -> tuple[tuple[Standing, str], ...]:
    """The overall table where it says more than one board does, each with its options as text."""
    standings = overall(found)
    if len({dataset for standing in standings for dataset in standing.rows}) < 2:
        return ()
    # The data set's part in the comparison of options is played by one name for all.
    runs = [dataclasses.replace(next(iter(s.rows.values())).run, dataset="all") for s in standings]
    return tuple(zip(standings, differing_options(runs), strict=True))


def _section(board: Board, root: Path, with_images: bool, files: dict[str, Path]) -> Section:
    entry = DATASETS.get(board.dataset)
    runs = [row.run for group in board.groups for row in group.rows]
    runs += [row.run for row in board.unranked]
    withheld = _withheld(board.dataset, runs, with_images)
    texts = dict(
        zip(((run.id, run.finished) for run in runs), differing_options(runs), strict=True)
    )

    def entries(rows: Iterable[Row]) -> tuple[Entry, ...]:
        return tuple(
            _entry(
                row,
                texts[row.run.id, row.run.finished],
                () if withheld else _strips(store.run_folder(root, row.run), files),
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
        withheld=withheld,
        frames=_side_by_side(tables[0][1] if tables else ()),
    )


def _withheld(dataset: str, runs: Sequence[Run], with_images: bool) -> str:
    """Why no pictures of the data set may stand on the page; "" where they may."""
    entry = DATASETS.get(dataset)
    if entry is None:
        return "Pictures are withheld: the catalogue does not know this data set and its terms."
    if entry.hidden_labels or any("hidden labels" in run.flags for run in runs):
        return "Pictures are withheld: the labels of this data set are hidden."
    if not entry.public_images and not with_images:
        return (
            "Pictures are withheld: the terms of this data set do not allow showing them in "
            "public. For your own eyes, make the board with --with-images."
        )
    return ""


def _entry(row: Row, options: str, strips: tuple[Strip, ...]) -> Entry:
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
        strips=strips,
    )


def _cell(row: Row, metric: str) -> Cell:
    found = value(row.run, metric)
    interval = row.run.intervals.get(metric)
    return Cell(
        metric,
        text=MISSING if found is None else f"{100 * found:.2f}",
        value=found,
        interval=f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else "",
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
        title = METRICS[name].title.lower() if name in METRICS else name
        yield title, _plain(run, name), ""
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


def _strips(folder: Path, files: dict[str, Path]) -> tuple[Strip, ...]:
    """The strips of the run in `folder`; a picture is a file named by its content.

    So the image and the label of a frame are one file, however many runs show them.
    """
    by_frame: dict[str, dict[str, Picture]] = {}
    for path in sorted((folder / "thumbnails").glob("*.webp")):
        frame, _, part = path.stem.rpartition(".")
        if part not in PARTS or not frame:
            continue
        try:
            name = f"pictures/{hashlib.sha256(path.read_bytes()).hexdigest()[:20]}.webp"
            with PILImage.open(path) as picture:
                width, height = picture.size
        except OSError as error:
            raise RunError(
                f"{path}: the picture cannot be read ({error}); score the run again with --again."
            ) from error
        files[name] = path
        by_frame.setdefault(frame, {})[part] = Picture(part, name, width, height)
    return tuple(
        Strip(frame, tuple(pictures[part] for part in PARTS if part in pictures))
        for frame, pictures in by_frame.items()
    )


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


def _link(address: str) -> str:
    """The address if a browser may follow it from a public page, else ""."""
    return address if re.match(r"https?://", address) else ""
