"""The whole road of a call: whatever ends it is in the log, and only a committed answer costs anything."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from legible.accounts import Accounts
from legible.clock import now_ms
from legible.db.session import Database
from legible.db.tables import Account, Call, KeptImage, Preference
from legible.engine.local import LocalEngine
from legible.errors import (
    Broken,
    IdempotencyConflict,
    InsufficientCredit,
    InvalidField,
    NotAllowed,
    NotAvailable,
    RateLimited,
    RecognitionFailed,
    Refusal,
    TimedOut,
    Unauthenticated,
    Unavailable,
    UnknownType,
)
from legible.journal import Journal, Reply, StoredReplies
from legible.kept_images import KeptImages
from legible.keys import KeyRing, KeyRules
from legible.pipeline import Attempt, Pipeline, Refused, Request
from legible.prices import PriceList
from legible.rate_limit import RateLimiter
from legible.tasks import Answer, ArithmeticOptions, Kind, Task, TextAnswer, TextOptions
from tests.money import PRICE, assert_books_balance, new_key, render

pytestmark = pytest.mark.anyio
FREE = KeyRules(rate_per_second=0)
TEXT = Request(Task(Kind.TEXT, (b"",), TextOptions()), 50200)

Read = Callable[[Task], Answer]


def read(task: Task) -> Answer:
    return TextAnswer("7364", 0.98)


@dataclass(frozen=True)
class House:
    """A running pipeline with its database."""

    pipeline: Pipeline
    database: Database

    async def call(
        self,
        key: str | None,
        request: Request = TEXT,
        *,
        token: str | None = None,
        sha: bytes = b"a" * 32,
        address: str = "127.0.0.1",
    ) -> Reply:
        attempt = Attempt("v1", key, address, str(uuid.uuid4()), status, token, sha)
        return await self.pipeline.run(attempt, lambda: request, render)

    async def refusal(self, key: str | None, request: Request = TEXT, **how: str) -> Refusal:
        """Why it was refused, after a look at its row in the log."""
        with pytest.raises(Refused) as refused:
            await self.call(key, request, **how)  # type: ignore[arg-type]
        refusal, receipt = refused.value.refusal, refused.value.receipt
        [row] = [call for call in self.log() if call.id == receipt.call_id]
        assert (row.outcome, row.status, row.cost_micros) == (refusal.code, status(refusal), 0)
        assert (row.result, row.log_id, row.trace_id) == (refusal.message, receipt.log_id, receipt.trace_id)
        assert receipt.cost_micros == 0
        assert_books_balance(self.database)
        return refusal

    def log(self) -> Sequence[Call]:
        with self.database.read() as session:
            return session.scalars(select(Call).order_by(Call.id)).all()


def status(refusal: Refusal) -> int:
    return 401 if isinstance(refusal, Unauthenticated) else 400


@asynccontextmanager
async def house(
    database: Database, recognizer: Read = read, seconds: float = 5, workers: int = 2
) -> AsyncIterator[House]:
    journal = Journal(database)
    journal.start()
    engine = LocalEngine({Kind.TEXT: recognizer}, workers)
    pipeline = Pipeline(
        KeyRing(database, 0.5),
        RateLimiter(10),
        PriceList(database, 0.5),
        StoredReplies(database),
        engine,
        journal,
        KeptImages(database, 30),
        seconds,
    )
    try:
        yield House(pipeline, database)
    finally:
        await journal.stop()
        await engine.stop()


async def test_a_good_call_is_answered_charged_and_logged(database: Database) -> None:
    key = new_key(database, 10 * PRICE)
    async with house(database) as each:
        reply = await each.call(key)
        [row] = each.log()
    assert reply.receipt is not None
    assert (reply.status, reply.receipt.cost_micros, reply.receipt.balance_micros) == (200, PRICE, 9 * PRICE)
    assert (row.outcome, row.kind, row.type_id, row.result) == ("answered", "text", 50200, "7364")
    assert (row.dialect, row.address, row.cost_micros) == ("v1", "127.0.0.1", PRICE)
    assert_books_balance(database)


@pytest.mark.parametrize("key", [None, "", "lg_" + "x" * 43])
async def test_who_is_unknown_is_refused_without_a_row(database: Database, key: str | None) -> None:
    async with house(database) as each:
        with pytest.raises(Unauthenticated):
            await each.call(key)
        assert each.log() == []


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (KeyRules(expires_ms=1), "expired"),
        (KeyRules(addresses=["10.0.0.0/8"]), "address"),
    ],
)
async def test_a_known_key_that_must_not_call_is_logged(
    database: Database, rules: KeyRules, reason: str
) -> None:
    async with house(database) as each:
        refusal = await each.refusal(new_key(database, PRICE, rules))
    assert isinstance(refusal, Unauthenticated)
    assert refusal.reason == reason


async def test_a_revoked_key_is_logged(database: Database) -> None:
    key = new_key(database, PRICE)
    async with house(database) as each:
        keys = each.pipeline.keys
        keys.revoke(keys.list()[0].id)
        refusal = await each.refusal(key)
    assert isinstance(refusal, Unauthenticated)
    assert refusal.reason == "revoked"


async def test_the_eleventh_call_in_a_second_is_refused_before_it_is_read(database: Database) -> None:
    seen: list[Task] = []

    def counting(task: Task) -> Answer:
        seen.append(task)
        return read(task)

    key = new_key(database, 100 * PRICE)
    async with house(database, counting) as each:
        await each.pipeline.keys.identify(key)
        outcomes = await asyncio.gather(*(each.call(key) for _ in range(11)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert [type(each.refusal) for each in refused] == [RateLimited]
    assert len(seen) == 10


async def test_a_key_for_other_kinds_is_not_allowed(database: Database) -> None:
    async with house(database) as each:
        refusal = await each.refusal(new_key(database, PRICE, KeyRules(kinds=[Kind.GRID])))
    assert isinstance(refusal, NotAllowed)


@pytest.mark.parametrize(("threshold", "answers"), [(0.98, True), (0.981, False), (1.0, False), (0.0, True)])
async def test_a_key_is_only_answered_what_is_sure_enough_for_it(
    database: Database, threshold: float, answers: bool
) -> None:
    key = new_key(database, PRICE, KeyRules(threshold=threshold))
    async with house(database) as each:
        if answers:
            assert (await each.call(key)).status == 200
        else:
            refusal = await each.refusal(key)
            assert isinstance(refusal, RecognitionFailed)
            assert f"under this key's threshold {threshold:g}" in refusal.message
        [row] = each.log()
    assert (row.outcome, row.cost_micros) == (("answered", PRICE) if answers else ("recognition_failed", 0))
    assert_books_balance(database)


async def test_a_body_that_makes_no_sense_is_refused_and_logged(database: Database) -> None:
    key = new_key(database, PRICE)

    def parse() -> Request:
        raise InvalidField("image", got="nothing", allowed="base64")

    async with house(database) as each:
        with pytest.raises(Refused) as refused:
            await each.pipeline.run(Attempt("v1", key, "-", "trace", status), parse, render)
        [row] = each.log()
    assert isinstance(refused.value.refusal, InvalidField)
    assert (row.trace_id, row.outcome, row.kind, row.type_id) == ("trace", "bad_request", None, None)


async def test_an_unknown_type_and_a_missing_recognizer_are_refused(database: Database) -> None:
    key = new_key(database, 10 * PRICE)
    async with house(database) as each:
        unknown = await each.refusal(key, Request(TEXT.task, 10**30))
        missing = await each.refusal(key, Request(Task(Kind.ARITHMETIC, (b"",), ArithmeticOptions()), 50100))
    assert isinstance(unknown, UnknownType)
    assert isinstance(missing, NotAvailable)


async def test_an_empty_balance_is_refused_before_anything_is_read(database: Database) -> None:
    def never(task: Task) -> Answer:
        raise AssertionError

    async with house(database, never) as each:
        refusal = await each.refusal(new_key(database, PRICE - 1))
    assert isinstance(refusal, InsufficientCredit)
    assert (refusal.balance, refusal.price) == (PRICE - 1, PRICE)


async def test_two_calls_racing_for_the_last_yuan_get_one_answer(database: Database) -> None:
    key = new_key(database, PRICE)
    async with house(database) as each:
        await each.pipeline.keys.identify(key)
        outcomes = await asyncio.gather(each.call(key), each.call(key), return_exceptions=True)
        log = each.log()
    [reply] = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    [refused] = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert isinstance(refused.refusal, InsufficientCredit)
    assert reply.receipt is not None
    assert reply.receipt.balance_micros == refused.receipt.balance_micros == 0
    assert sorted(row.outcome for row in log) == ["answered", "insufficient_credit"]
    assert_books_balance(database)


async def test_sixty_four_callers_with_credit_for_forty_get_forty_answers(database: Database) -> None:
    key = new_key(database, 40 * PRICE, FREE)
    async with house(database) as each:
        outcomes = await asyncio.gather(*(each.call(key) for _ in range(64)), return_exceptions=True)
        log = each.log()
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 40
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 24
    assert len(log) == 64
    assert_books_balance(database)


async def test_what_cannot_be_read_is_free(database: Database) -> None:
    def unreadable(task: Task) -> Answer:
        raise RecognitionFailed("too faint", confidence=0.2, threshold=0.5)

    async with house(database, unreadable) as each:
        assert isinstance(await each.refusal(new_key(database, PRICE)), RecognitionFailed)


async def test_what_takes_too_long_is_free(database: Database) -> None:
    def slow(task: Task) -> Answer:
        time.sleep(0.3)
        return read(task)

    async with house(database, slow, seconds=0.05) as each:
        refusal = await each.refusal(new_key(database, PRICE))
    assert isinstance(refusal, TimedOut)
    assert refusal.seconds == 0.05


async def test_a_bug_of_ours_is_free_and_tells_nothing_of_itself(database: Database) -> None:
    def buggy(task: Task) -> Answer:
        raise ZeroDivisionError("a secret path")

    async with house(database, buggy) as each:
        refusal = await each.refusal(new_key(database, PRICE))
    assert isinstance(refusal, Broken)
    assert "secret" not in refusal.message


async def test_a_reply_that_cannot_be_written_is_free(database: Database) -> None:
    key = new_key(database, PRICE)
    async with house(database) as each:
        with pytest.raises(Refused) as refused:
            await each.pipeline.run(
                Attempt("v1", key, "-", "trace", status),
                lambda: TEXT,
                lambda *_: 1 / 0,  # type: ignore[arg-type,return-value]
            )
    assert isinstance(refused.value.refusal, Broken)
    assert refused.value.receipt.balance_micros == PRICE
    assert_books_balance(database)


async def test_the_same_request_again_is_replayed_and_logged_but_not_charged(database: Database) -> None:
    key = new_key(database, 10 * PRICE)
    async with house(database) as each:
        first = await each.call(key, token="idempotency:x")
        again = await each.call(key, token="idempotency:x")
        log = each.log()
    assert (again.body, again.receipt, again.replayed) == (first.body, first.receipt, True)
    assert first.receipt is not None
    assert [(row.outcome, row.cost_micros) for row in log] == [("answered", PRICE), ("replayed", 0)]
    assert log[1].result == first.receipt.log_id
    assert_books_balance(database)


async def test_the_same_request_at_the_same_time_is_charged_once(database: Database) -> None:
    key = new_key(database, 10 * PRICE)
    async with house(database) as each:
        replies = await asyncio.gather(*(each.call(key, token="idempotency:x") for _ in range(5)))
        log = each.log()
    assert len({reply.body for reply in replies}) == 1
    assert sorted(row.outcome for row in log) == ["answered"] + ["replayed"] * 4
    assert_books_balance(database)


async def test_the_same_token_for_another_request_is_a_conflict(database: Database) -> None:
    key = new_key(database, 10 * PRICE)
    async with house(database) as each:
        await each.call(key, token="idempotency:x")
        with pytest.raises(Refused) as refused:
            await each.call(key, token="idempotency:x", sha=b"b" * 32)
    assert isinstance(refused.value.refusal, IdempotencyConflict)


async def test_a_free_failure_runs_again_under_its_token(database: Database) -> None:
    answers = iter([RecognitionFailed("too faint"), TextAnswer("7364", 0.9)])

    def second_time_lucky(task: Task) -> Answer:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    key = new_key(database, 10 * PRICE)
    async with house(database, second_time_lucky) as each:
        with pytest.raises(Refused):
            await each.call(key, token="idempotency:x")
        assert not (await each.call(key, token="idempotency:x")).replayed


async def test_a_call_that_passed_every_check_is_announced_before_it_is_read(database: Database) -> None:
    events: list[str] = []

    def reading(task: Task) -> Answer:
        events.append("read")
        return read(task)

    async def accepted(caller: object) -> None:
        events.append("accepted")

    good, poor = new_key(database, PRICE), new_key(database, 0)
    async with house(database, reading) as each:
        await each.pipeline.run(Attempt("v1", good, "-", "1", status), lambda: TEXT, render, accepted)
        with pytest.raises(Refused):
            await each.pipeline.run(Attempt("v1", poor, "-", "2", status), lambda: TEXT, render, accepted)
    assert events == ["accepted", "read"]


async def test_when_the_log_is_down_the_answer_is_unavailable_and_free(database: Database) -> None:
    key = new_key(database, PRICE)
    async with house(database) as each:
        await each.pipeline.keys.identify(key)
        await each.pipeline.journal.stop()
        with pytest.raises(Unavailable):
            await each.call(key)
    assert_books_balance(database)
    assert Accounts(database, 0).list()[0].balance_micros == PRICE


async def test_an_account_keeps_so_much_in_a_day_and_is_answered_beyond(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("legible.kept_images.MOST_MIB_A_DAY", 1500 / 1024**2)
    key, picture = new_key(database, 10 * PRICE), Request(replace(TEXT.task, images=(b"x" * 1000,)), 50200)
    with database.write() as session:
        account = session.scalars(select(Account)).one()
        session.add(Preference(account_id=account.id, keeps_images=True))
    async with house(database) as each:
        for _ in range(3):
            assert (await each.call(key, picture)).status == 200
    with database.read() as session:
        assert len(session.scalars(select(KeptImage)).all()) == 1


async def test_images_that_cannot_be_kept_do_not_cost_the_answer(database: Database) -> None:
    key = new_key(database, PRICE)
    with database.write() as session:
        account = session.scalars(select(Account)).one()
        session.add(Preference(account_id=account.id, keeps_images=True))
    async with house(database) as each:
        each.pipeline.images._write = lambda *_: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        reply = await each.call(key)
        assert [row.outcome for row in each.log()] == ["answered"]
    assert reply.receipt is not None
    assert_books_balance(database)


async def test_the_log_says_when_a_call_began_and_how_long_it_took(database: Database) -> None:
    def slow(task: Task) -> Answer:
        time.sleep(0.1)
        return read(task)

    key, before = new_key(database, PRICE), now_ms()
    async with house(database, slow) as each:
        reply = await each.call(key)
    receipt = reply.receipt
    assert receipt is not None
    assert before <= receipt.created_ms <= now_ms()
    assert receipt.duration_ms >= 100
    assert receipt.finished_at - receipt.started_at == timedelta(milliseconds=receipt.duration_ms)
