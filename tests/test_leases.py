"""Leases: one worker at a time, a heartbeat, and an heir for whatever a dead worker held."""

import threading
from pathlib import Path

import pytest

from submissions.inbox import Inbox
from submissions.items import (
    REJECTED,
    WITHDRAWN,
    Item,
)
from submissions.leases import MOST_ATTEMPTS, LeaseLost, Leases
from tests.queueing import Clock, at_once, put, taken


def test_what_is_leased_is_not_taken_by_another(inbox: Inbox, leases: Leases) -> None:
    put(inbox)
    taken(leases)
    assert leases.take() is None


def test_threads_at_once_take_each_item_once(inbox: Inbox, leases: Leases) -> None:
    items = [put(inbox, f"account{n}", n) for n in range(3)]
    found = at_once(6, lambda _: leases.take())
    assert sorted(i.id for i in found if isinstance(i, Item)) == sorted(i.id for i in items)


def test_a_heartbeat_keeps_the_lease_and_its_end_gives_it_away(
    inbox: Inbox, leases: Leases, clock: Clock
) -> None:
    put(inbox)
    slow = taken(leases)
    clock.now += 50
    leases.beat(slow)
    clock.now += 50
    assert leases.take() is None
    clock.now += 11
    heir = taken(leases)
    assert (heir.id, heir.attempts) == (slow.id, 2)
    for action in (leases.beat, leases.pass_on, leases.release):
        with pytest.raises(LeaseLost):
            action(slow)
    with pytest.raises(LeaseLost):
        leases.publish(slow, "synthroad/m-1", "staged")
    leases.pass_on(heir)


def test_the_heartbeat_beats_by_itself(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    leases = Leases(inbox, seconds=0.3)
    put(inbox)
    held = taken(leases)
    with leases.kept(held):
        threading.Event().wait(0.6)
        assert leases.take() is None
        leases.pass_on(held)


def test_a_worker_loses_what_is_withdrawn(inbox: Inbox, leases: Leases) -> None:
    item = put(inbox)
    held = taken(leases)
    assert inbox.withdraw(item.id).state == WITHDRAWN
    assert inbox.withdraw(item.id).state == WITHDRAWN
    with pytest.raises(LeaseLost):
        leases.pass_on(held)


def test_too_many_attempts_end_in_a_reason(inbox: Inbox, leases: Leases, clock: Clock) -> None:
    item = put(inbox)
    for _ in range(MOST_ATTEMPTS):
        taken(leases)
        clock.now += 61
    assert leases.take() is None
    after = inbox.item(item.id)
    assert after.state == REJECTED
    assert after.reason.startswith("the worker stopped (3 attempts")


def test_an_attempt_that_does_not_count_rests_and_comes_again(
    inbox: Inbox, leases: Leases, clock: Clock
) -> None:
    put(inbox)
    for _ in range(2 * MOST_ATTEMPTS):
        leases.release(taken(leases), "the disk is full", counts=False, rest_seconds=10)
        assert leases.take() is None
        clock.now += 11
    assert taken(leases).attempts == 1


def test_the_stages_count_their_attempts_apart(inbox: Inbox, leases: Leases, clock: Clock) -> None:
    put(inbox)
    taken(leases)
    clock.now += 61
    leases.pass_on(taken(leases))
    assert taken(leases).attempts == 1
