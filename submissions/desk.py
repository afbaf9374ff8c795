"""What a board does for its accounts, whatever way they come: begin, look, take, finish, withdraw.

Everything here blocks (SQLite, disk, image headers): the server calls it from threads.
"""

import functools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.data import DATASETS, Frames, load_frames, status
from harness.errors import HarnessError, ScoreError
from harness.score_files import classes_header
from submissions import announced as announcements
from submissions import card as cards
from submissions.announced import Announced, File, Place
from submissions.check import Expected, check_header
from submissions.inbox import Inbox
from submissions.incoming import Upload
from submissions.items import RECEIVED, Item, NoSuchItem, Refused
from submissions.limits import Limits
from submissions.report import Problem, shown

MOST_PROBLEMS = 1_000  # told in one answer


class Invalid(HarnessError):  # noqa: N818 (named after what it says)
    """An announcement whose names or sizes are wrong; `problems` says how."""

    def __init__(self, sentence: str, problems: tuple[Problem, ...] = ()):
        super().__init__(sentence)
        self.problems = problems[:MOST_PROBLEMS]


class TooLarge(HarnessError):  # noqa: N818 (named after what it says)
    """An upload of more than one may have."""


class DiskFull(HarnessError):  # noqa: N818 (named after what it says)
    """The board's disk has no room."""


class Incomplete(Refused):
    """An upload that cannot be finished, as files are missing."""

    def __init__(self, missing: list[str]):
        super().__init__(f"{len(missing):,} files have not come yet.")
        self.missing = missing


@dataclass(frozen=True)
class Board:
    """A board that takes submissions."""

    inbox: Inbox
    frames: Callable[[str], Frames]  # a data set, by name; its labels are not looked at
    datasets: tuple[str, ...]  # that it takes
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def at(cls, inbox: Path, *, root: Path | None, datasets: tuple[str, ...] = ()) -> "Board":
        """The board of an inbox, with the data sets named or else all that are ready.

        Args:
            inbox: the folder; made where there is none.
            root: the data root.
            datasets: by name.

        Raises:
            UnknownName: no data set is called so.
            HarnessError: one cannot be scored, or its images are not there.
        """
        scored = [name for name, entry in DATASETS.items() if not entry.for_training]
        names = datasets or tuple(n for n in scored if status(n, root).state == "ready")
        for name in datasets:
            found = status(name, root)
            if found.state != "ready":
                raise HarnessError(f"{name} is {found.state}: {found.why}")
        return cls(Inbox(inbox), functools.partial(load_frames, root=root), names)


@dataclass(frozen=True)
class DataSet:
    """What is expected of a submission to one data set."""

    expected: Expected
    places: dict[str, Place]

    @classmethod
    def of(cls, frames: Frames) -> "DataSet":
        """That of these frames; reads the sizes of all images once."""
        expected = Expected.of(frames)
        return cls(expected, announcements.places(expected.shapes))

    def found(self, upload: Upload, place: Place) -> tuple[Problem, ...]:
        """What is wrong with a file that came, as far as its first bytes tell."""
        path = upload.path(place)
        if place.kind == "card":
            try:
                return cards.parsed(path.read_bytes())[1]
            except OSError:  # withdrawn meanwhile, and deleted
                return ()
        if path.suffix == ".hdf5":  # read by a library in C: in the judge's process, not here
            return ()
        if place.kind == "map":
            return check_header(path, place.frame, self.expected)
        try:
            size = classes_header(path)
        except ScoreError as error:
            sentence = shown(str(error).replace(str(path), place.name))
            return (Problem("classes", sentence, place.frame),)
        shape = self.expected.shapes[place.frame]
        if shape is not None and size != shape:
            return (Problem("classes", f"{place.name}: {size}, not {shape}.", place.frame),)
        return ()


class Desk:
    """One board's work for its accounts; may be shared by threads."""

    def __init__(self, board: Board):
        self.board = board
        self.inbox = board.inbox
        self.data_set = functools.cache(self._data_set)

    def data_sets(self) -> list[dict[str, Any]]:
        """What the board takes."""
        found = []
        for name in self.board.datasets:
            expected = self.data_set(name).expected
            facts = {
                "name": name,
                "title": expected.dataset.title,
                "frames": len(expected.shapes),
                "hidden_labels": expected.dataset.hidden_labels,
            }
            found.append(facts)
        return found

    def begin(self, account: str, dataset: str, announced: Announced) -> tuple[Item, bool]:
        """The item whose files may now come, and whether it is new.

        Raises:
            Invalid: names or sizes are wrong, or the board does not take the data set.
            TooLarge, DiskFull: in all.
            OverQuota: the account has used up its quota.
        """
        if dataset not in self.board.datasets:
            taken = ", ".join(self.board.datasets) or "none"
            raise Invalid(f"{shown(dataset[:80])} is not taken here; this board takes: {taken}.")
        places = self.data_set(dataset).places
        problems = announcements.problems(announced, dataset, places)
        if problems:
            raise Invalid(f"not a submission to {dataset}: {len(problems)} problems.", problems)
        most = self.board.limits.total_bytes
        if announced.bytes > most:
            raise TooLarge(f"{announced.bytes:,} bytes in all; at most {most:,} are taken here.")
        self._room(announced.bytes)
        item, new = self.inbox.begin(account, dataset, announced)
        if item.state == RECEIVED and item.complete is None:
            # Also again: a crash may have come between the two.
            Upload.of(self.inbox, item.id).make(places[each.name] for each in announced.files)
        return item, new

    def wanted(self, account: str, item_id: str, sha256: str) -> "Wanted | None":
        """The file of the item with that hash, which is to come; None: it came before.

        Raises:
            NoSuchItem: there is no such item, or no such file of it.
            Refused: the upload has ended without it.
            DiskFull: there is no room for it.
        """
        item = self.inbox.item(item_id, account)
        if item.complete is not None and sha256 in item.manifest.values():
            return None
        if item.complete is None and item.state != RECEIVED:
            raise Refused(f"{item_id} is {item.state}; its files cannot be changed any more.")
        files = self.inbox.announced(item_id, sha256).files
        if not files or item.complete is not None:
            raise NoSuchItem("no file with that sha256 was announced.")
        data_set = self.data_set(item.dataset)
        places = [data_set.places[each.name] for each in files if each.name in data_set.places]
        if len(places) < len(files):
            raise Refused("the frames of the data set have changed; withdraw this and begin again.")
        upload = Upload.of(self.inbox, item_id)
        if all(upload.there(place, files[0].bytes) for place in places):
            return None
        self._room(files[0].bytes)
        return Wanted(files[0], upload, tuple(places), data_set)

    def finish(self, account: str, item_id: str) -> Item:
        """The item, which is in the queue or rejected as a duplicate; again, it is as it is.

        Raises:
            NoSuchItem: there is none.
            Incomplete: files are missing.
            Refused: it was withdrawn, or took too long.
        """
        item = self.inbox.item(item_id, account)
        if item.complete is not None:
            return item
        if item.state != RECEIVED:
            raise Refused(f"{item_id} is {item.state}; begin again.")
        if not item.files:
            raise Refused(f"{item_id} was begun by the host, who finishes it.")
        missing = self.missing(item)
        if missing:
            raise Incomplete(missing)
        Upload.of(self.inbox, item_id).settle()
        return self.inbox.finish(item_id, self.inbox.announced(item_id).manifest)

    def withdraw(self, account: str, item_id: str) -> Item:
        """The withdrawn item.

        Raises:
            NoSuchItem: there is none.
            Refused: it is published or rejected.
        """
        return self.inbox.withdraw(self.inbox.item(item_id, account).id)

    def items(self, account: str) -> list[dict[str, Any]]:
        """The facts of all items of the account, newest first."""
        return [self.facts(each) for each in reversed(self.inbox.items(account))]

    def item(self, account: str, item_id: str) -> dict[str, Any]:
        """The facts of one.

        Raises:
            NoSuchItem: there is none.
        """
        return self.facts(self.inbox.item(item_id, account))

    def facts(self, item: Item) -> dict[str, Any]:
        """What the item's account may know of it, for JSON."""
        names = "id dataset state reason created complete updated position run files bytes"
        facts = {name: getattr(item, name) for name in names.split()}
        return facts | {"missing": self.missing(item)}

    def missing(self, item: Item) -> list[str]:
        """The hashes of what has not come yet and still may."""
        if item.state != RECEIVED or item.complete is not None:
            return []
        files = self.inbox.announced(item.id).files
        try:
            places = self.data_set(item.dataset).places
        except HarnessError:  # it is not here any more; other submissions can still be listed
            places = {}
        return Upload.of(self.inbox, item.id).missing(files, places)

    def _data_set(self, name: str) -> DataSet:
        return DataSet.of(self.board.frames(name))

    def _room(self, size: int) -> None:
        free = shutil.disk_usage(self.inbox.folder).free
        if free - size < self.board.limits.spare_bytes:
            raise DiskFull("the board's disk is nearly full; try again later, or tell the host.")


@dataclass(frozen=True)
class Wanted:
    """A file that may come now."""

    file: File
    upload: Upload
    places: tuple[Place, ...]  # one, or more where files are equal
    data_set: DataSet

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the file, which came, as far as its first bytes tell."""
        found = (self.data_set.found(self.upload, place) for place in self.places)
        return tuple(problem for each in found for problem in each)


def public(problems: tuple[Problem, ...]) -> list[Mapping[str, str]]:
    """The problems as JSON has them."""
    return [vars(each) for each in problems]
