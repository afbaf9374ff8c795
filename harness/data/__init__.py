"""Where frames come from: data sets by name, from folders or drawn by the harness."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.data.catalog import DATASETS, Dataset
from harness.data.custom import described
from harness.data.folder import Found, find, place
from harness.data.frames import Drawn, Frames, scenes
from harness.errors import DataError, unknown_name

__all__ = [
    "DATASETS",
    "Dataset",
    "Frames",
    "Status",
    "data_root",
    "dataset_names",
    "load_frames",
    "scenes",
    "status",
]


@dataclass(frozen=True)
class Status:
    """Whether a data set can be used, and what to do where it cannot."""

    name: str
    state: Literal["ready", "missing", "broken"]
    why: str  # "" when ready
    where: str  # the folder and its layout, or where the set is expected
    frames: int  # how many can be used; 0 unless ready


def dataset_names() -> list[str]:
    """Names of all data sets, in the order of the catalogue."""
    return list(DATASETS)


def load_frames(name: str, *, root: Path | None = None, limit: int | None = None) -> Frames:
    """The frames of the data set `name`, in the natural order of their ids.

    Args:
        name: a key of `DATASETS`.
        root: the data root; default: the environment's HARNESS_DATA, else `./data`.
        limit: take only the first `limit` frames, which flags them as "limited".

    Raises:
        UnknownName: no data set is called so.
        DataError: the set is missing, incomplete or ambiguous; the sentence says what to do.
    """
    entry = _entry(name)
    if limit is not None and limit < 1:
        raise DataError(f"limit is {limit}; expected a number of frames of at least 1.")
    if entry.kind == "drawn":
        frames = _drawn(entry)
    else:
        root = data_root(root)
        entry, found = _found(entry, root)
        if found is None:
            raise DataError(_missing(entry, root))
        frames = Frames(
            entry,
            found.frames,
            ("unverified data",) if found.renumbered else (),
            f"{found.folder} ({found.layout.title} layout)",
            has_labels=found.frames[0].label_file is not None,
            has_classes=found.frames[0].classes_file is not None,
        )
    if limit is not None and limit < len(frames):
        frames = replace(frames.take(range(limit)), flags=("limited", *frames.flags))
    return frames


def status(name: str, root: Path | None = None) -> Status:
    """Whether the data set `name` is ready, missing or broken under the data root `root`.

    Counts files, pairs them and reads their headers; decodes no pixels.

    Raises:
        UnknownName: no data set is called so.
    """
    entry = _entry(name)
    if entry.kind == "drawn":
        return Status(name, "ready", "", "drawn by the harness", len(_drawn(entry)))
    root = data_root(root)
    try:
        entry, found = _found(entry, root)
        if found is None:
            where = place(entry, root)
            return Status(name, "missing", _how_to_get(entry), where, 0)
        for files in found.frames:
            files.check_headers()
    except DataError as error:
        return Status(name, "broken", str(error), str(root), 0)
    where = f"{found.folder} ({found.layout.title} layout)"
    return Status(name, "ready", "", where, len(found.frames))


def _entry(name: str) -> Dataset:
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name]


def data_root(root: Path | None = None) -> Path:
    """The folder that holds the data sets: `root`, else HARNESS_DATA, else `./data`."""
    return Path(root or os.environ.get("HARNESS_DATA") or "data").expanduser()


def _found(entry: Dataset, root: Path) -> tuple[Dataset, Found | None]:
    if not root.is_dir():
        return entry, None
    if entry.kind == "custom":
        entry = described(entry, root)
    try:
        return entry, find(entry, root)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be listed ({error.strerror}).") from error


def _missing(entry: Dataset, root: Path) -> str:
    exists = "" if root.is_dir() else ", which does not exist"
    if entry.kind == "custom":
        return f"custom: no images in {root / 'images'}{exists}. {_how_to_get(entry)}"
    return (
        f"{entry.name} ({entry.title}) is not under the data root {root}{exists}. "
        f"{_how_to_get(entry)} Unpack it so that files lie like {place(entry, root)}."
    )


def _how_to_get(entry: Dataset) -> str:
    if entry.kind == "custom":
        return (
            "Give the folder that holds `images/` (and `labels/`) as the data root; "
            "harness/data/README.md says how."
        )
    size = f"{entry.size}; " if entry.size else ""
    return f"Get it from {entry.address} ({size}terms: {entry.licence})."


def _drawn(entry: Dataset) -> Frames:
    from harness.data import synthetic  # loaded only when something is drawn

    version = synthetic.FINGERPRINTS.get(entry.name, "")
    readers = tuple(Drawn(entry.name, i, version) for i in range(synthetic.SPLITS[entry.name]))
    return Frames(entry, readers, (), "drawn by the harness", True, True, version)
