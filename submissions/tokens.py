"""Tokens: by which an account is known; only their sha256 is kept, and they expire."""

import hashlib
import re
import secrets

from submissions.inbox import DAY, Inbox
from submissions.items import Refused

ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
PREFIX = "rah_"  # by which scanners of public code know a token


def make(inbox: Inbox, account: str, *, days: float = 180.0) -> str:
    """A new token of the account, which lives for `days`; it is shown once and kept nowhere.

    Raises:
        Refused: the account's name is none.
    """
    if not ACCOUNT.fullmatch(account):
        raise Refused(
            f"{account[:80]!r} is no name of an account; expected up to 64 letters, digits and "
            "any of . _ @ + -, beginning with a letter or a digit."
        )
    if not 0 < days <= 3660:
        raise Refused(f"a token lives for more than 0 and at most 3660 days, not {days}.")
    token = PREFIX + secrets.token_urlsafe(32)
    with inbox.transaction() as rows:
        now = inbox.clock()
        rows.execute(
            "INSERT INTO tokens (hash, account, created, expires) VALUES (?, ?, ?, ?)",
            (_hashed(token), account, now, now + days * DAY),
        )
    return token


def account_of(inbox: Inbox, token: str) -> str | None:
    """The account that the token belongs to; None: no token, expired or revoked."""
    with inbox.transaction(writes=False) as rows:
        row = rows.execute(
            "SELECT account FROM tokens WHERE hash = ? AND expires > ?",
            (_hashed(token), inbox.clock()),
        ).fetchone()
    return str(row["account"]) if row is not None else None


def revoke(inbox: Inbox, account: str) -> int:
    """How many tokens of the account were there; none of them opens anything any more."""
    with inbox.transaction() as rows:
        return rows.execute("DELETE FROM tokens WHERE account = ?", (account,)).rowcount


def _hashed(token: str) -> str:
    # 256 random bits need no salt and no slow hash: nothing shorter than the token guesses it.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
