"""The runs of a folder, kept in memory and read again only where a file has changed."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from harness import store
from harness.errors import HarnessError
from harness.types import Run


@dataclass(frozen=True)
class Snapshot:
    """The runs of a folder at one moment."""

    version: int  # changes when anything has changed
    runs: tuple[Run, ...] = ()  # by data set and id
    damaged: tuple[str, ...] = ()  # a sentence for each record that was left out

    def of(self, dataset: str) -> tuple[Run, ...]:
        """The runs on `dataset`."""
        return tuple(run for run in self.runs if run.dataset == dataset)


class Records:
    """The runs below one folder. One object serves all visitors."""

    def __init__(self, root: Path):
        self.root = root
        self._lock = threading.Lock()
        self._read: dict[str, tuple[tuple[int, int], Run | str]] = {}
        self._snapshot = Snapshot(0)

    def snapshot(self) -> Snapshot:
        """The runs as they are now: files that are new or changed are read, others are not."""
        with self._lock:
            there = _record_files(self.root)
            if {path: mark for path, (mark, _) in self._read.items()} != there:
                self._read = {
                    path: known
                    if (known := self._read.get(path)) is not None and known[0] == mark
                    else (mark, _record(Path(path)))
                    for path, mark in there.items()
                }
                found = [record for _, record in self._read.values()]
                runs = sorted(
                    (record for record in found if isinstance(record, Run)),
                    key=lambda run: (run.dataset, run.id),
                )
                damaged = sorted(record for record in found if isinstance(record, str))
                self._snapshot = Snapshot(self._snapshot.version + 1, tuple(runs), tuple(damaged))
            return self._snapshot


def _record_files(root: Path) -> dict[str, tuple[int, int]]:
    """Path of every run.json below `root`, with its time and size."""
    found = {}
    for dataset in _folders(root):
        for run in _folders(dataset.path):
            path = os.path.join(run.path, "run.json")  # noqa: PTH118 - thousands, each time
            try:
                facts = os.stat(path)  # noqa: PTH116
            except OSError:
                continue
            found[path] = (facts.st_mtime_ns, facts.st_size)
    return found


def _folders(folder: Path | str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return [e for e in entries if not e.name.startswith(".") and e.is_dir()]
    except OSError:
        return []


def _record(path: Path) -> Run | str:
    """The run of the file, or why it cannot be shown."""
    try:
        run = store.load_run(path.parent)
    except HarnessError as error:
        return str(error)
    # The names are used as paths: a record must not lead out of its folder.
    if (run.dataset, run.id) != (path.parent.parent.name, path.parent.name):
        return f"{path}: the record says that it is another run; delete the folder, or rename it."
    return run
