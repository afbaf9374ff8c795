"""The files of an upload on disk: hashed as they flow, renamed when complete, never half there.

    payloads/<id>.parts/    files on their way, under random names
    payloads/<id>/          files that came completely, under the names of `announced.places`
A file that is in its place is whole, so what is missing is told by looking; nothing is noted
anywhere that could disagree after a crash.
"""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from submissions.announced import File, Place
from submissions.inbox import Inbox
from submissions.items import RECEIVED, NoSuchItem


class NotAsAnnounced(HarnessError):  # noqa: N818 (named after what it says)
    """The bytes that came are others than those that were announced."""


class TooLate(HarnessError):  # noqa: N818 (named after what it says)
    """The upload has ended, and its folder is gone."""


@dataclass(frozen=True)
class Upload:
    """The folders of one item."""

    payload: Path
    parts: Path

    @classmethod
    def of(cls, inbox: Inbox, item_id: str) -> "Upload":
        """Those of an item in an inbox."""
        return cls(inbox.payload(item_id), inbox.parts(item_id))

    def make(self, places: Iterable[Place]) -> None:
        """Makes the folders; nothing else does, so that a deleted upload stays deleted."""
        self.parts.mkdir(parents=True, exist_ok=True)
        for folder in {self.path(place).parent for place in places}:
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, place: Place) -> Path:
        """Where a file lies once it is complete."""
        return self.payload / place.name

    def there(self, place: Place, size: int) -> bool:
        """Whether the file came completely."""
        try:
            return self.path(place).stat().st_size == size
        except OSError:
            return False

    def missing(self, files: Sequence[File], places: dict[str, Place]) -> list[str]:
        """The hashes of the files that have not come yet, each once, in the order of the files.

        Args:
            files: that were announced.
            places: of the data set; a name that it has no more is missing for ever.
        """
        found = (
            each.sha256
            for each in files
            if each.name not in places or not self.there(places[each.name], each.bytes)
        )
        return list(dict.fromkeys(found))

    def settle(self) -> None:
        """Brings the names of the files onto the disk, too, and deletes what was on its way.

        Raises:
            TooLate: the upload was withdrawn meanwhile.
        """
        try:
            for folder in (self.payload, *self.payload.iterdir()):
                if folder.is_dir():
                    _sync(folder)
        except FileNotFoundError as error:
            raise TooLate("the upload has ended; begin it again.") from error
        shutil.rmtree(self.parts, ignore_errors=True)


class Incoming:
    """A file on its way, written block by block; `discard` it in the end, whatever happened."""

    def __init__(self, upload: Upload, file: File):
        self.upload = upload
        self.file = file
        self.received = 0  # bytes
        self._hash = hashlib.sha256()
        self._path = upload.parts / f"{file.sha256}-{secrets.token_hex(8)}"
        try:
            self._file = self._path.open("xb", buffering=0)
        except FileNotFoundError as error:
            raise TooLate("the upload has ended; begin it again.") from error

    def write(self, block: bytes | bytearray) -> None:
        """Takes the next bytes of the file.

        Raises:
            NotAsAnnounced: they are more than were announced.
            OSError: the disk is full, or in trouble.
        """
        self.received += len(block)
        if self.received > self.file.bytes:
            raise NotAsAnnounced(f"more than the {self.file.bytes:,} bytes that were announced.")
        self._hash.update(block)
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) :]

    def place(self, places: Sequence[Place]) -> None:
        """Puts the file, which is complete, into its places; one of them is enough to be told of.

        Raises:
            NotAsAnnounced: its size or its hash is another.
            TooLate: the upload has ended meanwhile.
        """
        if self.received != self.file.bytes:
            raise NotAsAnnounced(
                f"{self.received:,} bytes came, {self.file.bytes:,} were announced."
            )
        if self._hash.hexdigest() != self.file.sha256:
            raise NotAsAnnounced(
                f"the bytes that came have the sha256 {self._hash.hexdigest()}; the file was "
                "changed on its way, or after it was announced."
            )
        os.fsync(self._file.fileno())
        paths = [self.upload.path(place) for place in places]
        try:
            for path in paths[1:]:  # the same bytes under several names
                _linked(self._path, path)
            self._path.replace(paths[0])
        except FileNotFoundError as error:
            raise TooLate("the upload has ended; nothing more is taken.") from error

    def discard(self) -> None:
        """Deletes what came, unless it lies in its place by now."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def sweep(inbox: Inbox) -> None:
    """Deletes what was on its way to uploads that have ended."""
    for parts in (inbox.folder / "payloads").glob("*.parts"):
        try:
            item = inbox.item(parts.name.removesuffix(".parts"))
        except NoSuchItem:
            continue
        if item.complete is not None or item.state != RECEIVED:
            shutil.rmtree(parts, ignore_errors=True)


def _linked(part: Path, path: Path) -> None:
    """Puts the content of `part` at `path`, as a whole."""
    beside = part.with_name(secrets.token_hex(8))
    try:
        os.link(part, beside)
    except OSError as error:
        if error.errno not in (errno.EMLINK, errno.EPERM, errno.ENOTSUP):
            raise
        shutil.copyfile(part, beside)  # where the file system has no (or no more) links
    beside.replace(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
