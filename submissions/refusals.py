"""What a client is answered when something is refused or goes wrong: status, sentence, headers."""

import errno
import logging
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import HarnessError
from submissions.announced import Malformed
from submissions.desk import DiskFull, Incomplete, Invalid, TooLarge, public
from submissions.inbox import OverQuota
from submissions.incoming import NotAsAnnounced, TooLate
from submissions.items import NoSuchItem, Refused
from submissions.limits import Busy, TooMany

_LOG = logging.getLogger(__name__)
_STATUS: Mapping[type[HarnessError], int] = {
    Malformed: 400,
    NoSuchItem: 404,
    TooLarge: 413,
    Invalid: 422,
    NotAsAnnounced: 422,
    OverQuota: 429,
    Busy: 503,
    TooMany: 429,
    DiskFull: 507,
    TooLate: 409,
    Refused: 409,
}
"""What is answered to what is raised; the first that fits. All else is the host's trouble."""

_IN_TROUBLE = "the board's machine is in trouble; try again later, or tell the host."
_FULL = "the board's disk is full; tell the host."


@dataclass(frozen=True)
class Refusal:
    """An answer that says no."""

    status: int
    sentence: str
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)  # beside the sentence

    @classmethod
    def of(cls, error: HarnessError | OSError | sqlite3.OperationalError) -> "Refusal":
        """That which tells a client of `error`; what concerns only the host is logged instead."""
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 503)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or (isinstance(error, sqlite3.OperationalError) and "full" in str(error)):
            return cls(507, _FULL)
        if status == 503 and not isinstance(error, Busy):
            _LOG.error("%s: %s", type(error).__name__, error)  # with the host's paths
            return cls(503, _IN_TROUBLE, _later(5))
        if isinstance(error, Incomplete):
            return cls(status, str(error), facts={"missing": error.missing})
        if isinstance(error, Invalid):
            return cls(status, str(error), facts={"problems": public(error.problems)})
        if isinstance(error, TooMany | OverQuota):
            return cls(status, str(error), _later(error.seconds))
        return cls(status, str(error))


def _later(seconds: float) -> dict[str, str]:
    return {"retry-after": str(math.ceil(seconds))}
