"""One call, from who asks to the committed answer. Read this first: everything else hangs from it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from legible.accounts import Caller
from legible.engine import Engine
from legible.errors import Broken, InDoubt, InvalidField, RecognitionFailed, Refusal, TimedOut
from legible.journal import Draft, Journal, Receipt, Render, Reply, ReplyExists, StoredReplies
from legible.kept_images import KeptImages
from legible.keys import KeyRing
from legible.prices import PriceList
from legible.rate_limit import RateLimiter
from legible.tasks import Answer, Task

log = structlog.get_logger()

Accepted = Callable[[Caller], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a dialect knows of a request before it has understood the body.

    `token` is the name under which a charged reply is kept for 24 hours ("idempotency:<key>" or "task:<id>"),
    and `request_sha256` what the body must hash to for a replay; `task` is a second name for it, when an
    idempotent call is also polled for. `status` tells a refusal's HTTP status.
    """

    dialect: str
    key: str | None
    address: str
    trace_id: str
    status: Callable[[Refusal], int]
    token: str | None = None
    request_sha256: bytes = b""
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A body that was understood: the task, the row of the price list that it is charged by, and what the
    dialect calls the parts of the task that have another name there."""

    task: Task
    type_id: int
    names: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818
    """A refusal with the receipt of its row in the call log."""

    def __init__(self, refusal: Refusal, receipt: Receipt) -> None:
        super().__init__(refusal.message)
        self.refusal, self.receipt = refusal, receipt


class Pipeline:
    """The whole road of a call."""

    def __init__(
        self,
        keys: KeyRing,
        limiter: RateLimiter,
        prices: PriceList,
        replies: StoredReplies,
        engine: Engine,
        journal: Journal,
        images: KeptImages,
        timeout_seconds: float,
    ) -> None:
        self.keys, self.limiter, self.prices, self.replies = keys, limiter, prices, replies
        self.engine, self.journal, self.images = engine, journal, images
        self.timeout_seconds = timeout_seconds

    async def run(
        self, attempt: Attempt, parse: Callable[[], Request], render: Render, accepted: Accepted | None = None
    ) -> Reply:
        """The committed reply. `parse` understands the body or raises `BadRequest`, `render` writes it.

        `accepted` hears of a call that has passed every check, before the recognition starts.
        Raises `Refused` for a "no" that is in the call log, and a bare refusal for one that cannot be:
        `Unauthenticated` when nobody is known to log it for, `Unavailable` when the log itself is down,
        `InDoubt` when the log may already have it as answered.
        """
        caller = await self.keys.identify(attempt.key)
        draft = _draft(attempt, caller)
        try:
            return await self._answer(attempt, caller, draft, parse, render, accepted)
        except ReplyExists as exists:
            await self.journal.replay(draft, exists.reply)
            return exists.reply
        except InDoubt:
            raise
        except Refusal as refusal:
            raise Refused(refusal, await self._refuse(draft, refusal, attempt)) from None
        except Exception:
            log.exception("a call broke", trace_id=attempt.trace_id)
            raise Refused(Broken(), await self._refuse(draft, Broken(), attempt)) from None

    async def refuse(self, attempt: Attempt, refusal: Refusal) -> NoReturn:
        """Logs a request that can only be refused, which the rate limit of recognitions does not count.

        Raises as `run` does; a key that may not call is refused for that.
        """
        caller = await self.keys.identify(attempt.key)
        try:
            caller.check(attempt.address)
        except Refusal as first:
            refusal = first
        raise Refused(refusal, await self._refuse(_draft(attempt, caller), refusal, attempt))

    async def _answer(
        self,
        attempt: Attempt,
        caller: Caller,
        draft: Draft,
        parse: Callable[[], Request],
        render: Render,
        accepted: Accepted | None,
    ) -> Reply:
        caller.check(attempt.address)
        await self.limiter.check(caller)
        if attempt.token:
            await self.replies.raise_if_stored(caller, attempt.token, attempt.request_sha256)
        request = parse()
        caller.check_kind(request.task.kind)
        draft.request, draft.images = (request.task.kind, request.type_id), request.task.images
        price = await self.prices.price(request.type_id)
        await self.keys.check_credit(caller, price)
        if accepted is not None:
            await accepted(caller)
        answer = await self._recognize(request)
        caller.check_sure(answer.confidence)
        reply = await self.journal.charge(
            draft, answer, price, render, attempt.token, attempt.request_sha256, attempt.task
        )
        await self._keep_images(draft, reply.receipt)
        return reply

    async def _recognize(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await self.engine.recognize(request.task)
        except InvalidField as refusal:
            raise refusal.in_words(request.names) from None
        except TimeoutError:
            raise TimedOut(seconds=self.timeout_seconds) from None

    async def _refuse(self, draft: Draft, refusal: Refusal, attempt: Attempt) -> Receipt:
        receipt = await self.journal.refuse(draft, refusal, attempt.status(refusal))
        if isinstance(refusal, RecognitionFailed):
            await self._keep_images(draft, receipt)
        return receipt

    async def _keep_images(self, draft: Draft, receipt: Receipt | None) -> None:
        if draft.caller.keeps_images and receipt is not None:
            await self.images.keep(draft.caller.account_id, receipt.call_id, draft.images)


def _draft(attempt: Attempt, caller: Caller) -> Draft:
    return Draft(attempt.dialect, attempt.trace_id, attempt.address, caller, time.time_ns() // 1_000_000)
