"""Leases: a worker takes an item, keeps it by a heartbeat and ends it, or another takes over.

Whatever a worker does with an item, it does only while it holds the lease: one that was slow,
stopped or withdrawn from changes nothing any more.
"""

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from harness.errors import HarnessError
from submissions.inbox import Inbox
from submissions.items import (
    CHECKING,
    JUDGING,
    PUBLISHED,
    QUEUED,
    RECEIVED,
    REJECTED,
    WAITING,
    Item,
)

MOST_ATTEMPTS = 3  # workers that may die of one stage of one item


class LeaseLost(HarnessError):  # noqa: N818 (named after what it says)
    """The item was withdrawn, or another worker has taken it over; nothing is to be done."""


@dataclass(frozen=True)
class Leases:
    """What workers do with the items of an inbox."""

    inbox: Inbox
    seconds: float = 60.0  # after the last heartbeat, an item is free again

    def take(self) -> Item | None:
        """The next item to check or judge, leased to the caller; None: there is nothing to do.

        Checks come first, as they are quick; then the order of arrival.
        """
        with self.inbox.transaction() as rows:
            now = self.inbox.clock()
            while True:
                row = rows.execute(
                    f"SELECT * FROM items WHERE {QUEUED} AND until <= ?"
                    " ORDER BY state IN ('waiting', 'judging'), complete, number LIMIT 1",
                    (now,),
                ).fetchone()
                if row is None:
                    return None
                item = self.inbox.of(rows, row)
                if item.attempts < MOST_ATTEMPTS:
                    break
                self.inbox.move(
                    rows,
                    item.id,
                    REJECTED,
                    f"{item.reason or 'the worker stopped'} ({item.attempts} attempts, no more are "
                    f"made; state {item.state}). This is no fault of yours unless the files are "
                    "unusual: tell the host.",
                )
            state = CHECKING if item.state in (RECEIVED, CHECKING) else JUDGING
            self.inbox.move(rows, item.id, state, item.reason)
            rows.execute(
                "UPDATE items SET lease = ?, until = ?, attempts = ? WHERE id = ?",
                (secrets.token_hex(8), now + self.seconds, item.attempts + 1, item.id),
            )
            return self.inbox.one(rows, item.id)

    def beat(self, held: Item) -> None:
        """Prolongs the lease.

        Raises:
            LeaseLost: it is not the caller's any more.
        """
        with self.inbox.transaction() as rows:
            self._held(rows, held)
            until = self.inbox.clock() + self.seconds
            rows.execute("UPDATE items SET until = ? WHERE id = ?", (until, held.id))

    @contextmanager
    def kept(self, held: Item) -> Iterator[None]:
        """Prolongs the lease from a thread, for as long as the block runs."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self.seconds / 3):
                with suppress(sqlite3.OperationalError):  # a busy disk: the next beat may come
                    try:
                        self.beat(held)
                    except LeaseLost:
                        return

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def release(
        self, held: Item, reason: str = "", *, counts: bool = True, rest_seconds: float = 0.0
    ) -> None:
        """Gives the item back for another attempt.

        Args:
            held: the item.
            reason: shown until the next attempt.
            counts: whether this was an attempt of the few that there are.
            rest_seconds: for how long nobody takes it.
        """
        with self.inbox.transaction() as rows:
            self._held(rows, held)
            state = WAITING if held.state == JUDGING else RECEIVED
            self.inbox.move(rows, held.id, state, reason)
            rows.execute(
                "UPDATE items SET attempts = ?, until = ? WHERE id = ?",
                (held.attempts - (not counts), self.inbox.clock() + rest_seconds, held.id),
            )

    def pass_on(self, held: Item) -> None:
        """Puts a checked item among those that wait for being judged."""
        with self.inbox.transaction() as rows:
            self._held(rows, held)
            self.inbox.move(rows, held.id, WAITING, "")
            rows.execute("UPDATE items SET attempts = 0 WHERE id = ?", (held.id,))

    def reject(self, held: Item, reason: str) -> None:
        """Ends an item that cannot be judged; `reason` is for its submitter."""
        with self.inbox.transaction() as rows:
            self._held(rows, held)
            self.inbox.move(rows, held.id, REJECTED, reason)

    def publish(self, held: Item, run: str, staged: str) -> None:
        """Makes the judged run count. It is moved to the board afterwards: see `Inbox.moved`."""
        with self.inbox.transaction() as rows:
            self._held(rows, held)
            self.inbox.move(rows, held.id, PUBLISHED, "")
            rows.execute(
                "UPDATE items SET run = ?, staged = ? WHERE id = ?", (run, staged, held.id)
            )

    def _held(self, rows: sqlite3.Connection, held: Item) -> None:
        row = rows.execute("SELECT lease FROM items WHERE id = ?", (held.id,)).fetchone()
        if row is None or not held.lease or row["lease"] != held.lease:
            raise LeaseLost(f"{held.id} was withdrawn, or another worker has taken it over.")
