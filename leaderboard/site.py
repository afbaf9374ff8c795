"""The static board: a page that opens from disk or any web host, with its rows and pictures."""

import base64
import dataclasses
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.errors import RunError
from harness.metrics import FAMILIES, METRICS, OFFICIAL
from harness.types import Run
from leaderboard.cells import (
    MISSING,
    columns,
    interval_text,
    number_text,
    options_shown,
    printable,
    spread_text,
)
from leaderboard.marks import marks
from leaderboard.overview import Overview, in_catalogue_order, overviews
from leaderboard.payload import overview_script, reported_script, section_script
from leaderboard.ranks import KINDS, arrow
from leaderboard.reported import FILE as REPORTED
from leaderboard.reported import column_of, reported
from leaderboard.sections import PICTURED, Section, section
from leaderboard.table import formatted

TEMPLATES = Path(__file__).parent / "templates"
MARK = ".harness-board"  # lies in every folder that is a board, so that only boards are replaced
FIRST = 25  # so many rows of a table are on the page itself; all of them come with its script
FLAGS = {
    "limited": "Only the first frames were scored (--limit).",
    "unverified data": "The files are not the data set's official ones, or not in its layout.",
    "hidden labels": "The labels are held by the data set's authors; nothing can be measured here.",
    "no anomaly labels": "The data set has no anomaly labels; nothing can be measured.",
    "superseded": "A newer run of the same method, options, weights and seed is ranked instead.",
    "invalidated": "The run was found to be wrong and has been retired.",
}
"""What each flag says. A run with any of them is shown, but not ranked."""

FAMILY_TITLES = {
    "pixel": "Pixels",
    "component": "Components",
    "misclassification": "Wrong classes",
    "classes": "Classes",
}


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
    pictures: dict[str, Path] = {}
    texts = _texts(public, runs_root, with_images, date, pictures)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
            fresh, old = Path(temporary, "fresh"), Path(temporary, "old")
            (fresh / "pictures").mkdir(parents=True)
            (fresh / "data").mkdir()
            for name, source in sorted(pictures.items()):
                shutil.copyfile(source, fresh / name)
            for name, text in texts.items():
                (fresh / name).write_text(text, "utf-8")
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


def _texts(
    runs: Sequence[Run], root: Path, with_images: bool, date: str, pictures: dict[str, Path]
) -> dict[str, str]:
    """Every text file of the board, by name; fills `pictures`, name to source."""
    known = marks(runs)
    by_dataset: dict[str, list[Run]] = {}
    for run in runs:
        by_dataset.setdefault(run.dataset, []).append(run)
    sections = [
        section(dataset, by_dataset[dataset], known, root, with_images, pictures)
        for dataset in in_catalogue_order([*by_dataset])
    ]
    overall = overviews(runs)
    shown = columns(runs)
    texts = {
        "board.csv": formatted(runs, "csv", shown=shown) + "\n",
        "board.json": formatted(runs, "json", shown=shown) + "\n",
        "reported.csv": REPORTED.read_text("utf-8"),
        **{f"data/{one.anchor}.js": section_script(one) for one in sections},
    }
    if overall:
        texts["data/overall.js"] = overview_script(overall)
    elsewhere = _only_reported(by_dataset)
    if sections and elsewhere:
        texts["data/reported.js"] = reported_script(elsewhere)
    size = sum(len(text.encode()) for text in texts.values())
    size += sum(path.stat().st_size for path in pictures.values())
    return {"index.html": _page(runs, sections, overall, elsewhere, date, size), **texts}


def _only_reported(measured: Collection[str]) -> list[str]:
    """The data sets with published figures on which nothing ran, in the catalogue's order."""
    datasets = {figure.dataset for figure in reported() if column_of(figure.metric)}
    return in_catalogue_order([*datasets.difference(measured)])


def _page(
    runs: Sequence[Run],
    sections: Sequence[Section],
    overall: Sequence[Overview],
    elsewhere: Sequence[str],
    date: str,
    size: int,
) -> str:
    """The page itself; `size` is that of all other files, in bytes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Names come from anybody: no control or direction marks on the page.
        finalize=lambda v: printable(v) if isinstance(v, str) and not isinstance(v, Markup) else v,
    )
    style, script = ((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "script.js"))
    families = [
        family for family in FAMILIES if any(f.name == family for s in sections for f in s.families)
    ]
    return environment.get_template("board.html.j2").render(
        sections=sections,
        overall=overall,
        elsewhere=elsewhere,
        cautions={one.anchor: _cautions(one) for one in sections},
        ranked=sum(len(lines) for s in sections for _, lines in s.families[0].tables),
        methods=len({run.method for run in runs}),
        runs=len(runs),
        families=families,
        family_titles=FAMILY_TITLES,
        metrics={family: [METRICS[name] for name in OFFICIAL[family]] for family in families},
        kinds=KINDS,
        flags={flag: FLAGS[flag] for flag in FLAGS if any(flag in run.flags for run in runs)},
        flag_list=json.dumps(list(FLAGS.items())),
        arrow=arrow,
        missing=MISSING,
        pictured=PICTURED,
        shown=_SHOWN,
        link=_link,
        date=date,
        newest=max((run.finished for run in runs), default=""),
        size=_size(size),
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def meaning_of(flag: str) -> str:
    """What the flag says of a run; unknown ones are explained by what they do."""
    return FLAGS.get(flag.partition(":")[0], "Shown, but not ranked.")


_SHOWN = {
    "arrow": arrow,
    "first": FIRST,
    "interval": interval_text,
    "meaning_of": meaning_of,
    "missing": MISSING,
    "number": number_text,
    "spread": spread_text,
}
"""What the templates of tables call, under the name `shown`."""


def _cautions(section: Section) -> tuple[tuple[str, int], ...]:
    """What rows can be hidden by: flags and marks that speak against a comparison, with counts."""
    found = [
        name
        for entry in section.entries
        for name in {
            *(flag.partition(":")[0] for flag in entry.run.flags),
            *(mark.name for mark in entry.marks if mark.caution),
        }
    ]
    return tuple((name, found.count(name)) for name in sorted(set(found)))


def _link(address: str) -> str:
    """The address if a browser may follow it from a public page, else ""."""
    return address if re.match(r"https?://", address) else ""


def _size(size: int) -> str:
    """Bytes as a reader says them.

    >>> _size(1234567), _size(4321)
    ('1.2 MB', '4 kB')
    """
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
