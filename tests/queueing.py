"""A clock, an inbox and submissions for the tests of the queue."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from submissions.inbox import DAY, Inbox
from submissions.items import (
    Item,
    Refused,
)
from submissions.leases import Leases


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1_000 * DAY

    def __call__(self) -> float:
        return self.now


def files(seed: int = 0, card: str = "card") -> dict[str, str]:
    return {"submission.toml": card, "scores/a.npy": f"a{seed}", "scores/b.npy": f"b{seed}"}


def put(inbox: Inbox, account: str = "ada", seed: int = 0) -> Item:
    return inbox.finish(inbox.create(account, "synthroad").id, files(seed))


def taken(leases: Leases) -> Item:
    item = leases.take()
    assert item is not None
    return item


def at_once(count: int, action: Callable[[int], object]) -> list[object]:
    """What `action` gave, or raised, in `count` threads that start together."""
    found: list[object] = []
    start = threading.Barrier(count)

    def work(index: int) -> None:
        start.wait()
        try:
            found.append(action(index))
        except Refused as error:
            found.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == count
    return found
