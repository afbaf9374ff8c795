"""A small board for tests: three frames with hidden labels, submissions, and processes that die.

Run as a program, it reads lines "<inbox> <runs> <data> <point> <workers>" and for each forks
workers, which kill themselves with SIGKILL at the point; it prints their exit statuses.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from harness import store
from harness.data import Frames, load_frames
from harness.types import Run
from submissions import judge
from submissions.inbox import Inbox, Quotas
from submissions.items import Item, Items
from submissions.receipt import Signer, manifest
from submissions.worker import Worker

IDS, SHAPE = ("a", "b", "c"), (24, 40)
CARD = """
method = "Test"
anonymous = true
contact = "secret@example.org"
network = "none"
trained_on = []
proxy_outliers = []
same_checkpoint = true
accepts_terms = true
"""


def draw_data(root: Path) -> None:
    """Three small images with labels, as the data set `custom`."""
    (root / "images").mkdir()
    (root / "labels").mkdir()
    rng = np.random.default_rng(3)
    for index, frame in enumerate(IDS):
        image = rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{frame}.png")
        label = np.zeros(SHAPE, np.uint8)
        label[8:14, 10 : 20 + 5 * index] = 1
        Image.fromarray(label).save(root / "labels" / f"{frame}.png")


def hidden_frames(root: Path) -> Callable[[str], Frames]:
    """Loads the data set as a judge has it: hidden labels, which are there."""

    def load(name: str) -> Frames:
        frames = load_frames(name, root=root)
        return replace(frames, dataset=replace(frames.dataset, hidden_labels=True))

    return load


def put(inbox: Inbox, account: str = "ada", *, seed: int = 0, card: str = CARD) -> Item:
    """A finished submission of maps drawn from `seed`."""
    item = inbox.create(account, "custom")
    folder = inbox.payload(item.id)
    (folder / "scores").mkdir()
    (folder / "submission.toml").write_text(card)
    rng = np.random.default_rng(seed)
    for frame in IDS:
        np.save(folder / "scores" / f"{frame}.npy", rng.normal(size=SHAPE).astype(np.float32))
    return inbox.finish(item.id, manifest(folder))


def worker(folder: Path, out: Path, data: Path, **options: object) -> Worker:
    """A worker to whom leases of the past have run out: a minute later than it is."""
    late = Inbox(folder, quotas=Quotas(100, 100), clock=lambda: time.time() + 61)
    facts = {"inbox": late, "frames_of": hidden_frames(data), "signer": Signer(folder / "keys")}
    return Worker(out=out, **{**facts, **options})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Board:
    """A host's folders."""

    inbox: Inbox
    out: Path
    data: Path

    def runs(self) -> list[Run]:
        return store.load_runs(self.out)

    def work(self, **options: object) -> None:
        worker(self.inbox.folder, self.out, self.data, **options).run(once=True)


def _die(folder: Path, out: Path, data: Path, point: str) -> None:
    """Works and dies: at "taken:2" when `taken` is passed the second time, say."""
    name, _, which = point.partition(":")
    left = int(which) if which.isdigit() else 1

    def passed(where: str) -> None:
        nonlocal left
        with (folder / "passed.txt").open("a") as file:
            file.write(f"{where}\n")
        left -= where == name
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def and_die(function: Callable[..., object]) -> Callable[..., object]:
        def dying(*args: object, **options: object) -> object:
            result = function(*args, **options)
            passed("inside")
            return result

        return dying

    if point == "inside:evaluation":
        name, judge.evaluate = "inside", and_die(judge.evaluate)  # type: ignore[assignment]
    if point == "inside:saving":
        name, store.write_bytes = "inside", and_die(store.write_bytes)  # type: ignore[assignment]
    if point.startswith("inside:transaction"):
        left, name = int(point[-1]), "inside"
        Items.move = and_die(Items.move)  # type: ignore[method-assign, assignment]
    inbox = Inbox(folder)
    worker(folder, out, data, inbox=inbox, passed=passed).run(once=True)


if __name__ == "__main__":
    for line in sys.stdin:
        inbox, out, data, point, workers = line.split()
        point = point.replace("_", " ")
        children = []
        for _ in range(int(workers)):
            child = os.fork()
            if not child:
                status = 1
                try:
                    _die(Path(inbox), Path(out), Path(data), point)
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(*codes, flush=True)  # noqa: T201 (read by the test)
