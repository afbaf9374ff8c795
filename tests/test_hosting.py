"""A board from upload to row over HTTP: whatever dies, nothing is lost and nothing counts twice.

Files, processes and connections are real. Servers and judges are killed with SIGKILL; a client
goes on by itself once the server was started again.
"""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import store
from harness.types import Run
from submissions import client as clients
from submissions import upload as uploads
from submissions.access import Access
from submissions.client import Client
from submissions.inbox import Inbox
from submissions.items import PUBLISHED
from submissions.receipt import public_keys, verify
from submissions.status import Status
from submissions.upload import upload
from tests.hosting import (
    JUDGE_POINTS,
    REPOSITORY,
    SERVER_POINTS,
    Processes,
    free_port,
    processes,
    token,
    write_submission,
)
from tests.judging import CARD, draw_data

METHOD = '''
"""Grey values, cut off at an option."""

from dataclasses import dataclass

from harness.method import Method
from harness.types import Prediction


@dataclass
class Grey(Method):
    cut: float = 255.0

    def predict(self, image):
        return Prediction(image.mean(axis=2).clip(max=self.cut).astype("float32"))
'''
ACCOUNTS = {"ada": (0, 1), "bob": (2,)}  # whose submissions are whose
MORE = ("cy", "dee")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(clients, "LONGEST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(clients, "FIRST_PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(uploads, "FIRST_POLL_SECONDS", 0.1)


@pytest.fixture(scope="module")
def forks() -> Iterator[Processes]:
    with processes() as found:
        yield found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    draw_data(root)
    return root


@dataclass(frozen=True)
class Own:
    """Runs that `harness run --keep-scores` saved, and their maps as submissions."""

    runs: list[Run]
    folders: list[Path]


@pytest.fixture(scope="module")
def own(forks: Processes, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Own:
    home = tmp_path_factory.mktemp("own")
    (home / "grey.py").write_text(METHOD.strip())
    runs, folders = [], []
    for cut in (200, 220, 240):
        words = ["run", "-m", str(home / "grey.py"), "-d", "custom", "--data-root", str(data)]
        words += ["--set", f"cut={cut}", "--keep-scores", "--out", str(home / f"runs{cut}")]
        assert forks.wait(forks.start(words, home / "log.txt")) == 0
        (run,) = store.load_runs(home / f"runs{cut}")
        folder = home / f"submission{cut}"
        shutil.copytree(store.run_folder(home / f"runs{cut}", run) / "scores", folder / "scores")
        (folder / "submission.toml").write_text(CARD.replace('"Test"', f'"Grey {cut}"'))
        runs.append(run)
        folders.append(folder)
    return Own(runs, folders)


@dataclass
class Site:
    """A host's folders, the processes there, and the accounts that come over HTTP."""

    forks: Processes
    home: Path
    data: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.home / "inbox")
        self.runs = self.home / "runs"
        self.tokens = {account: token(self.inbox, account) for account in (*ACCOUNTS, *MORE)}

    @property
    def to(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def serve(self) -> list[str]:
        words = ["serve", "--inbox", str(self.inbox.folder), "--dataset", "custom"]
        return [*words, "--data-root", str(self.data), "--port", str(self.port)]

    @property
    def judge(self) -> list[str]:
        words = ["judge", "--inbox", str(self.inbox.folder), "--out", str(self.runs)]
        return [*words, "--data-root", str(self.data)]

    def start(self, words: list[str], *, point: str = "", late: bool = False) -> int:
        return self.forks.start(words, self.home / f"{words[0]}.txt", point=point, late=late)

    def submit(self, account: str, folders: list[Path]) -> list[Status]:
        token = self.tokens[account]
        return [upload(each, "custom", to=self.to, token=token, root=self.data) for each in folders]

    def seen_by(self, account: str) -> tuple[Status, ...]:
        with Client(Access(self.to, self.tokens[account])) as client:
            return client.submissions()

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.home.glob("*.txt")))


def rows(runs: list[Run]) -> list[object]:
    """What the board shows and ranks of runs, whatever they are called and in whatever order."""
    return sorted(
        [
            sorted(run.metrics.items()),
            sorted(map(repr, run.intervals.items())),
            sorted(run.undefined.items()),
            [run.dataset, run.fingerprint, run.frames, run.metric_version],
        ]
        for run in runs
    )


def check_all_is_well(site: Site, own: Own) -> None:
    """Every submission was published once, as the row of `harness run`, with a valid receipt."""
    items = site.inbox.items()
    assert [(each.state, each.staged) for each in items] == 3 * [(PUBLISHED, "")]
    for account, indices in ACCOUNTS.items():
        seen = site.seen_by(account)
        assert sorted(each.id for each in seen) == sorted(
            each.id for each in items if each.account == account
        )
        assert [each.state for each in seen] == [PUBLISHED] * len(indices)
    published = store.load_runs(site.runs)
    assert rows(published) == rows(own.runs)
    assert len({each.run for each in items}) == len(published) == 3
    keys = public_keys(site.inbox.folder / "keys" / "public.txt")
    for item in items:
        receipt = verify(site.runs / item.run, keys, files=site.inbox.payload(item.id))
        assert receipt.submission == item.id
    assert sorted(path.name for path in (site.inbox.folder / "payloads").iterdir()) == sorted(
        each.id for each in items
    )
    assert not list((site.inbox.folder / "judged").iterdir())
    assert "Traceback" not in site.log()


PAIRS = list(
    itertools.islice(
        zip(itertools.cycle(SERVER_POINTS), itertools.cycle(JUDGE_POINTS), strict=False),
        max(len(SERVER_POINTS), len(JUDGE_POINTS)),
    )
)


@pytest.mark.parametrize(("server_point", "judge_point"), PAIRS)
def test_a_killed_server_and_a_killed_judge_lose_nothing_and_count_nothing_twice(
    forks: Processes,
    own: Own,
    data: Path,
    tmp_path: Path,
    server_point: str,
    judge_point: str,
) -> None:
    site = Site(forks, tmp_path, data)
    server = site.start(site.serve, point=server_point)
    with ThreadPoolExecutor(len(ACCOUNTS)) as pool:
        given = [
            pool.submit(site.submit, account, [own.folders[each] for each in indices])
            for account, indices in ACCOUNTS.items()
        ]
        assert forks.wait(server) == -signal.SIGKILL, site.log()
        server = site.start(site.serve)
        statuses = [status for each in given for status in each.result()]
    try:
        assert all(each.complete for each in statuses)
        assert len({each.id for each in statuses}) == 3
        killed = site.start([*site.judge, "--once"], point=judge_point)
        assert forks.wait(killed) == -signal.SIGKILL, site.log()
        assert forks.wait(site.start([*site.judge, "--once"], late=True)) == 0, site.log()
        check_all_is_well(site, own)
    finally:
        forks.kill(server)


def test_the_commands_lead_from_nothing_to_a_row(
    forks: Processes, own: Own, data: Path, tmp_path: Path
) -> None:
    site = Site(forks, tmp_path, data)
    harness = [sys.executable, "-m", "harness"]
    kept = {"HARNESS_TOKEN": site.tokens["ada"], "HARNESS_DATA": str(data)}

    def started(words: list[str]) -> "subprocess.Popen[str]":
        with (tmp_path / f"{words[0]}.txt").open("w") as log:
            return subprocess.Popen(harness + words, cwd=REPOSITORY, stdout=log, stderr=log)

    with started(site.serve) as server, started(site.judge) as judge:
        try:
            site.seen_by("ada")  # waits until the server answers
            words = ["submit", str(own.folders[0]), "--dataset", "custom", "--to", site.to]
            done = subprocess.run(
                [*harness, *words, "--wait"],
                cwd=REPOSITORY,
                env={**os.environ, **kept},
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            server.kill()
            judge.kill()
    assert done.returncode == 0, done.stderr + site.log()
    (run,) = store.load_runs(site.runs)
    (item,) = site.inbox.items()
    assert done.stdout == f"{item.id}  custom  published  custom/{run.id}\n"
    assert rows([run]) == rows(own.runs[:1])


@pytest.mark.slow
def test_deaths_at_any_time_lose_nothing_and_count_nothing_twice(
    forks: Processes, data: Path, tmp_path: Path
) -> None:
    site = Site(forks, tmp_path, data)
    over = threading.Event()
    deaths = {"serve": 0, "judge": 0}

    def die_again_and_again(words: list[str], point: str, seed: int) -> None:
        chance = random.Random(seed)
        while not over.is_set():
            process = site.start(words, point=point)
            over.wait(chance.uniform(0.05, 1.5))
            forks.kill(process)
            deaths[words[0]] += 1

    folders = {
        account: [write_submission(tmp_path / f"{account}{n}", seed=5 * k + n) for n in range(5)]
        for k, account in enumerate(site.tokens)
    }
    with ThreadPoolExecutor(len(folders) + 3) as pool:
        dying = [
            pool.submit(die_again_and_again, site.serve, "", 1),
            pool.submit(die_again_and_again, site.judge, "a short lease", 2),
            pool.submit(die_again_and_again, site.judge, "a short lease", 3),
        ]
        try:
            given = [pool.submit(site.submit, *each) for each in folders.items()]
            assert all(status.complete for each in given for status in each.result())
            until = time.monotonic() + 300
            while min(deaths.values()) <= 3 or any(
                each.state != PUBLISHED or each.staged for each in site.inbox.items()
            ):
                assert time.monotonic() < until, site.inbox.items()
                time.sleep(0.5)
        finally:
            over.set()
        for each in dying:
            each.result()
    assert forks.wait(site.start([*site.judge, "--once"], late=True)) == 0
    items = site.inbox.items()
    assert [each.state for each in items] == 20 * [PUBLISHED]
    assert len(store.load_runs(site.runs)) == len({each.run for each in items}) == 20
    keys = public_keys(site.inbox.folder / "keys" / "public.txt")
    for item in items:
        verify(site.runs / item.run, keys, files=site.inbox.payload(item.id))
