"""The inbox: states, positions, quotas and duplicates, each counted in one transaction."""

import sqlite3
from pathlib import Path

import pytest

from submissions.inbox import DAY, Inbox, Quotas, maps_digest
from submissions.items import (
    CHECKING,
    JUDGING,
    PUBLISHED,
    RECEIVED,
    REJECTED,
    WAITING,
    Item,
    Refused,
)
from submissions.leases import Leases
from tests.queueing import Clock, at_once, files, put, taken


def test_an_item_passes_all_states_in_order(inbox: Inbox, leases: Leases) -> None:
    item = put(inbox)
    seen = [item.state]
    held = taken(leases)
    seen.append(held.state)
    leases.pass_on(held)
    seen.append(inbox.item(item.id).state)
    held = taken(leases)
    seen.append(held.state)
    leases.publish(held, "synthroad/m-1", "staged")
    seen.append(inbox.item(item.id).state)
    assert seen == [RECEIVED, CHECKING, WAITING, JUDGING, PUBLISHED]
    assert inbox.item(item.id).run == "synthroad/m-1"
    assert leases.take() is None


def test_an_upload_that_is_not_finished_is_not_in_the_queue(inbox: Inbox, leases: Leases) -> None:
    assert inbox.create("ada", "synthroad").position is None
    assert leases.take() is None


def test_an_upload_that_is_never_finished_is_rejected_after_a_day(
    inbox: Inbox, clock: Clock
) -> None:
    item = inbox.create("ada", "synthroad")
    clock.now += DAY - 1
    inbox.expire()
    assert inbox.item(item.id).state == RECEIVED
    clock.now += 2
    inbox.expire()
    assert inbox.item(item.id).state == REJECTED
    assert "within a day" in inbox.item(item.id).reason


def test_finishing_again_with_the_same_files_changes_nothing(inbox: Inbox) -> None:
    item = put(inbox)
    assert inbox.finish(item.id, files()) == item
    with pytest.raises(Refused, match="cannot be changed any more"):
        inbox.finish(item.id, files(9))


def test_positions_count_those_before_and_move_up(inbox: Inbox, leases: Leases) -> None:
    items = [put(inbox, f"account{n}", n) for n in range(3)]
    assert [inbox.item(each.id).position for each in items] == [1, 2, 3]
    inbox.withdraw(items[0].id)
    leases.reject(taken(leases), "no good")
    assert [inbox.item(each.id).position for each in items] == [None, None, 1]
    assert inbox.item(items[1].id).reason == "no good"


def test_the_day_of_a_quota_ends_at_midnight_utc(inbox: Inbox, clock: Clock) -> None:
    clock.now += DAY - 10
    put(inbox, seed=1)
    put(inbox, seed=2)
    with pytest.raises(Refused, match="midnight, UTC"):
        inbox.create("ada", "synthroad")
    inbox.create("bob", "synthroad")
    clock.now += 20
    inbox.create("ada", "synthroad")


def test_the_total_of_a_quota_is_never_passed(inbox: Inbox, clock: Clock) -> None:
    for seed in range(3):
        put(inbox, seed=seed)
        clock.now += DAY
    with pytest.raises(Refused, match="no more are taken"):
        inbox.create("ada", "synthroad")


def test_rejected_and_withdrawn_submissions_do_not_count(inbox: Inbox, leases: Leases) -> None:
    for seed in range(4):
        inbox.withdraw(put(inbox, seed=seed).id)
    for seed in range(4):
        put(inbox, seed=seed)
        leases.reject(taken(leases), "broken")
    put(inbox)
    assert len(inbox.items("ada")) == 9
    assert inbox.items("bob") == []


def test_numbers_that_were_seen_count(inbox: Inbox, leases: Leases) -> None:
    item = put(inbox)
    leases.pass_on(taken(leases))
    leases.publish(taken(leases), "synthroad/m-1", "")
    with pytest.raises(Refused, match="published and cannot be withdrawn"):
        inbox.withdraw(item.id)


def test_threads_at_once_get_no_more_than_the_quota(tmp_path: Path) -> None:
    folder = tmp_path / "inbox"
    found = at_once(8, lambda _: Inbox(folder, quotas=Quotas(2, 3)).create("ada", "synthroad"))
    assert sum(isinstance(each, Item) for each in found) == 2
    assert len(Inbox(folder).items()) == 2


def test_the_same_maps_are_taken_once_whoever_sends_them(inbox: Inbox) -> None:
    first = put(inbox)
    again = put(inbox)
    assert (again.state, again.reason) == (
        REJECTED,
        f"the same maps were submitted as {first.id} before.",
    )
    other = inbox.create("bob", "synthroad")
    other = inbox.finish(other.id, files(card="another"))
    assert (other.state, other.reason) == (
        REJECTED,
        "the same maps were submitted by another before.",
    )
    assert first.id not in other.reason
    elsewhere = inbox.create("bob", "road_anomaly")
    assert inbox.finish(elsewhere.id, files()).state == RECEIVED


def test_maps_whose_first_submission_was_withdrawn_may_come_again(inbox: Inbox) -> None:
    inbox.withdraw(put(inbox).id)
    assert put(inbox).state == RECEIVED


def test_of_the_same_maps_at_once_one_is_taken(inbox: Inbox) -> None:
    created = [inbox.create(f"account{n}", "synthroad").id for n in range(4)]
    at_once(4, lambda n: inbox.finish(created[n], files()))
    assert sorted(each.state for each in inbox.items()) == [RECEIVED, REJECTED, REJECTED, REJECTED]


def test_names_and_the_card_do_not_make_other_maps() -> None:
    renamed = {"submission.toml": "x", "anomaly_p/m/a.hdf5": "a0", "anomaly_p/m/b.hdf5": "b0"}
    assert maps_digest(renamed) == maps_digest(files())
    assert maps_digest(files(1)) != maps_digest(files())


def test_files_of_what_is_still_to_be_judged_are_not_deleted(inbox: Inbox) -> None:
    item = put(inbox)
    with pytest.raises(Refused, match="still needed"):
        inbox.delete_payload(item.id)


def test_only_what_is_published_is_judged_again(inbox: Inbox, leases: Leases) -> None:
    item = put(inbox)
    with pytest.raises(Refused, match="received"):
        inbox.judge_again(item.id)
    leases.pass_on(taken(leases))
    leases.publish(taken(leases), "synthroad/m-1", "staged")
    inbox.judge_again(item.id)
    after = inbox.item(item.id)
    assert (after.state, after.run, after.staged, after.position) == (WAITING, "", "", 1)


def test_unknown_items_are_refused(inbox: Inbox) -> None:
    with pytest.raises(Refused, match="no such submission"):
        inbox.item("' OR 1=1 --")


def test_the_folder_is_private(inbox: Inbox) -> None:
    assert inbox.folder.stat().st_mode & 0o077 == 0


def test_the_queue_writes_ahead(inbox: Inbox) -> None:
    with inbox.transaction(writes=False) as rows:
        assert rows.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_what_fails_in_a_transaction_leaves_nothing(inbox: Inbox) -> None:
    item = put(inbox)

    def fail() -> None:
        with inbox.transaction() as rows:
            rows.execute("DELETE FROM items")
            rows.execute("no sql")

    with pytest.raises(sqlite3.OperationalError):
        fail()
    assert inbox.item(item.id) == item
