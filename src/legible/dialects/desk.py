"""Where a request is received and its reply handed out: the same steps for every dialect,
whose words differ."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import structlog
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from legible.accounts import Caller
from legible.clock import now_ms
from legible.db.tables import TASK
from legible.dialects.edge import (
    Body,
    client_address,
    fingerprint,
    idempotency_token,
    read_body,
    refusal_headers,
)
from legible.errors import InvalidField, NotAvailable, Refusal, Unavailable
from legible.journal import Receipt, Render, Reply
from legible.metrics import Metrics
from legible.pipeline import Accepted, Attempt, Pipeline, Refused, Request
from legible.prices import PricedType, pick
from legible.settings import Settings
from legible.tasks import Kind, Task

log = structlog.get_logger()

# A task that is still running so long after its recognition must have ended was left by a server that was
# killed.
GRACE_SECONDS = 30.0
LOST = 500


@dataclass(slots=True)
class Ask:
    """One HTTP request, its body read. `kind` is filled in when the body is understood, for the metrics."""

    path: str
    address: str
    trace_id: str
    body: Body
    token: str | None = None
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """A vendor's words for a "no": the HTTP status, and the body of the reply.
    No receipt: nobody is known to log it for."""

    name: str
    status_of: Callable[[Refusal], int]
    failure: Callable[[Refusal, Ask, Receipt | None], bytes]
    media_type: str = "application/json"
    refusal_type: str | None = None  # where it is another


@dataclass(frozen=True, slots=True)
class Types:
    """The enabled types of the price list, and the kinds that can be read here."""

    rows: Mapping[int, PricedType]
    kinds: frozenset[Kind]

    def pick(self, type_id: int) -> PricedType:
        """Raises `UnknownType`, which lists the known ones."""
        return pick(self.rows, type_id)

    def cheapest(self, kind: Kind) -> PricedType:
        """Raises `NotAvailable` for a kind that has no price."""
        of_kind = [row for row in self.rows.values() if row.kind is kind]
        if not of_kind:
            raise NotAvailable(f"recognizing {kind} is not available yet: it has no price; {self._advice()}")
        return min(of_kind, key=lambda row: (row.price_micros, row.id))

    def request(
        self, task: Task, row: PricedType | None = None, names: Mapping[str, str] = MappingProxyType({})
    ) -> Request:
        """The task with its price; without `row`, the cheapest of its kind. Raises `NotAvailable`."""
        if task.kind not in self.kinds:
            raise NotAvailable(f"recognizing {task.kind} is not available yet; {self._advice()}")
        return Request(task, (row or self.cheapest(task.kind)).id, names)

    def _advice(self) -> str:
        return f"available: {', '.join(sorted(self.kinds)) or 'nothing so far'}"


Parse = Callable[[Types], Request]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: its response, and the row of the call log that has it."""

    response: Response
    call_id: int | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A task that is polled for; `account` is known as soon as the call has passed every check."""

    id: str
    request_sha256: bytes
    account: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def token(self) -> str:
        return TASK + self.id


class Desk:
    """The shared road of every recognition call."""

    def __init__(self, pipeline: Pipeline, metrics: Metrics, settings: Settings) -> None:
        self.pipeline, self.metrics, self.settings = pipeline, metrics, settings
        self.replies, self.limits = pipeline.replies, settings.image_limits
        self._background: set[asyncio.Task[Response]] = set()

    async def receive(self, request: HttpRequest) -> Ask:
        """Reads the request; what is wrong with it is kept for when its caller is known."""
        with self.metrics.stage("read"):
            body = await read_body(request, self.settings.max_body_bytes)
        ask = Ask(request.scope["path"], client_address(request), request.state.trace_id, body)
        try:
            ask.token = idempotency_token(request.headers)
        except InvalidField as refusal:
            ask.body = Body(body.data, refusal)
        return ask

    async def answer(
        self,
        dialect: Dialect,
        ask: Ask,
        key: str | None,
        parse: Parse,
        render: Render,
        task_id: str | None = None,
    ) -> Response:
        """The reply to one call. `parse` understands the body, `render` writes a good answer,
        which can be polled for, too, if it has a `task_id`."""
        attempt = self.attempt(dialect, ask, key)
        if task_id is not None:
            attempt = replace(attempt, task=TASK + task_id)
        return (await self._call(dialect, ask, attempt, parse, render)).response

    async def start(
        self,
        dialect: Dialect,
        ask: Ask,
        key: str | None,
        parse: Parse,
        render: Render,
        task_id: str | None = None,
    ) -> str | Response:
        """Begins a call whose reply is polled for: the id of its task,
        or the refusal that could be told at once."""
        task = Running(task_id or f"{uuid.uuid4()}", fingerprint(ask.path, ask.body.data))
        attempt = self.attempt(dialect, ask, key)
        # The charge and the reply that is polled for stand or fall together, under either name.
        if attempt.token is None:
            attempt = replace(attempt, token=task.token, request_sha256=task.request_sha256)
        else:
            attempt = replace(attempt, task=task.token)
        work = asyncio.create_task(self._work(dialect, ask, attempt, parse, render, task))
        self._background.add(work)
        work.add_done_callback(self._background.discard)
        both: set[asyncio.Future[Any]] = {work, task.account}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return task.id if task.account.done() else await work

    async def _work(
        self,
        dialect: Dialect,
        ask: Ask,
        attempt: Attempt,
        parse: Parse,
        render: Render,
        task: Running,
    ) -> Response:
        async def accepted(caller: Caller) -> None:
            await self.replies.create(caller.account_id, task.token, task.request_sha256)
            task.account.set_result(caller.account_id)

        outcome = await self._call(dialect, ask, attempt, parse, render, accepted)
        if outcome.replayed and not task.account.done():
            try:
                await accepted(await self.pipeline.keys.identify(attempt.key))
            except Refusal as refusal:
                return self.refuse(dialect, ask, refusal)
        if task.account.done():
            await self._finish(task, outcome)
        return outcome.response

    async def _finish(self, task: Running, outcome: Outcome) -> None:
        status, body = outcome.response.status_code, bytes(outcome.response.body)
        try:
            await self.replies.finish(task.account.result(), task.token, status, body, outcome.call_id)
        except Unavailable as refusal:
            # Whoever polls is told that the task was lost, as soon as the database answers again.
            log.warning("the reply of a task could not be kept", task=task.id, reason=refusal.message)

    async def poll(self, account_id: int, task_id: str) -> Reply | None:
        """The reply of a task, None while it runs. Raises `NotFound`, for somebody else's task too."""
        token = TASK + task_id
        kept = await self.replies.find(account_id, token)
        lost_ms = now_ms() - round((self.settings.recognition_timeout_seconds + GRACE_SECONDS) * 1000)
        if kept is not None and kept.body is None and kept.created_ms < lost_ms:
            # Its server was killed. From now on it cannot be charged either: the journal finds this reply
            # first.
            await self.replies.finish(account_id, token, LOST, b"")
        return await self.replies.poll(account_id, token)

    async def stop(self) -> None:
        """Waits for the calls that nobody waits for."""
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _call(
        self,
        dialect: Dialect,
        ask: Ask,
        attempt: Attempt,
        parse: Parse,
        render: Render,
        accepted: Accepted | None = None,
    ) -> Outcome:
        try:
            types = Types(await self.pipeline.prices.all(), self.pipeline.engine.kinds)

            def understand() -> Request:
                request = parse(types)
                ask.kind = request.task.kind
                return replace(request, task=replace(request.task, limits=self.limits))

            with self.metrics.stage("call"):
                reply = await self.pipeline.run(attempt, understand, render, accepted)
        except Refused as refused:
            response = self.refuse(dialect, ask, refused.refusal, refused.receipt)
            return Outcome(response, refused.receipt.call_id)
        except Refusal as refusal:
            return Outcome(self.refuse(dialect, ask, refusal))
        self.metrics.count(dialect.name, ask.kind, "replayed" if reply.replayed else "answered")
        call_id = None if reply.receipt is None else reply.receipt.call_id
        return Outcome(
            Response(reply.body, reply.status, media_type=dialect.media_type), call_id, reply.replayed
        )

    def attempt(self, dialect: Dialect, ask: Ask, key: str | None) -> Attempt:
        request_sha256 = fingerprint(ask.path, ask.body.data) if ask.token else b""
        return Attempt(
            dialect.name, key, ask.address, ask.trace_id, dialect.status_of, ask.token, request_sha256
        )

    def refuse(
        self, dialect: Dialect, ask: Ask, refusal: Refusal, receipt: Receipt | None = None
    ) -> Response:
        """The reply to a call that is refused."""
        self.metrics.count_refusal(dialect.name, ask.kind, refusal)
        return Response(
            dialect.failure(refusal, ask, receipt),
            dialect.status_of(refusal),
            refusal_headers(refusal),
            dialect.refusal_type or dialect.media_type,
        )

    async def turn_down(
        self, dialect: Dialect, ask: Ask, keys: Iterable[str | None], refusal: Refusal
    ) -> Response:
        """A request that can only be refused: in the log when one of the `keys` that came with it is known,
        and the same "no" when not."""
        key = await self._known(keys)
        # Whatever was answered under this idempotency key before: it is another request.
        ask.token = None

        try:
            await self.pipeline.refuse(self.attempt(dialect, ask, key), refusal)
        except Refused as refused:
            return self.refuse(dialect, ask, refused.refusal, refused.receipt)
        except Refusal:
            pass  # nobody is known, or the log is down: the "no" is the same
        return self.refuse(dialect, ask, refusal)

    async def _known(self, keys: Iterable[str | None]) -> str | None:
        """The first key that has a caller."""
        for key in filter(None, keys):
            try:
                await self.pipeline.keys.identify(key)
            except Refusal:
                continue
            return key
        return None
