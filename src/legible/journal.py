"""The only writer of calls and their money: what waits is committed in one transaction, then replies go."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import structlog
from pydantic_core import to_jsonable_python
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from legible.accounts import Caller
from legible.clock import now_ms
from legible.db.book import CallRow, EntryRow, Held, KeptReply, ReplyRow, Rows, open_book
from legible.db.session import Database, storable
from legible.db.tables import Call, StoredReply
from legible.errors import IdempotencyConflict, InDoubt, InsufficientCredit, NotFound, Refusal, Unavailable
from legible.tasks import Answer, ArithmeticAnswer, ClickAnswer, GridAnswer, Kind, SliderAnswer, TextAnswer

ANSWERED = "answered"
REPLAYED = "replayed"
MAX_RESULT = 2000
DOUBT_SECONDS = (0.0, 0.5, 1.0, 2.0)
DOWN = "the database does not answer; nothing was charged"
# A database that hangs with its connections open raises nothing by itself: so long is a commit waited for,
# and so long the writer at the end.
HUNG_SECONDS, STOP_SECONDS = 20.0, 10.0

log = structlog.get_logger()


@dataclass(slots=True)
class Draft:
    """A call under way: what its row in the log will say. `request`: kind and type id, once known.

    `images` are its pictures, for an account that wants them kept beside the row.
    """

    dialect: str
    trace_id: str
    address: str
    caller: Caller
    created_ms: int
    request: tuple[Kind, int] | None = None
    images: tuple[bytes, ...] = ()
    started_ns: int = field(default_factory=time.perf_counter_ns)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A call as it stands in the log. Amounts in micros; the balance is the account's after the call."""

    call_id: int
    log_id: str
    trace_id: str
    cost_micros: int
    balance_micros: int
    duration_ms: int
    created_ms: int

    @property
    def started_at(self) -> datetime:
        return datetime.fromtimestamp(self.created_ms / 1000, UTC)

    @property
    def finished_at(self) -> datetime:
        return self.started_at + timedelta(milliseconds=self.duration_ms)


Render = Callable[[Answer, Receipt], bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """A committed reply, to be sent as it is. `replayed`: it was stored before; nothing was charged now."""

    status: int
    body: bytes
    receipt: Receipt | None
    replayed: bool = False


class ReplyExists(Exception):  # noqa: N818
    """The reply to this token is there already."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("this request was answered before")
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Charge:
    """What is to be paid, under which names the reply is then kept, and how the reply is written."""

    answer: Answer
    price_micros: int
    render: Render
    tokens: tuple[str, ...]
    request_sha256: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A call that costs nothing: its outcome, the HTTP status of its reply, and a sentence."""

    outcome: str
    status: int
    sentence: str


@dataclass(slots=True)
class Waiting:
    """A call in the queue, and whom to tell. Whoever locks `claim` has it: the writer, or who gave up."""

    draft: Draft
    what: Charge | Note
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    future: asyncio.Future[Any] = field(init=False)
    claim: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.future = self.loop.create_future()

    @property
    def tokens(self) -> list[tuple[int, str]]:
        if isinstance(self.what, Note):
            return []
        return [(self.draft.caller.account_id, token) for token in self.what.tokens]


class Journal:
    """One writer thread. While it waits for the disk the next group gathers, so no timer is needed."""

    def __init__(self, database: Database, group_size: int = 256, retention_hours: int = 24) -> None:
        self.group_size, self.retention_ms = group_size, retention_hours * 3_600_000
        self._book = open_book(database.url)
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._today_ms = 0
        self.is_stuck = False

    def start(self) -> None:
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Commits what is waiting, then ends; `is_stuck` after it tells that a hung database held it up."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join, STOP_SECONDS)
            self.is_stuck = thread.is_alive()
            if self.is_stuck:
                log.error("the database hangs; the server ends without it")

    async def charge(
        self,
        draft: Draft,
        answer: Answer,
        price_micros: int,
        render: Render,
        token: str | None = None,
        request_sha256: bytes = b"",
        task: str | None = None,
    ) -> Reply:
        """Takes the money, logs the call and keeps the reply, in one transaction; `render` runs inside it.

        Raises `InsufficientCredit`, `IdempotencyConflict`, `ReplyExists`, `Unavailable`: nothing was written;
        or `InDoubt`. The reply is kept under `token`, and under `task` too.
        """
        tokens = tuple(name for name in (token, task) if name is not None)
        charge = Charge(answer, price_micros, render, tokens, request_sha256)
        reply: Reply = await self._commit(Waiting(draft, charge))
        return reply

    async def refuse(self, draft: Draft, refusal: Refusal, status: int) -> Receipt:
        """Logs a refusal, which costs nothing. Raises `Unavailable`."""
        return await self._note(draft, Note(refusal.code, status, refusal.message))

    async def replay(self, draft: Draft, reply: Reply) -> Receipt:
        """Logs that a stored reply was sent once more, which costs nothing. Raises `Unavailable`."""
        original = "" if reply.receipt is None else reply.receipt.log_id
        return await self._note(draft, Note(REPLAYED, reply.status, original))

    async def _note(self, draft: Draft, note: Note) -> Receipt:
        receipt: Receipt = await self._commit(Waiting(draft, note))
        return receipt

    async def _commit(self, waiting: Waiting) -> Any:
        if self._thread is None:
            raise Unavailable("the service is stopping; nothing was charged")
        self._queue.put(waiting)
        try:
            # A caller who hangs up now does not stop the commit: it stands, and is in the log.
            async with asyncio.timeout(HUNG_SECONDS):
                return await waiting.future
        except TimeoutError:
            # The writer passes over what is given up; what it has begun may still stand.
            raise Unavailable(DOWN) if waiting.claim.acquire(blocking=False) else _lost(waiting) from None

    def _write_all(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            while len(group) < self.group_size and not self._queue.empty():
                waiting = self._queue.get()
                if waiting is None:
                    self._queue.put(None)
                    break
                group.append(waiting)
            claimed = [each for each in group if each.claim.acquire(blocking=False)]
            if claimed:
                _tell(self._settle(claimed))
        self._book.close()

    def _settle(self, group: Sequence[Waiting]) -> list[tuple[Waiting, object]]:
        """What becomes of each call: a `Reply` or `Receipt`, or the exception that its caller gets."""
        try:
            return self._write(group)
        except self._book.down as error:
            log.warning("the journal cannot write", calls=len(group), error=str(error))
            self._book.close()
            return [(each, Unavailable(DOWN)) for each in group]
        except Exception as error:
            self._book.close()
            if len(group) == 1:
                log.exception("a call could not be written", trace_id=group[0].draft.trace_id)
                return [(group[0], error)]
            # One of them is poison: one by one, so that nobody else's call suffers.
            return [outcome for each in group for outcome in self._settle([each])]

    def _write(self, group: Sequence[Waiting]) -> list[tuple[Waiting, object]]:
        # A clock that is set back must not turn the order of the log ids around.
        self._today_ms = max(self._today_ms, now_ms())
        page = Page(self._hold(group), self._today_ms, self.retention_ms)
        outcomes = [(each, page.decide(each)) for each in group]
        if not page.rows.calls:
            self._book.rollback()
            return outcomes
        self._book.write(page.rows)
        try:
            self._book.commit()
        except self._book.down as error:
            stands = self._stands(page.rows.calls[0], error)
            if stands is None:
                return [(each, _in_doubt(outcome)) for each, outcome in outcomes]
            if not stands:
                raise
        return outcomes

    def _hold(self, group: Sequence[Waiting]) -> Held:
        callers = [each.draft.caller for each in group]
        accounts = {caller.account_id for caller in callers}
        keys = {caller.key_id for caller in callers}
        tokens = {token for each in group for token in each.tokens}
        try:
            return self._book.hold(accounts, keys, tokens, len(group))
        except self._book.down:
            if not self._book.is_broken:
                raise
        # The database was started again while nobody called: nothing was begun, so a new connection will do.
        self._book.close()
        return self._book.hold(accounts, keys, tokens, len(group))

    def _stands(self, call: CallRow, error: Exception) -> bool | None:
        """Whether a commit whose confirmation was lost has happened: ask the database, once it answers.

        None when it does not answer in time: nobody knows, and the callers are told so.
        """
        for pause in DOUBT_SECONDS:
            time.sleep(pause)
            self._book.close()
            try:
                return self._book.has_call(call.trace_id, call.account_id)
            except self._book.down:
                continue
        log.error("a commit is in doubt; the call log tells", first_trace_id=call.trace_id, error=str(error))
        return None


class Page:
    """One transaction: decides call after call, in order, and gathers what is to be written."""

    def __init__(self, held: Held, today_ms: int, retention_ms: int) -> None:
        self.held, self.rows, self.today_ms = held, Rows(), today_ms
        self._ids = iter(held.call_ids)
        self._replies = dict(held.replies)
        self._oldest_ms = now_ms() - retention_ms

    def decide(self, waiting: Waiting) -> object:
        """The `Reply` or `Receipt`, or the exception; a call that gets an exception leaves no row."""
        try:
            if isinstance(waiting.what, Charge):
                return self._charge(waiting.draft, waiting.what)
            return _receipt(self._note(waiting.draft, waiting.what))
        except (Refusal, ReplyExists) as refusal:
            return refusal
        except Exception as error:
            log.warning("a reply could not be written", trace_id=waiting.draft.trace_id)
            return error

    def _note(self, draft: Draft, note: Note) -> CallRow:
        row = self._row(draft, note.outcome, note.status, note.sentence)
        self._log(row)
        return row

    def _charge(self, draft: Draft, charge: Charge) -> Reply:
        caller = draft.caller
        tokens = [(caller.account_id, name) for name in charge.tokens]
        for token in tokens:
            self._raise_if_kept(token, charge)
        self._raise_if_short(caller, charge.price_micros)
        answer = charge.answer
        row = self._row(draft, ANSWERED, 200, spoken(answer), charge.price_micros, answer)
        receipt = _receipt(row)
        reply = Reply(row.status, charge.render(answer, receipt), receipt)
        self._log(row)
        self._pay(row)
        for token in tokens:
            kept = ReplyRow(*token, charge.request_sha256, row.id, row.status, reply.body, row.created_ms)
            self.rows.replies.append(kept)
            self._replies[token] = KeptReply(
                kept.request_sha256, kept.status, kept.body, kept.created_ms, row
            )
        return reply

    def _raise_if_kept(self, token: tuple[int, str], charge: Charge) -> None:
        kept = self._replies.get(token)
        if kept is not None and kept.created_ms >= self._oldest_ms:
            _raise_if_answered(kept, charge.request_sha256)

    def _raise_if_short(self, caller: Caller, price: int) -> None:
        balance = self.held.balances[caller.account_id]
        if balance < price:
            raise InsufficientCredit(balance=balance, price=price)
        spent, cap = self.held.keys[caller.key_id]
        if cap is not None and spent + price > cap:
            raise InsufficientCredit(balance=balance, price=price, spend_cap=True)

    def _row(
        self,
        draft: Draft,
        outcome: str,
        status: int,
        result: str,
        cost: int = 0,
        answer: Answer | None = None,
    ) -> CallRow:
        id_ = next(self._ids)
        kind, type_id = draft.request or (None, None)
        return CallRow(
            id=id_,
            log_id=log_id(id_, self.today_ms),
            trace_id=draft.trace_id,
            account_id=draft.caller.account_id,
            key_id=draft.caller.key_id,
            dialect=draft.dialect,
            kind=kind,
            type_id=type_id if type_id is not None and abs(type_id) < 2**31 else None,
            outcome=outcome,
            status=status,
            result=storable(result)[:MAX_RESULT],
            detail=None if answer is None else to_jsonable_python(answer),
            confidence=None if answer is None else answer.confidence,
            cost_micros=cost,
            balance_micros=self.held.balances[draft.caller.account_id] - cost,
            duration_ms=(time.perf_counter_ns() - draft.started_ns) // 1_000_000,
            address=None if draft.caller.is_deleted else storable(draft.address),
            created_ms=draft.created_ms,
        )

    def _log(self, row: CallRow) -> None:
        self.rows.calls.append(row)
        spent, used_ms = self.rows.uses.get(row.key_id, (0, 0))
        self.rows.uses[row.key_id] = spent + row.cost_micros, max(used_ms, row.created_ms)

    def _pay(self, row: CallRow) -> None:
        account, cost = row.account_id, row.cost_micros
        self.held.balances[account] = row.balance_micros
        spent, cap = self.held.keys[row.key_id]
        self.held.keys[row.key_id] = spent + cost, cap
        self.rows.charges[account] = self.rows.charges.get(account, 0) + cost
        self.rows.entries.append(
            EntryRow(account, -cost, row.balance_micros, "call", row.log_id, row.id, row.created_ms)
        )


def log_id(call_id: int, today_ms: int) -> str:
    """LOG, the day in UTC, and the id in six digits or more: unique, since the id is."""
    day = datetime.fromtimestamp(today_ms / 1000, UTC)
    return f"LOG{day:%Y%m%d}{call_id:06d}"


def spoken(answer: Answer) -> str:
    """What was read, in a few characters, for the call log."""
    match answer:
        case TextAnswer() | ArithmeticAnswer():
            return answer.text
        case SliderAnswer():
            return str(answer.box[0])
        case GridAnswer():
            return ",".join(map(str, answer.objects))
        case ClickAnswer(point=(x, y)):
            return f"{x},{y}"
        case ClickAnswer():
            return ",".join(str(index) for index, fits in enumerate(answer.objects) if fits)


def _lost(waiting: Waiting) -> Refusal:
    """What is told of a call whose commit was begun and is not confirmed."""
    return Unavailable(DOWN) if isinstance(waiting.what, Note) else InDoubt()


def _in_doubt(outcome: object) -> object:
    """What is told instead of that outcome, when nobody knows whether it was committed."""
    match outcome:
        case Reply():
            return InDoubt()
        case Receipt():
            return Unavailable(DOWN)
    return outcome


def _receipt(row: CallRow) -> Receipt:
    return Receipt(
        row.id, row.log_id, row.trace_id, row.cost_micros, row.balance_micros, row.duration_ms, row.created_ms
    )


def _raise_if_answered(kept: KeptReply, request_sha256: bytes) -> None:
    if kept.request_sha256 != request_sha256:
        raise IdempotencyConflict
    if kept.body is not None and kept.status is not None:
        receipt = None if kept.call is None else _receipt(kept.call)
        raise ReplyExists(Reply(kept.status, kept.body, receipt, replayed=True))


def _tell(outcomes: Sequence[tuple[Waiting, object]]) -> None:
    """Hands the outcomes over, with one wake-up for each event loop."""
    for _, group in groupby(outcomes, key=lambda pair: id(pair[0].loop)):
        pairs = list(group)
        try:
            pairs[0][0].loop.call_soon_threadsafe(_resolve, pairs)
        except RuntimeError:
            log.warning("nobody waits any more for calls that were settled", calls=len(pairs))


def _resolve(pairs: Sequence[tuple[Waiting, object]]) -> None:
    for waiting, outcome in pairs:
        if waiting.future.done():
            continue
        if isinstance(outcome, Exception):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome)


class StoredReplies:
    """Replies that are kept for replay ("idempotency:<key>") and for polling ("task:<id>")."""

    def __init__(self, database: Database, retention_hours: int = 24) -> None:
        self.database, self.retention_ms = database, retention_hours * 3_600_000

    async def find(self, account_id: int, token: str) -> KeptReply | None:
        """What is kept under the token, if it is not too old."""
        return await self.database.run(lambda: self._find(account_id, token))

    async def raise_if_stored(self, caller: Caller, token: str, request_sha256: bytes) -> None:
        """Raises `ReplyExists` for the same request again, `IdempotencyConflict` for another request."""
        kept = await self.find(caller.account_id, token)
        if kept is not None:
            _raise_if_answered(kept, request_sha256)

    async def create(self, account_id: int, token: str, request_sha256: bytes) -> bool:
        """Announces a task whose reply comes later; False when that very request has announced it before.

        Raises `IdempotencyConflict` when another request did.
        """
        if await self.database.run(lambda: self._create(account_id, token, request_sha256)):
            return True
        kept = await self.find(account_id, token)
        if kept is not None and kept.request_sha256 != request_sha256:
            raise IdempotencyConflict
        return False

    async def poll(self, account_id: int, token: str) -> Reply | None:
        """The reply of a task, None while it runs. Raises `NotFound` for one that never was or is too old."""
        kept = await self.find(account_id, token)
        if kept is None:
            raise NotFound("there is no such task; tasks are kept for a limited time")
        if kept.body is None or kept.status is None:
            return None
        return Reply(
            kept.status, kept.body, None if kept.call is None else _receipt(kept.call), replayed=True
        )

    async def finish(
        self, account_id: int, token: str, status: int, body: bytes, call_id: int | None = None
    ) -> None:
        """The reply of a task that failed; that of a charged one is the journal's, and is never replaced."""
        await self.database.run(lambda: self._finish(account_id, token, status, body, call_id))

    def purge(self) -> int:
        """Deletes what is too old; returns how many. Blocks for the database."""
        with self.database.write() as session:
            old = delete(StoredReply).where(StoredReply.created_ms < now_ms() - self.retention_ms)
            return session.execute(old).rowcount  # type: ignore[attr-defined, no-any-return]

    def _find(self, account_id: int, token: str) -> KeptReply | None:
        query = (
            select(StoredReply, Call)
            .outerjoin(Call, Call.id == StoredReply.call_id)
            .where(StoredReply.account_id == account_id, StoredReply.token == storable(token))
            .where(StoredReply.created_ms >= now_ms() - self.retention_ms)
        )
        with self.database.read() as session:
            row = session.execute(query).one_or_none()
        if row is None:
            return None
        stored, call = row
        columns = None if call is None else CallRow(*(getattr(call, name) for name in CallRow._fields))
        return KeptReply(stored.request_sha256, stored.status, stored.body, stored.created_ms, columns)

    def _create(self, account_id: int, token: str, request_sha256: bytes) -> bool:
        try:
            with self.database.write() as session:
                too_old = StoredReply.created_ms < now_ms() - self.retention_ms
                session.execute(
                    delete(StoredReply).where(
                        StoredReply.account_id == account_id, StoredReply.token == token, too_old
                    )
                )
                session.add(
                    StoredReply(
                        account_id=account_id, token=token, request_sha256=request_sha256, created_ms=now_ms()
                    )
                )
        except IntegrityError:
            return False
        return True

    def _finish(self, account_id: int, token: str, status: int, body: bytes, call_id: int | None) -> None:
        with self.database.write() as session:
            session.execute(
                update(StoredReply)
                .where(
                    StoredReply.account_id == account_id,
                    StoredReply.token == token,
                    StoredReply.body.is_(None),
                )
                .values(status=status, body=body, call_id=call_id)
            )
