"""What lies in the folder of a submission: the card, and for each frame its map and its classes.

    submission.toml  scores/<frame id>.<any format>  classes/<frame id>.png
or, as the SMIYC kit writes its outputs,
    submission.toml  anomaly_p/<method>/<the kit's name of the data set>/<frame id>.hdf5
Nothing is decoded here. All paths are found by listing, none is made from what a file says.
"""

import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.score_files import SUFFIXES
from submissions.archive import JUNK
from submissions.card import FILE, MOST_BYTES
from submissions.report import Problem, shown

KIT_FOLDER = "anomaly_p"
KIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "smiyc_anomaly21_val": ("AnomalyTrack-all",),
    "smiyc_anomaly21_test": ("AnomalyTrack-all",),
    "smiyc_obstacle21_val": ("ObstacleTrack-all",),
    "smiyc_obstacle21_test": ("ObstacleTrack-all",),
    "fs_lostandfound_val": ("LostAndFound-train", "LostAndFound-test"),
    "lost_and_found_test": ("LostAndFound-test",),
    "lost_and_found_test_noknown": ("LostAndFound-test",),
}
"""Under which names the SMIYC kit keeps the maps of a data set; one name serves several sets."""

MOST_FILES = 200_000  # listed of one folder
MOST_EXTRAS = 200  # told


@dataclass(frozen=True)
class Contents:
    """The files of a submission, by frame."""

    folder: Path  # that holds the card
    card: bytes | None  # the bytes of submission.toml
    maps: Mapping[str, tuple[Path, ...]]  # frame id -> its files; one is right
    classes: Mapping[str, Path]  # frame id -> its predicted classes
    problems: tuple[Problem, ...]


def contents(folder: Path, dataset: str, ids: Iterable[str], *, all_ids: bool = True) -> Contents:
    """What lies in `folder` for the frames `ids` of the data set named `dataset`.

    Args:
        folder: of the submission, or one that holds nothing but that folder.
        dataset: for the kit's layout, which has names of its own.
        ids: the frames.
        all_ids: whether they are all that the data set has; else no map is called extra.
    """
    folder = _unwrapped(folder)
    ids = list(ids)
    files = {f"{i}{suffix}": i for i in ids for suffix in SUFFIXES}
    maps: dict[str, list[Path]] = {}
    problems = []
    extra: list[str] = []
    for path in _listed(folder / "scores"):
        if path.name in files and path.is_file():
            maps.setdefault(files[path.name], []).append(path)
        elif all_ids:
            extra.append(f"scores/{path.name}")
    # The kit's folders serve several data sets: what belongs to no frame here is another's.
    for path in _kit_files(folder, dataset):
        if path.name in files and path.is_file():
            maps.setdefault(files[path.name], []).append(path)
    classes = {}
    by_name = {f"{i}.png": i for i in ids}
    for path in _listed(folder / "classes"):
        if path.name in by_name and path.is_file():
            classes[by_name[path.name]] = path
        elif all_ids:
            extra.append(f"classes/{path.name}")
    problems = [
        Problem("extra", f"{shown(name)} belongs to no frame of {dataset}.")
        for name in extra[:MOST_EXTRAS]
    ]
    if len(extra) > MOST_EXTRAS:
        problems.append(Problem("extra", f"{len(extra):,} files belong to no frame of {dataset}."))
    problems += [
        Problem("extra", f"{shown(path.name)} is passed over.", level="warning")
        for path in itertools.islice(_listed(folder), MOST_EXTRAS)
        if path.name not in (FILE, "scores", "classes", KIT_FOLDER, "README.md", "LICENSE")
    ]
    found = {frame: tuple(paths) for frame, paths in maps.items()}
    return Contents(folder, _card(folder), found, classes, tuple(problems))


def _unwrapped(folder: Path) -> Path:
    """The one folder in `folder`, where the card is there and nothing else is here."""
    inner = list(itertools.islice(_listed(folder), 2))
    if len(inner) == 1 and (inner[0] / FILE).is_file():
        return inner[0]
    return folder


def _kit_files(folder: Path, dataset: str) -> Iterable[Path]:
    for method in _listed(folder / KIT_FOLDER):
        for name in (*KIT_NAMES.get(dataset, ()), dataset):
            yield from _listed(method / name)


def _listed(folder: Path) -> list[Path]:
    """What lies in `folder`, sorted; [] where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each in itertools.islice(entries, MOST_FILES)]
    except OSError:
        return []
    return [folder / name for name in sorted(names) if not JUNK.fullmatch(name)]


def _card(folder: Path) -> bytes | None:
    try:
        with (folder / FILE).open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError:
        return None
