"""Money: no call is charged twice or for nothing, no credit is spent twice, whatever fails in between."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from unittest.mock import patch

import psycopg
import pytest
from sqlalchemy import select, update

from legible.db import session as db_session
from legible.db.session import Database
from legible.db.tables import ApiKey, Call, Entry, StoredReply
from legible.errors import (
    Broken,
    IdempotencyConflict,
    InDoubt,
    InsufficientCredit,
    InvalidField,
    NotFound,
    Unavailable,
)
from legible.journal import Draft, Journal, Receipt, Reply, ReplyExists, StoredReplies, log_id
from legible.keys import KeyRules
from legible.tasks import Answer, Kind
from tests.money import (
    ANSWER,
    PRICE,
    assert_books_balance,
    balance,
    calls,
    charge,
    charged,
    draft,
    new_caller,
    render,
    running,
)

pytestmark = pytest.mark.anyio
SHA, OTHER_SHA = b"a" * 32, b"b" * 32


async def test_an_answered_call_is_one_row_one_entry_and_its_price(database: Database) -> None:
    caller = await new_caller(database, 5 * PRICE)
    async with running(database) as journal:
        reply = await charge(journal, caller)
    with database.read() as session:
        call = session.scalars(select(Call)).one()
        entry = session.scalars(select(Entry).where(Entry.kind == "call")).one()
        key = session.scalars(select(ApiKey)).one()
    assert (call.outcome, call.status, call.result, call.confidence) == ("answered", 200, "7364", 0.98)
    assert call.detail == {"text": "7364", "confidence": 0.98, "characters": []}
    assert (entry.call_id, entry.amount_micros, entry.balance_micros) == (call.id, -PRICE, 4 * PRICE)
    assert (key.spent_micros, key.last_used_ms) == (PRICE, call.created_ms)
    assert reply.receipt is not None
    assert (reply.receipt.log_id, reply.receipt.balance_micros) == (call.log_id, 4 * PRICE)
    assert_books_balance(database)


async def test_a_refusal_is_logged_and_costs_nothing(database: Database) -> None:
    caller = await new_caller(database, 5 * PRICE)
    async with running(database) as journal:
        receipt = await journal.refuse(draft(caller), InvalidField("type", got="7", allowed="50200"), 400)
    with database.read() as session:
        call = session.scalars(select(Call)).one()
    assert (call.id, call.outcome, call.status, call.cost_micros) == (receipt.call_id, "bad_request", 400, 0)
    assert call.result == "type: got 7; allowed: 50200"
    assert balance(database, caller) == 5 * PRICE
    assert_books_balance(database)


async def test_a_free_answer_has_its_entry_too(database: Database) -> None:
    caller = await new_caller(database, 0)
    async with running(database) as journal:
        await charge(journal, caller, price=0)
    assert charged(database) == 1
    assert_books_balance(database)


def test_sixty_four_threads_with_credit_for_forty_calls_get_forty_answers(database: Database) -> None:
    caller = asyncio.run(new_caller(database, 40 * PRICE))
    journal = Journal(database)
    journal.start()

    def call(_: int) -> object:
        try:
            return asyncio.run(charge(journal, caller))
        except InsufficientCredit as refusal:
            return refusal

    with ThreadPoolExecutor(64) as threads:
        outcomes = list(threads.map(call, range(64)))
    asyncio.run(journal.stop())
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 40
    assert sum(isinstance(outcome, InsufficientCredit) for outcome in outcomes) == 24
    assert balance(database, caller) == 0
    assert charged(database) == 40
    assert_books_balance(database)


async def test_two_servers_racing_for_the_last_yuan_give_one_answer(database: Database) -> None:
    caller = await new_caller(database, PRICE)
    async with running(database) as one, running(database) as other:
        outcomes = await asyncio.gather(charge(one, caller), charge(other, caller), return_exceptions=True)
    [refusal] = [outcome for outcome in outcomes if isinstance(outcome, InsufficientCredit)]
    assert (refusal.balance, refusal.price, refusal.spend_cap) == (0, PRICE, False)
    assert balance(database, caller) == 0
    assert charged(database) == 1
    assert_books_balance(database)


async def test_a_key_never_spends_more_than_its_cap(database: Database) -> None:
    caller = await new_caller(database, 100 * PRICE, KeyRules(spend_cap_micros=3 * PRICE + 1))
    async with running(database) as journal:
        outcomes = await asyncio.gather(*(charge(journal, caller) for _ in range(10)), return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, InsufficientCredit)]
    assert len(refusals) == 7
    assert all(refusal.spend_cap for refusal in refusals)
    assert balance(database, caller) == 97 * PRICE
    assert_books_balance(database)


async def test_who_runs_dry_takes_nobody_else_along(database: Database) -> None:
    poor, rich = await new_caller(database, PRICE), await new_caller(database, 100 * PRICE)
    async with running(database) as journal:
        outcomes = await asyncio.gather(
            *(charge(journal, caller) for _ in range(10) for caller in (poor, rich)), return_exceptions=True
        )
    assert [isinstance(outcome, Reply) for outcome in outcomes[1::2]] == [True] * 10
    assert sum(isinstance(outcome, Reply) for outcome in outcomes[0::2]) == 1
    assert_books_balance(database)


async def test_a_reply_that_cannot_be_written_costs_nothing_and_disturbs_nobody(database: Database) -> None:
    caller = await new_caller(database, 10 * PRICE)

    def broken(answer: Answer, receipt: Receipt) -> bytes:
        raise ZeroDivisionError

    async with running(database) as journal:
        outcomes = await asyncio.gather(
            journal.charge(draft(caller), ANSWER, PRICE, broken),
            charge(journal, caller),
            return_exceptions=True,
        )
    assert isinstance(outcomes[0], ZeroDivisionError)
    assert isinstance(outcomes[1], Reply)
    assert balance(database, caller) == 9 * PRICE
    assert_books_balance(database)


async def test_a_poisonous_call_is_set_apart_from_its_group(database: Database) -> None:
    caller = await new_caller(database, 10 * PRICE)
    async with running(database) as journal:
        first = draft(caller)
        await journal.charge(first, ANSWER, PRICE, render)
        again = Draft("v1", first.trace_id, "127.0.0.1", caller, first.created_ms)
        outcomes = await asyncio.gather(
            charge(journal, caller),
            journal.charge(
                again, ANSWER, PRICE, render
            ),  # the trace id is taken: the database refuses the row
            charge(journal, caller),
            return_exceptions=True,
        )
    assert [isinstance(outcome, Reply) for outcome in outcomes] == [True, False, True]
    assert balance(database, caller) == 7 * PRICE
    assert_books_balance(database)


@pytest.mark.parametrize("nonsense", ["a\0b", "\ud800", "x" * 100_000])
async def test_nonsense_that_a_refusal_quotes_can_be_logged(database: Database, nonsense: str) -> None:
    caller = await new_caller(database, 0)
    call = draft(caller)
    call.request = Kind.TEXT, 10**30
    async with running(database) as journal:
        await journal.refuse(call, InvalidField("type", got=nonsense, allowed="50200"), 400)
    assert calls(database, "bad_request") == 1


async def test_the_same_token_twice_at_once_is_charged_once(database: Database) -> None:
    caller = await new_caller(database, 10 * PRICE)
    async with running(database) as one, running(database) as other:
        outcomes = await asyncio.gather(
            *(
                journal.charge(draft(caller), ANSWER, PRICE, render, "idempotency:x", SHA)
                for journal in (one, other, one, other)
            ),
            return_exceptions=True,
        )
    [reply] = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    replays = [outcome.reply for outcome in outcomes if isinstance(outcome, ReplyExists)]
    assert [replay.body for replay in replays] == [reply.body] * 3
    assert [replay.receipt for replay in replays] == [reply.receipt] * 3
    assert all(replay.replayed for replay in replays)
    assert balance(database, caller) == 9 * PRICE
    assert_books_balance(database)


async def test_a_token_with_another_body_is_a_conflict_and_free(database: Database) -> None:
    caller = await new_caller(database, 10 * PRICE)
    replies = StoredReplies(database)
    async with running(database) as journal:
        await journal.charge(draft(caller), ANSWER, PRICE, render, "idempotency:x", SHA)
        with pytest.raises(IdempotencyConflict):
            await journal.charge(draft(caller), ANSWER, PRICE, render, "idempotency:x", OTHER_SHA)
        with pytest.raises(IdempotencyConflict):
            await replies.raise_if_stored(caller, "idempotency:x", OTHER_SHA)
    assert balance(database, caller) == 9 * PRICE


async def test_a_token_that_no_database_can_hold_is_not_found(database: Database) -> None:
    caller = await new_caller(database, PRICE)
    assert await StoredReplies(database).find(caller.account_id, "task:\0") is None


async def test_a_token_is_its_owners_alone(database: Database) -> None:
    caller, other = await new_caller(database, PRICE), await new_caller(database, PRICE)
    async with running(database) as journal:
        await journal.charge(draft(caller), ANSWER, PRICE, render, "idempotency:x", SHA)
        await StoredReplies(database).raise_if_stored(other, "idempotency:x", SHA)
        await journal.charge(draft(other), ANSWER, PRICE, render, "idempotency:x", SHA)
    assert balance(database, other) == 0


async def test_a_stored_reply_is_replayed_byte_for_byte_and_forgotten_in_time(database: Database) -> None:
    caller = await new_caller(database, 10 * PRICE)
    replies = StoredReplies(database)
    async with running(database) as journal:
        reply = await journal.charge(draft(caller), ANSWER, PRICE, render, "idempotency:x", SHA)
        with pytest.raises(ReplyExists) as stored:
            await replies.raise_if_stored(caller, "idempotency:x", SHA)
        assert stored.value.reply == Reply(200, reply.body, reply.receipt, replayed=True)
        assert replies.purge() == 0
        with database.write() as session:
            session.execute(update(StoredReply).values(created_ms=StoredReply.created_ms - 24 * 3_600_001))
        await replies.raise_if_stored(caller, "idempotency:x", SHA)
        again = await journal.charge(draft(caller), ANSWER, PRICE, render, "idempotency:x", OTHER_SHA)
        assert again.body != reply.body
        assert balance(database, caller) == 8 * PRICE
        with database.write() as session:
            session.execute(update(StoredReply).values(created_ms=0))
        assert replies.purge() == 1
    assert_books_balance(database)


async def test_a_task_of_an_idempotent_call_has_its_reply_once_it_is_charged(
    database: Database,
) -> None:
    """A server that is killed right after the commit leaves no task behind whose reply is lost."""
    caller = await new_caller(database, 10 * PRICE)
    replies, account = StoredReplies(database), caller.account_id
    async with running(database) as journal:
        await replies.create(account, "task:1", SHA)
        reply = await journal.charge(draft(caller), ANSWER, PRICE, render, "idempotency:x", SHA, "task:1")
        polled = await replies.poll(account, "task:1")
        with pytest.raises(ReplyExists) as stored:
            await replies.raise_if_stored(caller, "idempotency:x", SHA)
    assert polled is not None
    assert polled.body == stored.value.reply.body == reply.body
    assert charged(database) == 1


async def test_an_idempotent_call_whose_task_was_given_up_is_not_charged(database: Database) -> None:
    caller = await new_caller(database, 10 * PRICE)
    replies, account = StoredReplies(database), caller.account_id
    async with running(database) as journal:
        await replies.create(account, "task:1", SHA)
        await replies.finish(account, "task:1", 500, b"lost")
        with pytest.raises(ReplyExists):
            await journal.charge(draft(caller), ANSWER, PRICE, render, "idempotency:x", SHA, "task:1")
    assert charged(database) == 0


async def test_a_task_is_announced_polled_and_charged_once(database: Database) -> None:
    caller = await new_caller(database, 10 * PRICE)
    replies, account = StoredReplies(database), caller.account_id
    async with running(database) as journal:
        assert await replies.create(account, "task:1", SHA)
        assert not await replies.create(account, "task:1", SHA)
        with pytest.raises(IdempotencyConflict):
            await replies.create(account, "task:1", OTHER_SHA)
        assert await replies.poll(account, "task:1") is None
        reply = await journal.charge(draft(caller), ANSWER, PRICE, render, "task:1", SHA)
        await replies.finish(account, "task:1", 400, b"too late to fail")
        polled = await replies.poll(account, "task:1")
    assert polled is not None
    assert (polled.status, polled.body) == (200, reply.body)
    with pytest.raises(NotFound):
        await replies.poll(account + 1, "task:1")
    assert charged(database) == 1


async def test_a_task_that_failed_says_so_and_is_never_charged_after(database: Database) -> None:
    caller = await new_caller(database, 10 * PRICE)
    replies, account = StoredReplies(database), caller.account_id
    async with running(database) as journal:
        await replies.create(account, "task:1", SHA)
        await replies.finish(account, "task:1", 400, b"unreadable")
        with pytest.raises(ReplyExists):
            await journal.charge(draft(caller), ANSWER, PRICE, render, "task:1", SHA)
    polled = await replies.poll(account, "task:1")
    assert polled is not None
    assert (polled.status, polled.body) == (400, b"unreadable")
    assert balance(database, caller) == 10 * PRICE


async def test_who_hangs_up_during_the_commit_has_paid_and_is_in_the_log(database: Database) -> None:
    caller = await new_caller(database, 10 * PRICE)
    async with running(database) as journal:
        call = asyncio.create_task(charge(journal, caller))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await charge(journal, caller)
    assert balance(database, caller) == 8 * PRICE
    assert_books_balance(database)


async def test_stopping_commits_what_waits_and_takes_nothing_more(database: Database) -> None:
    caller = await new_caller(database, 100 * PRICE)
    journal = Journal(database, group_size=7)
    journal.start()
    waiting = [asyncio.create_task(charge(journal, caller)) for _ in range(30)]
    await asyncio.sleep(0)
    await journal.stop()
    assert len(await asyncio.gather(*waiting)) == 30
    with pytest.raises(Unavailable):
        await charge(journal, caller)
    assert charged(database) == 30


async def test_the_books_can_be_checked_while_calls_are_charged(database: Database) -> None:
    caller = await new_caller(database, 10_000 * PRICE)
    async with running(database) as journal:
        done = 0
        is_checked = asyncio.Event()

        async def charge_often() -> None:
            nonlocal done
            while not (is_checked.is_set() and done >= 8 * 15):
                await charge(journal, caller)
                done += 1

        load = asyncio.gather(*(charge_often() for _ in range(8)))
        for _ in range(3):
            await database.run(lambda: assert_books_balance(database))
        is_checked.set()
        await load
    assert charged(database) == done


async def test_a_locked_database_is_unavailable_and_works_again_by_itself(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db_session, "BUSY_TIMEOUT_MS", 100)
    database = Database(sqlite_url)
    caller = await new_caller(database, 10 * PRICE)
    async with running(database) as journal:
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable):
                await charge(journal, caller)
            with pytest.raises(Unavailable):
                await journal.refuse(draft(caller), Broken(), 500)
        await charge(journal, caller)
    assert balance(database, caller) == 9 * PRICE
    assert_books_balance(database)
    database.close()


async def test_a_full_disk_is_unavailable_charges_nothing_and_recovers(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    caller = await new_caller(database, 10**9)
    async with running(database) as journal:
        await charge(journal, caller)
        journal._book._run("PRAGMA max_page_count = 1")  # type: ignore[attr-defined] # no page more than there are
        answered, refused = 1, 0
        while not refused:
            try:
                await charge(journal, caller)
                answered += 1
            except Unavailable:
                refused += 1
        assert (charged(database), calls(database)) == (answered, answered)
        await charge(journal, caller)
    assert balance(database, caller) == 10**9 - (answered + 1) * PRICE
    assert_books_balance(database)
    database.close()


async def test_a_database_that_was_started_again_is_not_noticed_by_callers(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    caller = await new_caller(database, 10 * PRICE)
    async with running(database) as journal:
        await charge(journal, caller)
        with psycopg.connect(postgresql_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await charge(journal, caller)
    assert balance(database, caller) == 8 * PRICE
    assert_books_balance(database)
    database.close()


async def test_a_database_that_cannot_be_reached_is_unavailable(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    caller = await new_caller(database, 10 * PRICE)
    nowhere = Database("postgresql://legible@127.0.0.1:1/nothing")
    async with running(nowhere) as journal:
        with pytest.raises(Unavailable):
            await charge(journal, caller)
    nowhere.close()
    database.close()


@pytest.mark.parametrize("happened", [True, False])
async def test_a_commit_whose_confirmation_is_lost_is_looked_up(database: Database, happened: bool) -> None:
    caller = await new_caller(database, 10 * PRICE)
    async with running(database) as journal:
        book = journal._book
        commit = book.commit

        def lost() -> None:
            book.commit = commit  # type: ignore[method-assign]
            if happened:
                commit()
            raise book.down[0]("the line is dead")

        with patch.object(book, "commit", lost):
            try:
                await charge(journal, caller)
                answered = True
            except Unavailable:
                answered = False
    assert answered is happened
    assert charged(database) == happened
    assert_books_balance(database)


@pytest.mark.parametrize("happened", [True, False])
async def test_a_commit_that_nobody_can_look_up_is_told_as_in_doubt(
    database: Database, monkeypatch: pytest.MonkeyPatch, happened: bool
) -> None:
    monkeypatch.setattr("legible.journal.DOUBT_SECONDS", (0.0, 0.01))
    caller = await new_caller(database, 10 * PRICE)
    async with running(database) as journal:
        book = journal._book
        commit = book.commit

        def lost(*_: object) -> None:
            if happened:
                commit()
            raise book.down[0]("the line is dead")

        def gone(*_: object) -> bool:
            raise book.down[0]("nobody there")

        with patch.object(book, "commit", lost), patch.object(book, "has_call", gone):
            with pytest.raises(InDoubt) as doubt:
                await charge(journal, caller, token="idempotency:x")
            with pytest.raises(Unavailable) as refusal:
                await journal.refuse(draft(caller), Broken(), 500)
        assert "not known" in doubt.value.message
        assert not isinstance(refusal.value, InDoubt)
        # What the sentence advises: once more, under the same key.
        [outcome] = await asyncio.gather(
            charge(journal, caller, token="idempotency:x"), return_exceptions=True
        )
        assert isinstance(outcome, ReplyExists if happened else Reply)
    assert charged(database) == 1
    assert_books_balance(database)


async def test_a_lost_commit_that_is_still_under_way_is_waited_for(postgresql_url: str) -> None:
    """The line broke, and the server on its other end has not noticed yet: it may still commit."""
    database = Database(postgresql_url)
    caller = await new_caller(database, 10 * PRICE)
    call = draft(caller)
    async with running(database) as journal:
        book, severed = journal._book, []
        late = threading.Timer(0.3, lambda: severed[0].commit())

        def lost() -> None:
            severed.append(book._connection)  # type: ignore[attr-defined]
            book._connection = None  # type: ignore[attr-defined]
            late.start()
            raise book.down[0]("the line is dead")

        with patch.object(book, "commit", lost):
            reply = await journal.charge(call, ANSWER, PRICE, render)
    assert reply.receipt is not None
    late.join()
    severed[0].close()
    assert charged(database) == 1
    assert_books_balance(database)
    database.close()


async def test_log_ids_keep_their_order_when_the_clock_is_set_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = await new_caller(database, 10 * PRICE)
    day = 86_400_000
    ids = []
    async with running(database) as journal:
        for clock in (20_000 * day, 19_999 * day, 20_001 * day, 20_000 * day):
            monkeypatch.setattr("legible.journal.now_ms", lambda clock=clock: clock)
            reply = await charge(journal, caller)
            assert reply.receipt is not None
            ids.append(reply.receipt.log_id)
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    ("call_id", "expected"),
    [(1, "LOG20241101000001"), (999_999, "LOG20241101999999"), (12_345_678, "LOG2024110112345678")],
)
def test_log_ids_are_the_day_and_the_id_in_six_digits_or_more(call_id: int, expected: str) -> None:
    assert log_id(call_id, 1_730_419_200_000) == expected  # 2024-11-01T00:00:00Z


async def test_a_database_that_hangs_is_an_error_and_what_is_given_up_is_not_charged(
    database: Database, monkeypatch
) -> None:
    caller = await new_caller(database, 5 * PRICE)
    monkeypatch.setattr("legible.journal.HUNG_SECONDS", 2.0)
    held, goes_on = threading.Event(), threading.Event()
    async with running(database) as journal:
        hold = journal._book.hold
        monkeypatch.setattr(
            journal._book, "hold", lambda *rows: held.set() or (goes_on.wait(60) and hold(*rows))
        )
        begun = asyncio.create_task(charge(journal, caller))
        assert await asyncio.to_thread(held.wait, 30)
        noted = asyncio.create_task(journal.refuse(draft(caller), NotFound("no"), 404))
        queued = asyncio.create_task(charge(journal, caller))
        outcomes = await asyncio.gather(begun, noted, queued, return_exceptions=True)
        assert [type(each) for each in outcomes] == [InDoubt, Unavailable, Unavailable]
        goes_on.set()
    assert (calls(database), charged(database)) == (1, 1)  # the one that is in doubt
    assert not journal.is_stuck
    assert_books_balance(database)


async def test_a_stop_does_not_wait_for_a_database_that_hangs(database: Database, monkeypatch) -> None:
    caller = await new_caller(database, 5 * PRICE)
    monkeypatch.setattr("legible.journal.HUNG_SECONDS", 2.0)
    monkeypatch.setattr("legible.journal.STOP_SECONDS", 0.2)
    goes_on = threading.Event()
    journal = Journal(database)
    journal.start()
    monkeypatch.setattr(journal._book, "hold", lambda *_: goes_on.wait(60))
    with pytest.raises(InDoubt):
        await charge(journal, caller)
    await journal.stop()
    assert journal.is_stuck
    goes_on.set()
