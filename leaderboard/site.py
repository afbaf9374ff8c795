"""The static board: one page that opens from disk or from any web host, and its pictures."""

import base64
import dataclasses
import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.data.catalog import DATASETS
from harness.errors import RunError
from harness.metrics import METRICS
from harness.types import Run
from leaderboard.ranks import RANKING, SHOWN, Board, Standing, arrow, boards, overall, value
from leaderboard.sections import section
from leaderboard.table import MISSING, differing_options, formatted, options_shown, printable

TEMPLATES = Path(__file__).parent / "templates"
MARK = ".harness-board"  # lies in every folder that is a board, so that only boards are replaced
FLAGS = {
    "limited": "Only the first frames were scored (--limit).",
    "unverified data": "The files are not the data set's official ones, or not in its layout.",
    "hidden labels": "The labels are held by the data set's authors; nothing can be measured here.",
    "no anomaly labels": "The data set has no anomaly labels; nothing can be measured.",
    "superseded": "A newer run of the same method, options and weights is ranked instead.",
    "invalidated": "The run was found to be wrong and has been retired.",
}
"""What each flag says. A run with any of them is shown, but not ranked."""


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
    sections = [section(board, root, with_images, files) for board in found]
    standings = _standings(found)
    counted = {dataset for standing, _ in standings for dataset in standing.rows}
    style, script = ((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "script.js"))
    return environment.get_template("board.html.j2").render(
        sections=sections,
        standings=standings,
        datasets=[board.dataset for board in found if board.dataset in counted],
        anchors={shown.dataset: shown.anchor for shown in sections},
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


def _link(address: str) -> str:
    """The address if a browser may follow it from a public page, else ""."""
    return address if re.match(r"https?://", address) else ""
