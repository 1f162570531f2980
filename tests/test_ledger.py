"""The ledger's rules, and a machine that does everything to money in any order and compares with sums."""

import asyncio
import hashlib
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, func, select, update

from legible import ledger
from legible.accounts import Accounts, Caller
from legible.db.session import Database
from legible.db.tables import Account, Call, Entry, StoredReply
from legible.errors import (
    IdempotencyConflict,
    InsufficientCredit,
    InvalidField,
    NotFound,
    RecognitionFailed,
)
from legible.journal import Journal, Reply, ReplyExists
from tests.money import ANSWER, PRICE, assert_books_balance, balance, draft, new_caller, render, running

amounts = st.integers(1, 5)


@dataclass
class Expected:
    """What an account should look like, in plain numbers."""

    caller: Caller
    balance: int
    charged: int = 0
    logged: int = 0
    tokens: dict[str, bytes] = field(default_factory=dict)


class Money(RuleBasedStateMachine):
    """Top-ups, corrections, calls alone and in crowds, refusals and repeated requests, on a few accounts."""

    accounts = Bundle("accounts")

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.runner = asyncio.Runner()
        self.journal = Journal(database, group_size=4)
        self.journal.start()
        self.known: list[Expected] = []

    def teardown(self) -> None:
        self.runner.run(self.journal.stop())
        self.runner.close()

    @rule(target=accounts, credit=st.integers(0, 10))
    def sign_up(self, credit: int) -> Expected:
        caller = self.runner.run(new_caller(self.database, credit * PRICE))
        self.known.append(Expected(caller, credit * PRICE))
        return self.known[-1]

    @rule(account=accounts, amount=amounts)
    def top_up(self, account: Expected, amount: int) -> None:
        account.balance += amount * PRICE
        now = Accounts(self.database, 0).top_up(account.caller.account_id, amount * PRICE, "paid")
        assert now == account.balance

    @rule(account=accounts, amount=st.integers(-5, 5))
    def correct(self, account: Expected, amount: int) -> None:
        accounts, id_ = Accounts(self.database, 0), account.caller.account_id
        if account.balance + amount * PRICE < 0:
            with pytest.raises(InsufficientCredit):
                accounts.correct(id_, amount * PRICE, "a mistake")
        else:
            account.balance += amount * PRICE
            assert accounts.correct(id_, amount * PRICE, "a mistake") == account.balance

    @rule(account=accounts, crowd=st.lists(amounts, min_size=1, max_size=9))
    def call(self, account: Expected, crowd: list[int]) -> None:
        outcomes = self.runner.run(self._charge(account, crowd))
        for price, outcome in zip(crowd, outcomes, strict=True):
            if isinstance(outcome, Reply):
                self._paid(account, price * PRICE, outcome)
            else:
                assert isinstance(outcome, InsufficientCredit)
                assert account.balance < price * PRICE

    async def _charge(self, account: Expected, crowd: list[int]) -> list[object]:
        return await asyncio.gather(
            *(self.journal.charge(draft(account.caller), ANSWER, price * PRICE, render) for price in crowd),
            return_exceptions=True,
        )

    def _paid(self, account: Expected, price: int, reply: Reply) -> None:
        account.balance -= price
        account.charged += 1
        account.logged += 1
        assert reply.receipt is not None
        assert (reply.receipt.cost_micros, reply.receipt.balance_micros) == (price, account.balance)

    @rule(account=accounts, name=st.sampled_from("ab"), body=st.sampled_from([b"1", b"2"]))
    def call_with_token(self, account: Expected, name: str, body: bytes) -> None:
        sha = hashlib.sha256(body).digest()
        charge = self.journal.charge(draft(account.caller), ANSWER, PRICE, render, f"idempotency:{name}", sha)
        try:
            reply = self.runner.run(charge)
        except ReplyExists:
            assert account.tokens[name] == sha
        except IdempotencyConflict:
            assert account.tokens[name] != sha
        except InsufficientCredit:
            assert account.balance < PRICE
            assert name not in account.tokens
        else:
            assert name not in account.tokens
            account.tokens[name] = sha
            self._paid(account, PRICE, reply)

    @rule(account=accounts)
    def refuse(self, account: Expected) -> None:
        receipt = self.runner.run(
            self.journal.refuse(draft(account.caller), RecognitionFailed("too faint"), 400)
        )
        account.logged += 1
        assert (receipt.cost_micros, receipt.balance_micros) == (0, account.balance)

    @invariant()
    def balances_are_the_sums_of_their_entries(self) -> None:
        assert_books_balance(self.database)

    @invariant()
    def everything_is_as_plain_numbers_say(self) -> None:
        for account in self.known:
            assert balance(self.database, account.caller) == account.balance
            assert self._rows(account) == (account.charged, account.logged, len(account.tokens))

    def _rows(self, account: Expected) -> tuple[int, int, int]:
        id_ = account.caller.account_id
        counts = (
            select(func.count(Entry.id)).where(Entry.account_id == id_, Entry.kind == "call"),
            select(func.count(Call.id)).where(Call.account_id == id_),
            select(func.count(StoredReply.id)).where(StoredReply.account_id == id_),
        )
        with self.database.read() as session:
            entries, logged, stored = (session.scalar(count) or 0 for count in counts)
        return entries, logged, stored


def test_money_adds_up_whatever_happens_in_whatever_order(database: Database) -> None:
    run_state_machine_as_test(
        lambda: Money(database),
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_an_entry_never_takes_a_balance_under_zero(database: Database) -> None:
    account = Accounts(database, 100).create("a@example.com")
    with pytest.raises(InsufficientCredit) as refusal, database.write() as session:
        ledger.post(session, account.id, -101, "correction", "too much")
    assert (refusal.value.balance, refusal.value.price) == (100, 101)
    assert_books_balance(database)


def test_an_entry_for_nobody_or_beyond_all_money_is_refused(database: Database) -> None:
    with pytest.raises(NotFound), database.write() as session:
        ledger.post(session, 12345, 1, "topup", "paid")
    account = Accounts(database, 0).create("a@example.com")
    with pytest.raises(InvalidField), database.write() as session:
        ledger.post(session, account.id, 10**19, "topup", "paid")
    assert_books_balance(database)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (update(Account).values(balance_micros=Account.balance_micros + 1), "its entries sum to"),
        (delete(Entry).where(Entry.kind == "call"), "answered, but not in the ledger"),
        (update(Call).values(outcome="timeout"), "refused, but charged"),
        (update(Call).values(cost_micros=1), "its entry has another amount"),
        (update(Entry).where(Entry.kind == "call").values(call_id=None), "a call that is not in the log"),
    ],
)
async def test_the_check_finds_what_is_wrong(database: Database, damage: object, sentence: str) -> None:
    caller = await new_caller(database, 5 * PRICE)
    async with running(database) as journal:
        await journal.charge(draft(caller), ANSWER, PRICE, render)
    with database.write() as session:
        session.execute(damage)  # type: ignore[call-overload]
    assert any(sentence in problem for problem in ledger.check(database).problems)


def test_the_check_tells_how_far_it_is(database: Database) -> None:
    accounts = Accounts(database, 100)
    for number in range(3):
        accounts.create(f"{number}@example.com")
    progress: list[tuple[int, int]] = []
    audit = ledger.check(database, lambda done, total: progress.append((done, total)))
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert (audit.accounts, audit.entries, audit.calls, audit.problems) == (3, 3, 0, ())
