"""Whatever judge dies and whenever, nothing is lost and nothing counts twice."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import store
from submissions.inbox import Inbox
from submissions.items import PUBLISHED, REJECTED
from submissions.leases import MOST_ATTEMPTS
from submissions.receipt import verify
from tests.judging import Board, draw_data, put, worker

REPOSITORY = Path(__file__).parents[1]
CRASH_POINTS = (
    *("taken", "checked", "passed on"),  # of the check
    *("taken:2", "inside:evaluation", "inside:saving", "judged", "signed", "published"),
    *("copied", "moved", "receipt written"),  # to the board
    *(f"inside:transaction{n}" for n in (1, 2, 3, 4)),  # take, pass on, take, publish: uncommitted
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    draw_data(root)
    return root


@pytest.fixture
def board(data: Path, tmp_path: Path) -> Board:
    return Board(Inbox(tmp_path / "inbox"), tmp_path / "runs", data)


@pytest.fixture(scope="module")
def processes() -> Iterator[subprocess.Popen[str]]:
    """A process that forks workers, so that each starts at once."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.judging"],
        cwd=REPOSITORY,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def forked(processes: subprocess.Popen[str], board: Board, point: str, workers: int = 1) -> str:
    assert processes.stdin is not None
    assert processes.stdout is not None
    words = (board.inbox.folder, board.out, board.data, point.replace(" ", "_"), workers)
    processes.stdin.write(" ".join(map(str, words)) + "\n")
    processes.stdin.flush()
    return processes.stdout.readline().strip()


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_killed_judge_loses_nothing_and_counts_nothing_twice(
    board: Board, processes: subprocess.Popen[str], point: str
) -> None:
    item = put(board.inbox)
    assert forked(processes, board, point) == "-9"
    board.work()
    (after,) = board.inbox.items()
    assert (after.id, after.state, after.staged) == (item.id, PUBLISHED, "")
    (run,) = board.runs()
    assert after.run == f"{run.dataset}/{run.id}"
    keys = worker(board.inbox.folder, board.out, board.data).signer.public()
    assert verify(store.run_folder(board.out, run), keys).submission == item.id
    verify(board.inbox.folder / "receipts" / f"{item.id}.json", keys)
    assert not list((board.inbox.folder / "judged").iterdir())
    assert [path.name for path in (board.out / "custom").iterdir()] == [run.id]


def test_a_result_that_was_lost_before_it_was_moved_is_judged_again(
    board: Board, processes: subprocess.Popen[str]
) -> None:
    put(board.inbox)
    forked(processes, board, "published")
    (record,) = (board.inbox.folder / "judged").glob("*/*/*/run.json")
    record.write_bytes(b"")
    board.work()
    assert [each.state for each in board.inbox.items()] == [PUBLISHED]
    assert len(board.runs()) == 1


def test_workers_at_once_never_judge_one_item_twice(
    board: Board, processes: subprocess.Popen[str]
) -> None:
    items = [put(board.inbox, f"account{n}", seed=n) for n in range(5)]
    assert forked(processes, board, "none", workers=3) == "0 0 0"
    board.work()
    assert {each.state for each in board.inbox.items()} == {PUBLISHED}
    assert len(board.runs()) == len(items)
    passed = Counter((board.inbox.folder / "passed.txt").read_text().split("\n"))
    assert (passed["checked"], passed["judged"], passed["published"]) == (5, 5, 5)


def test_an_item_of_which_workers_die_is_rejected_at_last(
    board: Board, processes: subprocess.Popen[str]
) -> None:
    put(board.inbox)
    for _ in range(MOST_ATTEMPTS):
        forked(processes, board, "inside:evaluation")
        with board.inbox.transaction() as rows:
            rows.execute("UPDATE items SET until = 0")
    board.work()
    (item,) = board.inbox.items()
    assert item.state == REJECTED
    assert "3 attempts" in item.reason
    assert board.runs() == []
