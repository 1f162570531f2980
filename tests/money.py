"""What the tests of money share: callers with credit, calls to charge, and a journal that runs."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select

from legible import ledger
from legible.accounts import Accounts, Caller
from legible.clock import now_ms
from legible.db.session import Database
from legible.db.tables import Call, Entry
from legible.journal import Draft, Journal, Receipt, Reply
from legible.keys import KeyRing, KeyRules
from legible.tasks import Answer, Kind, TextAnswer

PRICE = 1000
ANSWER = TextAnswer("7364", 0.98)


def new_key(database: Database, credit_micros: int, rules: KeyRules | None = None) -> str:
    """The secret of a key of a new account with that much credit."""
    account = Accounts(database, credit_micros).create(f"{uuid.uuid4().hex}@example.com")
    return KeyRing(database, 0).create(account.id, "a key", rules or KeyRules()).secret


async def new_caller(database: Database, credit_micros: int, rules: KeyRules | None = None) -> Caller:
    """Who calls with such a key."""
    return await KeyRing(database, 0).identify(new_key(database, credit_micros, rules))


def draft(caller: Caller) -> Draft:
    """A call that is about to be charged."""
    return Draft("v1", str(uuid.uuid4()), "127.0.0.1", caller, now_ms(), (Kind.TEXT, 50200))


def render(answer: Answer, receipt: Receipt) -> bytes:
    """A reply that says by which row of the log it was paid."""
    return json.dumps({"log_id": receipt.log_id, "balance": receipt.balance_micros}).encode()


async def charge(journal: Journal, caller: Caller, price: int = PRICE, token: str | None = None) -> Reply:
    """One answered call."""
    return await journal.charge(draft(caller), ANSWER, price, render, token)


@asynccontextmanager
async def running(database: Database, group_size: int = 256) -> AsyncIterator[Journal]:
    """A journal that is started, and drained at the end."""
    journal = Journal(database, group_size)
    journal.start()
    try:
        yield journal
    finally:
        await journal.stop()


def balance(database: Database, caller: Caller) -> int:
    """In micros, as it stands in the database."""
    return Accounts(database, 0).get(caller.account_id).balance_micros


def calls(database: Database, outcome: str | None = None) -> int:
    """How many rows the log has, in all or with that outcome."""
    query = select(func.count(Call.id))
    with database.read() as session:
        return session.scalar(query if outcome is None else query.where(Call.outcome == outcome)) or 0


def charged(database: Database) -> int:
    """How many calls the ledger has charged."""
    with database.read() as session:
        return session.scalar(select(func.count(Entry.id)).where(Entry.kind == "call")) or 0


def assert_books_balance(database: Database) -> None:
    """Every balance is the sum of its entries, and the log and the ledger match one to one."""
    assert ledger.check(database).problems == ()
