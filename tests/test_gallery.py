"""Frames in the order in which they are worth looking at."""

import numpy as np
import pytest

from leaderboard.gallery import Card, FrameTable, cards


def table(**ap: float) -> FrameTable:
    return FrameTable(tuple(ap), np.array(list(ap.values())), {})


NAN = float("nan")
FIRST = table(a=0.5, b=NAN, c=0.1, d=0.9)
SECOND = table(d=0.8, c=0.9, b=NAN, a=0.4)


@pytest.mark.parametrize(
    ("order", "frames"),
    [("worst", "cadb"), ("best", "dacb"), ("disagreement", "cadb"), ("name", "abcd")],
)
def test_frames_without_an_ap_come_last(order: str, frames: str) -> None:
    found = cards([FIRST, SECOND], order)
    assert [card.frame for card in found] == list(frames)


def test_a_card_holds_the_ap_of_each_run_whatever_their_order_of_frames() -> None:
    assert cards([FIRST, SECOND], "worst")[0] == Card("c", (0.1, 0.9))


def test_only_frames_that_all_runs_have_are_shown() -> None:
    assert [card.frame for card in cards([FIRST, table(c=0.1, x=0.3)], "name")] == ["c"]


def test_no_tables_make_no_cards() -> None:
    assert cards([]) == []


def test_an_ap_of_zero_is_worse_than_any_other() -> None:
    assert [card.frame for card in cards([table(a=0.1, b=0.0, c=NAN)], "worst")] == list("bac")
