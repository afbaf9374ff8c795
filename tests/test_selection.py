"""Which rows fit what a reader asked for, and the words that stand beside a run."""

from typing import Any

import pytest

from harness.types import Run
from leaderboard.marks import marks
from leaderboard.rows import Row
from leaderboard.selection import Wanted, checkpoint, labels, level, selected


def run(method: str = "msp", **facts: Any) -> Run:
    return Run(
        **{
            "id": f"{method}-0123456789",
            "kind": "run",
            "method": method,
            "options": {"network": "tiny"},
            "dataset": "synthroad",
            "frames": 1,
            "fingerprint": "f",
            "metric_version": "1",
            "metrics": {"AP": 0.5},
            **facts,
        }
    )


RUNS = (
    run("plain"),
    run("proxied", trained_on=("coco",)),
    run("short", flags=("limited",)),
    run("wide", options={"network": "espnetv2", "temperature": 2.5}),
)
MARKS = marks(RUNS)


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (Wanted(), ["plain", "proxied", "short", "wide"]),
        (Wanted(text="PLAIN"), ["plain"]),
        (Wanted(text="coco"), ["proxied"]),
        (Wanted(text="temperature=2.5"), ["wide"]),
        (Wanted(text="espnetv2 wide"), ["wide"]),
        (Wanted(text="espnetv2 plain"), []),
        (Wanted(text="limited"), ["short"]),
        (Wanted(networks=("espnetv2",)), ["wide"]),
        (Wanted(proxy=False), ["plain", "short", "wide"]),
        (Wanted(flagged=False), ["plain", "proxied", "wide"]),
    ],
)
def test_rows_that_fit_stay_in_order(wanted: Wanted, left: list[str]) -> None:
    rows = [Row(one) for one in RUNS]
    assert [row.run.method for row in selected(rows, wanted, MARKS)] == left


def test_a_search_does_not_find_the_folders_of_a_machine() -> None:
    one = run(options={"weights": "/somewhere/secret/file.pth"})
    assert not selected([Row(one)], Wanted(text="somebody"), {})
    assert selected([Row(one)], Wanted(text="file.pth"), {})


def test_labels_are_flags_then_marks() -> None:
    one = run(flags=("limited",), trained_on=("coco",))
    assert labels(one, marks([one])) == ("limited", "proxy outliers")


def test_nobody_vouches_for_a_record_that_says_so_itself() -> None:
    one = run(provenance={"level": "verified", "verified": True})
    assert level(one, marks([one])) == "claimed"


def test_equal_checkpoints_have_equal_digits() -> None:
    one, two = (run(provenance={"weights": {"network": c * 64}}) for c in "ab")
    assert checkpoint(one) == "aaaaaa"
    assert checkpoint(one) != checkpoint(two)
    assert checkpoint(run(provenance={"weights": "nonsense"})) == ""
