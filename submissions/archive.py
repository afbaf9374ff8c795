"""Zip files from strangers, unpacked into a folder: names, kinds and sizes are judged first.

Nothing is written outside of the folder and nothing that was not announced; a zip that lies about
its sizes stops at them. Folders may be announced, wrapped around everything once, or left out.
"""

import itertools
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path, PurePosixPath

from submissions.report import Problem, shown

MOST_NAME_BYTES = 255  # of one part of a name
MOST_DEPTH = 6
MOST_PROBLEMS = 200  # told of one zip
JUNK = re.compile(r"(.*/)?(__MACOSX/.*|\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)")
"""Files that file managers leave everywhere; they are passed over without a word."""

_READ = 1 << 20
_DIRECTORY_BYTES_PER_FILE = 200  # 46, a name, and what packers add of times and users
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_FORBIDDEN = frozenset('\\:*?"<>|')  # in names on Windows
_UNIX_KINDS = (0, stat.S_IFREG, stat.S_IFDIR)  # 0: the packer did not say


@dataclass(frozen=True)
class Limits:
    """What a zip may unpack to."""

    files: int = 20_000
    file_bytes: int = 2**29  # of one file, unpacked
    total_bytes: int = 2**36


def unpacked(path: Path, folder: Path, limits: Limits) -> tuple[Problem, ...]:
    """What is wrong with the zip file `path`; only if nothing is, its files lie in `folder`.

    Args:
        path: the zip.
        folder: exists and is empty; the caller removes it.
        limits: what is refused before anything is written.
    """
    try:
        with _Careful(path, limits) as file, zipfile.ZipFile(file) as archive:
            members = [each for each in archive.infolist() if not _passed_over(each)]
            found = _problems(members, path.stat().st_size, limits)
            problems = tuple(itertools.islice(found, MOST_PROBLEMS))
            if problems:
                return problems
            for member in members:
                _unpack(archive, member, folder)
    except OSError as error:
        return (_problem(f"the zip file cannot be unpacked ({error.strerror or error})."),)
    except Exception as error:  # a damaged zip makes zipfile raise nearly anything
        return (_problem(f"the zip file is damaged ({type(error).__name__}: {_brief(error)})."),)
    return ()


class _Careful(BufferedReader):
    """The zip file, of which `zipfile` may not read a directory of any size at once."""

    def __init__(self, path: Path, limits: Limits):
        super().__init__(FileIO(path))
        self._most = max(limits.files * _DIRECTORY_BYTES_PER_FILE, 2 * _READ)
        self._files = limits.files

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file; the central directory is the only large thing read in one piece."""
        if size is not None and size > self._most:
            raise zipfile.BadZipFile(f"a directory of more than {self._files:,} files")
        return super().read(self._most if size is None or size < 0 else size)


def _problems(members: list[zipfile.ZipInfo], size: int, limits: Limits) -> Iterator[Problem]:
    if len(members) > limits.files:
        yield _problem(f"{len(members):,} files; at most {limits.files:,} are taken.")
        return
    total = sum(each.file_size for each in members)
    if total > limits.total_bytes:
        yield _problem(f"{total:,} bytes unpacked; at most {limits.total_bytes:,} are taken.")
    if sum(each.compress_size for each in members) > size:
        yield _problem("its files overlap: together they are larger than the zip.")
    seen: dict[str, str] = {}
    for each in members:
        name = each.orig_filename  # as stored: `filename` ends at a NUL
        for reason in _reasons(each, limits):
            yield _problem(f"{shown(name[:100])}: {reason}.")
        same = unicodedata.normalize("NFC", name).casefold()
        if same in seen:
            both = "twice" if seen[same] == name else f"beside {shown(seen[same][:100])}"
            yield _problem(f"{shown(name[:100])}: is there {both}, one would replace the other.")
        seen[same] = name


def _reasons(member: zipfile.ZipInfo, limits: Limits) -> Iterator[str]:
    name = member.orig_filename
    parts = name.split("/")
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        yield "an absolute path"
    elif ".." in parts or "." in parts or "" in parts:
        yield "a path that leaves its folder or is not plain"
    if len(parts) > MOST_DEPTH or any(
        len(part.encode("utf-8", "replace")) > MOST_NAME_BYTES for part in parts
    ):
        yield f"a path of more than {MOST_DEPTH} parts, or of {MOST_NAME_BYTES} bytes in one"
    if any(not _harmless(character) for character in name):
        yield 'a name with characters that cannot be seen, or with one of \\ : * ? " < > |'
    if stat.S_IFMT(member.external_attr >> 16) not in _UNIX_KINDS:
        yield "a link or device; only plain files are taken"
    if member.flag_bits & _ENCRYPTED:
        yield "encrypted"
    if member.compress_type not in _METHODS:
        yield "compressed in another way than with deflate; pack it with a plain zip"
    if member.file_size > limits.file_bytes:
        yield f"{member.file_size:,} bytes; at most {limits.file_bytes:,} are taken"


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder.joinpath(*PurePosixPath(member.orig_filename).parts)
    if not target.resolve().is_relative_to(folder.resolve()):
        raise zipfile.BadZipFile("a path that leaves the folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with archive.open(member) as source, target.open("xb") as out:
        while block := source.read(_READ):
            left -= len(block)
            if left < 0:
                raise zipfile.BadZipFile("a file larger than announced")
            out.write(block)
    if left:
        raise zipfile.BadZipFile("a file smaller than announced")


def _passed_over(member: zipfile.ZipInfo) -> bool:
    name = member.orig_filename
    return bool(JUNK.fullmatch(name)) or (name.endswith("/") and not member.file_size)


def _harmless(character: str) -> bool:
    return character == " " or (
        character not in _FORBIDDEN and unicodedata.category(character)[0] not in "CZ"
    )


def _problem(sentence: str) -> Problem:
    return Problem("archive", sentence)


def _brief(error: Exception) -> str:
    return shown(str(error)[:100])
