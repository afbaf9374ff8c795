"""Servers for tests, in threads or processes, submissions to send there, and sudden deaths.

Run as a program, it reads one JSON object a line and answers with a number:
{"words": […], "log": "<file>", "point": "<point>", "late": false} forks a process that runs
`harness <words>` and kills itself with SIGKILL at the point; its id is the answer. {"wait": id}
gives the exit status of that process.
"""

import functools
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image

from harness import store
from harness.cli import main
from submissions import incoming, judge, leases, server, tokens, worker
from submissions.desk import Board
from submissions.inbox import Inbox, Quotas
from submissions.items import Items
from tests.judging import CARD, IDS, SHAPE, hidden_frames

REPOSITORY = Path(__file__).parents[1]


def write_submission(
    folder: Path, *, seed: int = 0, card: str = CARD, scores: str = "scores"
) -> Path:
    """A folder of maps of the data set `custom`, drawn from `seed`."""
    (folder / scores).mkdir(parents=True)
    (folder / "submission.toml").write_text(card)
    rng = np.random.default_rng(seed)
    for frame in IDS:
        np.save(folder / scores / f"{frame}.npy", rng.normal(size=SHAPE).astype(np.float32))
    return folder


def host(folder: Path, data: Path) -> Board:
    """A board that takes `custom`, whose images lie in `data`."""
    return Board(Inbox(folder, quotas=Quotas(100, 100)), hidden_frames(data), ("custom",))


def token(inbox: Inbox, account: str = "ada") -> str:
    """A token of an account."""
    return tokens.make(inbox, account)


@contextmanager
def serving(board: Board) -> Iterator[str]:
    """The address of a server that runs in a thread."""
    config = uvicorn.Config(server.app(board), port=0, ws="none", lifespan="off", log_level="error")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        thread.join(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = True
        thread.join()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True)
class Processes:
    """Starts commands of the harness as processes, each at once, as all is imported already."""

    forks: "subprocess.Popen[str]"
    turn: threading.Lock = field(default_factory=threading.Lock)

    def start(self, words: list[str], log: Path, *, point: str = "", late: bool = False) -> int:
        """The id of the process that runs `harness <words>`.

        Args:
            words: of the command.
            log: takes what it prints.
            point: where it dies; "": nowhere.
            late: whether its clock is a minute late, so that leases of the dead have run out.
        """
        return self._ask({"words": words, "log": str(log), "point": point, "late": late})

    def wait(self, process: int) -> int:
        """The exit status of a process; minus the signal that killed it."""
        return self._ask({"wait": process})

    def kill(self, process: int) -> None:
        """Kills a process, and waits until it is gone."""
        os.kill(process, signal.SIGKILL)
        self.wait(process)

    def _ask(self, facts: dict[str, Any]) -> int:
        assert self.forks.stdin is not None
        assert self.forks.stdout is not None
        with self.turn:
            self.forks.stdin.write(json.dumps(facts) + "\n")
            self.forks.stdin.flush()
            return int(self.forks.stdout.readline())


@contextmanager
def processes() -> Iterator[Processes]:
    """Where processes are started."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hosting"],
        cwd=REPOSITORY,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as forks:
        yield Processes(forks)
        assert forks.stdin is not None
        forks.stdin.close()


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _after(place: object, name: str, act: Callable[..., object] = _die, *, nth: int = 1) -> None:
    """Lets `act` follow upon the n-th call of a function."""
    function = getattr(place, name)
    left = nth

    @functools.wraps(function)
    def followed(*args: Any, **options: Any) -> Any:
        nonlocal left
        result = function(*args, **options)
        left -= 1
        if not left:
            act(*args)
        return result

    setattr(place, name, followed)


def _before(place: object, name: str, act: Callable[..., object]) -> None:
    """Lets `act` come before every call of a function."""
    function = getattr(place, name)

    @functools.wraps(function)
    def preceded(*args: Any, **options: Any) -> Any:
        act(*args)
        return function(*args, **options)

    setattr(place, name, preceded)


def _half_written(coming: incoming.Incoming, block: bytes) -> None:
    os.write(coming._file.fileno(), block[: len(block) // 2])
    _die()


SERVER_POINTS: dict[str, Callable[[], None]] = {
    "begin not committed": lambda: _after(Inbox, "_count"),
    "begun, no folders": lambda: _after(Inbox, "begin"),
    "folders made": lambda: _after(incoming.Upload, "make"),
    "in the middle of a body": lambda: _before(incoming.Incoming, "write", _half_written),
    "on the disk, not in its place": lambda: _before(
        incoming.Incoming, "place", lambda *_: _after(os, "fsync")
    ),
    "in its place": lambda: _after(incoming.Incoming, "place"),
    "in its place, the fifth": lambda: _after(incoming.Incoming, "place", nth=5),
    "files settled": lambda: _after(incoming.Upload, "settle"),
    "finish not committed": lambda: _before(
        Inbox, "finish", lambda *_: _after(Items, "one", nth=2)
    ),
    "finished": lambda: _after(Inbox, "finish"),
    "finished, the second": lambda: _after(Inbox, "finish", nth=2),
}
"""Where a server dies. Nobody has heard an answer then, so whoever asked will ask again."""


def _passed(point: str, nth: int = 1) -> Callable[[], None]:
    """Death where a judge passes a point of its own the n-th time."""
    left = nth

    def passed(where: str) -> None:
        nonlocal left
        left -= where == point
        if not left:
            _die()

    def install() -> None:
        worker.Worker = functools.partial(worker.Worker, passed=passed)  # type: ignore[misc, assignment]

    return install


JUDGE_POINTS: dict[str, Callable[[], None]] = {
    **{name: _passed(name) for name in ("taken", "checked", "passed on")},
    "passed on, all": _passed("passed on", 3),
    "inside evaluation": lambda: _after(judge, "evaluate"),
    "inside saving": lambda: _after(store, "write_bytes"),
    **{name: _passed(name) for name in ("judged", "signed", "published", "copied", "moved")},
    "moved, the third": _passed("moved", 3),
    "receipt written": _passed("receipt written"),
}
"""Where a judge dies; `test_crashes.py` looks inside its transactions, too."""


def _run(words: list[str], log: str, point: str, late: bool) -> None:
    """Runs a command in this process, which has just been forked."""
    with Path(log).open("a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if late:
        Inbox.__init__.__kwdefaults__["clock"] = lambda: time.time() + 61
    if point == "a short lease":  # and no end of patience with workers that die
        worker.Worker = functools.partial(worker.Worker, lease_seconds=0.5)  # type: ignore[misc, assignment]
        leases.MOST_ATTEMPTS = 10**6
    elif point:
        ({**SERVER_POINTS, **JUDGE_POINTS})[point]()
    main(words, prog_name="harness")


def _import_all() -> None:
    """Imports what commands import when they need it, so that each process starts at once."""
    for name in ("harness.run", "leaderboard.table", "pandas", "pyarrow.compute"):
        importlib.import_module(name)
    importlib.import_module("cryptography.hazmat.primitives.serialization")
    Image.init()


if __name__ == "__main__":
    _import_all()
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            status = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
            print(status, flush=True)  # noqa: T201 (read by the test)
            continue
        child = os.fork()
        if not child:
            code = 1
            try:
                _run(**asked)
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)  # noqa: T201 (read by the test)
