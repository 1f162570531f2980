"""The way to recognizers elsewhere: tasks go in batches, and again when whoever had them is gone."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from legible.errors import Refusal, Unavailable
from legible.tasks import Answer, Task

# What Ray costs a call, about 3 ms of CPU on both sides, is shared by the tasks of a batch (docs/scale.md).
BATCH = 8
# Calls of one kind that are under way. What comes beyond waits, and so gathers into batches without a timer.
UNDER_WAY = 32
TRIES = 6
PAUSE_SECONDS = 0.2  # after the first loss, and twice as long after each
Outcome = Answer | Refusal | BaseException
Call = Callable[[Sequence[Task]], Awaitable[Sequence[Outcome]]]


class Lost(Exception):  # noqa: N818
    """A call that was not answered: its node, its process or the way to it is gone."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A task that nobody has answered yet. Once it was lost it is sent alone: it may be what kills."""

    task: Task
    is_suspect: bool = False
    deaths: int = 0
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, outcome: Outcome) -> None:
        if self.answer.done():
            return  # the caller has hung up
        if isinstance(outcome, BaseException):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class Lane:
    """The way to the recognizers of one kind: `call` asks any of them, or raises `Lost`.

    Recognizing is free of side effects, so that asking twice does no harm; money is the journal's.
    """

    def __init__(self, call: Call, patience_seconds: float) -> None:
        self.call, self.patience_seconds = call, patience_seconds
        self._waiting: deque[Waiting] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    async def recognize(self, task: Task) -> Answer:
        """The answer, within the time limit that the caller sets."""
        waiting = Waiting(task)
        self._waiting.append(waiting)
        if len(self._senders) < UNDER_WAY:
            # It begins in the next turn of the event loop: what arrives in this turn goes with it.
            sender = asyncio.create_task(self._send())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await waiting.answer

    async def stop(self) -> None:
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    async def _send(self) -> None:
        while batch := self._next_batch():
            try:
                async with asyncio.timeout(self.patience_seconds):
                    outcomes = await self.call([each.task for each in batch])
            except TimeoutError:
                self._again(batch)
            except Lost:
                # The cluster needs a moment to notice what is gone.
                await asyncio.sleep(PAUSE_SECONDS * 2 ** batch[0].deaths)
                for each in batch:
                    each.deaths += 1
                self._again(batch)
            except Exception as error:
                for each in batch:
                    each.settle(error)
            else:
                for each, outcome in zip(batch, outcomes, strict=True):
                    each.settle(outcome)

    def _next_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        while self._waiting and len(batch) < BATCH:
            if batch and self._waiting[0].is_suspect:
                break
            each = self._waiting.popleft()
            if each.answer.done():
                continue  # nobody waits for it any more
            batch.append(each)
            if each.is_suspect:
                break
        return batch

    def _again(self, batch: Sequence[Waiting]) -> None:
        """Back to the head of the queue."""
        for each in reversed(batch):
            each.is_suspect = True
            if each.deaths < TRIES:
                self._waiting.appendleft(each)
            else:
                each.settle(Unavailable("the recognition was lost several times; nothing was charged"))
