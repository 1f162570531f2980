"""What Prometheus reads at /metrics: calls by kind, dialect and outcome,
and the seconds that each stage took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest

from legible.db.session import Database
from legible.engine import Engine
from legible.journal import Draft, Journal, Render, Reply
from legible.tasks import Answer, Kind, Task

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)

__all__ = ["CONTENT_TYPE", "Metrics", "TimedEngine", "TimedJournal"]


class Metrics:
    """The counters of one server; each has a registry of its own, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._calls = Counter(
            "legible_calls",
            "Calls, answered or refused.",
            ["kind", "dialect", "outcome"],
            registry=self.registry,
        )
        self._stages = Histogram(
            "legible_stage_seconds",
            "Seconds by stage of a call.",
            ["stage"],
            buckets=BUCKETS,
            registry=self.registry,
        )

    def count(self, dialect: str, kind: Kind | None, outcome: str) -> None:
        """One call; `outcome` is "answered", "replayed", or the code of the refusal."""
        self._calls.labels(kind or "unknown", dialect, outcome).inc()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block, whether it ends well or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._stages.labels(name).observe(time.perf_counter() - started)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)


class TimedEngine:
    """An engine whose recognitions, their time in the queue included, are the stage "recognize"."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self.engine, self.metrics = engine, metrics

    @property
    def kinds(self) -> frozenset[Kind]:
        return self.engine.kinds

    async def recognize(self, task: Task) -> Answer:
        with self.metrics.stage("recognize"):
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
