"""A judge's worker: takes items from an inbox, checks them, judges them, publishes their runs.

Results lie in `judged/` of the inbox until the item is published there, in one transaction; only
then is the run moved to the board, by whichever worker comes next. So a crash at any point is made
good by starting a worker again, and a result that lost its lease never shows.
"""

import dataclasses
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness import store
from harness.data import Frames, load_frames
from harness.errors import DataError, HarnessError, RunError, UnknownName
from harness.score_files import write_bytes
from harness.types import Run
from submissions.check import NOT_TAKEN, Checked, opened
from submissions.hidden import with_labels
from submissions.inbox import Inbox
from submissions.incoming import sweep
from submissions.items import CHECKING, Item, Refused
from submissions.judge import judged
from submissions.leases import LeaseLost, Leases
from submissions.receipt import Signer, manifest
from submissions.report import shown

REST_SECONDS = 300.0  # that an item waits when the host's own data or disk is in trouble
_LOG = logging.getLogger(__name__)


def _passed(_point: str) -> None:
    """Nothing: what happens at the points that a worker passes."""


@dataclass
class Worker:
    """One judge; any number may work on the same inbox, in threads or processes."""

    inbox: Inbox
    out: Path  # the runs of the board
    frames_of: Callable[[str], Frames]  # a data set with its labels, by name
    signer: Signer
    lease_seconds: float = 60.0
    keep_payloads: bool = True  # of what was published
    passed: Callable[[str], None] = _passed  # is told each point that is passed
    troubles: list[str] = field(default_factory=list)  # of the host, newest last

    @property
    def leases(self) -> Leases:
        """The leases that it takes."""
        return Leases(self.inbox, self.lease_seconds)

    def run(self, *, once: bool = False, pause_seconds: float = 2.0) -> None:
        """Works until nothing is left to do; or, without `once`, for ever."""
        while True:
            if self.step():
                continue
            if once:
                return
            time.sleep(pause_seconds)

    def step(self) -> bool:
        """Whether there was an item: it was then checked or judged, or given back."""
        self.settle()
        held = self.leases.take()
        if held is None:
            return False
        self.passed("taken")
        with self.leases.kept(held):
            try:
                self._work(held)
            except LeaseLost as error:
                _LOG.info("%s", error)
        self.settle()
        return True

    def settle(self) -> None:
        """Finishes what was decided: moves published runs to the board, deletes what is left."""
        self.inbox.expire()
        try:
            with store.locked(self.inbox.folder / "moving"):
                for item in self.inbox.unsettled():
                    self._settle(item)
                self._sweep()
                sweep(self.inbox)
        except RunError as error:  # another worker is at it
            _LOG.info("%s", error)

    def _settle(self, item: Item) -> None:
        if not item.staged:
            self.inbox.delete_payload(item.id)
            return
        source = self.inbox.folder / "judged" / item.staged / item.run
        try:
            store.load_run(source)
        except RunError as error:  # lost with the power, which takes what was not on the disk yet
            _LOG.error("%s: judged again: %s", item.id, error)
            self.inbox.judge_again(item.id)
            return
        try:
            self._move(item, source)
        except (RunError, OSError) as error:  # it stays published, and is moved later
            self.troubles.append(f"{item.id}: {error}")
            _LOG.error("%s: %s", item.id, error)

    def _work(self, held: Item) -> None:
        try:
            if held.state == CHECKING:
                self._check(held)
            else:
                self._judge(held)
        except LeaseLost:
            raise
        except (DataError, RunError, OSError) as error:
            reason = "the host's machine is in trouble; this will be tried again."
            self.leases.release(held, reason, counts=False, rest_seconds=REST_SECONDS)
            self.troubles.append(f"{held.id}: {error}")
            _LOG.error("%s: %s", held.id, error)
        except HarnessError as error:
            # A sentence about the submitter's files, without the folders that they lie in here.
            self.leases.reject(held, str(error).replace(f"{self.inbox.payload(held.id)}/", ""))
        except Exception as error:
            # The text of an unforeseen error could tell of labels; its kind does not.
            _LOG.exception("%s", held.id)
            self.leases.release(held, f"the judge failed ({type(error).__name__})")
        except BaseException:
            self.leases.release(held, counts=False)
            raise

    def _check(self, held: Item) -> None:
        with opened(self._files(held), self._frames(held)) as checked:
            self._report(held, checked)
            self.passed("checked")
            if checked.report.valid:
                self.leases.pass_on(held)
            else:
                self.leases.reject(held, checked.report.text())
        self.passed("passed on")

    def _judge(self, held: Item) -> None:
        staged = self.inbox.folder / "judged" / f"{held.id}-{held.lease}"
        frames = self._frames(held)
        with opened(self._files(held), frames) as checked:
            run = judged(checked, frames, out=staged, command="harness judge", keep_scores=True)
        self.passed("judged")
        receipt = self.signer.receipt(held.id, run, held.manifest)
        facts = dataclasses.asdict(receipt)
        run = dataclasses.replace(run, provenance={**run.provenance, "receipt": facts})
        store.replace_record(staged, run)
        self.passed("signed")
        self.leases.publish(held, f"{run.dataset}/{run.id}", staged.name)
        self.passed("published")

    def _files(self, held: Item) -> Path:
        """The folder of the files, which are those that were announced, or a `Refused`."""
        folder = self.inbox.payload(held.id)
        found = manifest(folder)
        names = sorted(held.manifest.keys() | found.keys())
        other = [name for name in names if held.manifest.get(name) != found.get(name)]
        if other:
            raise Refused(
                f"{shown(other[0])}: not the file that was announced; upload again"
                f" ({len(other)} of {len(names)} files)."
            )
        return folder

    def _frames(self, held: Item) -> Frames:
        try:
            frames = self.frames_of(held.dataset)
        except UnknownName as error:
            raise Refused(str(error)) from error
        if frames.dataset.kind == "corrupted":
            raise Refused(NOT_TAKEN.format(name=held.dataset))
        return frames

    def _report(self, held: Item, checked: Checked) -> None:
        folder = self.inbox.folder / "reports"
        folder.mkdir(exist_ok=True)
        write_bytes(folder / f"{held.id}.json", checked.report.to_json().encode())

    def _move(self, item: Item, source: Path) -> None:
        """Copies the run beside its place on the board, renames it, and notes that it is there."""
        final = self.out / item.run
        beside, old = (final.with_name(f".{kind}-{final.name}") for kind in ("moving", "old"))
        with store.writing(final):
            for folder in (beside, old):
                shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(source, beside)
            self.passed("copied")
            if final.exists():
                final.replace(old)
            beside.replace(final)
            shutil.rmtree(old, ignore_errors=True)
            self.passed("moved")
            receipts = self.inbox.folder / "receipts"
            receipts.mkdir(exist_ok=True)
            receipt = store.load_run(final).provenance["receipt"]
            content = json.dumps(receipt, indent=1, sort_keys=True).encode() + b"\n"
            write_bytes(receipts / f"{item.id}.json", content)
        if not self.keep_payloads:
            self.inbox.delete_payload(item.id)
        self.passed("receipt written")
        self.inbox.moved(item)

    def _sweep(self) -> None:
        """Deletes results of workers that died or lost their lease."""
        for folder in sorted((self.inbox.folder / "judged").glob("*")):
            item = self.inbox.item(folder.name.partition("-")[0])
            if folder.name not in (item.staged, f"{item.id}-{item.lease}"):
                shutil.rmtree(folder, ignore_errors=True)


def host_frames(name: str, *, root: Path | None, labels: Path | None) -> Frames:
    """The frames of a data set with its labels, as a judge needs them.

    Args:
        name: of the data set.
        root: the data root.
        labels: holds <data set>/<frame id>.png for sets whose labels are hidden.

    Raises:
        DataError: images or labels are not there.
    """
    frames = load_frames(name, root=root)
    if frames.has_labels or frames.has_classes:
        return frames
    if labels is None:
        raise DataError(f"{name}: its labels are hidden; say with --labels where they lie.")
    return with_labels(frames, labels / name)


def judged_again(files: Path, frames: Frames) -> Run:
    """The run of the submission in `files`, which is saved nowhere: for `receipt.verify`.

    Raises:
        InvalidSubmission: the check found errors.
    """
    with tempfile.TemporaryDirectory() as out, opened(files, frames) as checked:
        return judged(checked, frames, out=Path(out))
