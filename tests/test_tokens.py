"""Tokens: they open their own account until they expire, and are kept nowhere."""

import pytest

from submissions import tokens
from submissions.inbox import DAY, Inbox
from submissions.items import (
    FILE,
    Refused,
)
from tests.queueing import Clock


def test_a_token_opens_its_account_until_it_expires(inbox: Inbox, clock: Clock) -> None:
    token = tokens.make(inbox, "ada@example.org", days=2)
    assert tokens.account_of(inbox, token) == "ada@example.org"
    clock.now += 2 * DAY - 1
    assert tokens.account_of(inbox, token) == "ada@example.org"
    clock.now += 1
    assert tokens.account_of(inbox, token) is None


@pytest.mark.parametrize("forged", ["", "rah_", "rah_' OR 1=1 --", "\ud800", "x" * 10_000])
def test_a_forged_token_opens_nothing(inbox: Inbox, forged: str) -> None:
    tokens.make(inbox, "ada")
    assert tokens.account_of(inbox, forged) is None


def test_a_token_is_kept_nowhere(inbox: Inbox) -> None:
    token = tokens.make(inbox, "ada")
    with inbox.transaction(writes=False) as rows:
        assert token not in str([tuple(row) for row in rows.execute("SELECT * FROM tokens")])
    written = [path.read_bytes() for path in inbox.folder.glob(f"{FILE}*")]
    assert not any(token.encode() in content for content in written)


def test_revoked_tokens_open_nothing(inbox: Inbox) -> None:
    mine, other = tokens.make(inbox, "ada"), tokens.make(inbox, "bob")
    assert tokens.revoke(inbox, "ada") == 1
    assert tokens.account_of(inbox, mine) is None
    assert tokens.account_of(inbox, other) == "bob"


@pytest.mark.parametrize("name", ["", "a b", "../x", "<b>", "a" * 65, "ada\n"])
def test_accounts_have_plain_names(inbox: Inbox, name: str) -> None:
    with pytest.raises(Refused, match="no name of an account"):
        tokens.make(inbox, name)
