"""What Prometheus reads at /metrics: calls and outcomes, seconds by stage, queues, groups, and what is run.

docs/operations.md names them all; a test compares.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from functools import cache
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp

from legible.db.book import BooksDisagree
from legible.db.session import Database
from legible.engine import Engine
from legible.errors import InsufficientCredit, Refusal
from legible.journal import Draft, Journal, Render, Reply, Waiting
from legible.model_store import ModelFile
from legible.tasks import Answer, Kind, Task

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
GROUPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

__all__ = ["CONTENT_TYPE", "Metrics", "TimedEngine", "TimedJournal"]


class Metrics:
    """The counters of one server; each has a registry of its own, so that several can live in one process.

    `spans` is what makes a span of each request, where that is wanted.
    """

    spans: Callable[[ASGIApp], ASGIApp] | None = None

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._calls = Counter(
            "legible_calls",
            "Calls, answered or refused.",
            ["kind", "dialect", "outcome"],
            registry=self.registry,
        )
        stages = Histogram(
            "legible_stage_seconds",
            "Seconds by stage of a call.",
            ["stage"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        # Kept, since every call times four: finding the one of a name takes longer than the timing.
        self._stage = cache(stages.labels)
        self._queues = Gauge(
            "legible_queue_depth",
            "Calls that wait or are worked on: for a recognizer, or for the commit.",
            ["queue"],
            registry=self.registry,
        )
        self.recognitions = self._queues.labels("recognition")
        self.group_size = Histogram(
            "legible_commit_group_size",
            "Calls that were written in one transaction.",
            buckets=GROUPS,
            registry=self.registry,
        )
        self._balance_failures = Counter(
            "legible_balance_failures",
            "Calls that a balance (balance) or a key's cap (spend_cap) did not cover; "
            "guard: the books disagreed, which is a bug.",
            ["reason"],
            registry=self.registry,
        )
        for reason in ("balance", "spend_cap", "guard"):
            self._balance_failures.labels(reason)
        build = Gauge("legible_build_info", "1, for the version.", ["version"], registry=self.registry)
        build.labels(version("legible")).set(1)
        self._models = Gauge(
            "legible_model_info", "1, for each model.", ["model", "version"], registry=self.registry
        )

    def watch(self, queue: str, depth: Callable[[], int]) -> None:
        """`depth` is asked for whenever Prometheus reads."""
        self._queues.labels(queue).set_function(depth)

    def run_models(self, models: Collection[ModelFile]) -> None:
        """Which weights are run: the version is what their SHA-256 begins with."""
        for model in models:
            self._models.labels(model.name, model.sha256[:12]).set(1)

    def count(self, dialect: str, kind: Kind | None, outcome: str) -> None:
        """One call; `outcome` is "answered", "replayed", or the code of the refusal."""
        self._calls.labels(kind or "unknown", dialect, outcome).inc()

    def count_refusal(self, dialect: str, kind: Kind | None, refusal: Refusal) -> None:
        self.count(dialect, kind, refusal.code)
        if isinstance(refusal, InsufficientCredit):
            self.count_balance_failure("spend_cap" if refusal.spend_cap else "balance")

    def count_balance_failure(self, reason: str) -> None:
        self._balance_failures.labels(reason).inc()

    def stage(self, name: str) -> AbstractContextManager[object]:
        """Times the block, whether it ends well or not."""
        return self._stage(name).time()

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    def close(self) -> None:
        """What is not told yet is told now."""


class TimedEngine:
    """An engine whose recognitions, their time in the queue included, are the stage "recognize"."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self.engine, self.metrics = engine, metrics

    @property
    def kinds(self) -> frozenset[Kind]:
        return self.engine.kinds

    async def recognize(self, task: Task) -> Answer:
        with self.metrics.stage("recognize"), self.metrics.recognitions.track_inprogress():
            return await self.engine.recognize(task)

    async def start(self) -> None:
        await self.engine.start()

    async def stop(self) -> None:
        await self.engine.stop()


class TimedJournal(Journal):
    """A journal whose commits of answered calls are the stage "commit"."""

    def __init__(self, database: Database, metrics: Metrics, group_size: int, retention_hours: int) -> None:
        super().__init__(database, group_size, retention_hours)
        self.metrics = metrics
        metrics.watch("commit", self._queue.qsize)

    def _write(self, group: Sequence[Waiting]) -> list[tuple[Waiting, object]]:
        self.metrics.group_size.observe(len(group))
        try:
            return super()._write(group)
        except BooksDisagree:
            self.metrics.count_balance_failure("guard")
            raise

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
        with self.metrics.stage("commit"):
            return await super().charge(draft, answer, price_micros, render, token, request_sha256, task)
