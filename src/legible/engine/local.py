"""Recognizers in threads of this process: as many as cores, each taking the next task that waits."""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from legible.errors import NotAvailable, Unavailable
from legible.tasks import Answer, Kind, Task

Recognizer = Callable[[Task], Answer]


class LocalEngine:
    """`workers` threads (0: one a core); at most `queue_limit` tasks wait for one of them.

    `warm_up` holds what loads the models, so that `start` can do it before the first call.
    """

    def __init__(
        self,
        recognizers: Mapping[Kind, Recognizer],
        workers: int = 0,
        queue_limit: int = 256,
        warm_up: tuple[Callable[[], object], ...] = (),
    ) -> None:
        self.recognizers, self.warm_up = dict(recognizers), warm_up
        self.workers = workers or os.cpu_count() or 1
        self.capacity = self.workers + queue_limit
        self.pending = 0
        self._counting = threading.Lock()
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="recognizer")

    @property
    def kinds(self) -> frozenset[Kind]:
        return frozenset(self.recognizers)

    async def recognize(self, task: Task) -> Answer:
        recognizer = self.recognizers.get(task.kind)
        if recognizer is None:
            raise NotAvailable(
                f"recognizing {task.kind} is not available yet; allowed: {', '.join(sorted(self.kinds))}"
            )
        if self.pending >= self.capacity:
            raise Unavailable(f"{self.pending} recognitions are waiting already; try again in a moment")
        with self._counting:
            self.pending += 1
        future = self._threads.submit(recognizer, task)
        future.add_done_callback(self._done)
        # A caller who hangs up takes the task out of the queue; one that was begun counts to its end.
        return await asyncio.wrap_future(future)

    def _done(self, _: Future[Answer]) -> None:
        with self._counting:
            self.pending -= 1

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._threads, each) for each in self.warm_up))

    async def stop(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
