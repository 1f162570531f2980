"""Where a recognizer runs. One small interface; `local` runs it in this process, `ray` on a cluster."""

from typing import Protocol

from legible.tasks import Answer, Kind, Task


class Engine(Protocol):
    """Runs recognizers. A refusal of the recognizer comes back as the `Refusal` it raised."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds that have a recognizer."""
        ...

    async def recognize(self, task: Task) -> Answer:
        """The answer; raises `NotAvailable` for a kind without a recognizer,
        `Unavailable` when the queue is full."""
        ...

    async def start(self) -> None:
        """Loads the models, so that the first call is as fast as the second."""
        ...

    async def stop(self) -> None: ...
