"""A span of OpenTelemetry for each request, with the stages of its call: for those who set a collector."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from legible.logs import hide_keys
from legible.metrics import Metrics
from legible.tasks import Kind


class TracedMetrics(Metrics):
    """Tells what is measured to the span of the request too. A task that outlives its request has none."""

    def __init__(self, url: str) -> None:
        super().__init__()
        about = Resource.create({"service.name": "legible", "service.version": version("legible")})
        self.provider = TracerProvider(resource=about)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self.tracer = self.provider.get_tracer("legible")
        self.spans = partial(Spans, tracer=self.tracer)

    def count(self, dialect: str, kind: Kind | None, outcome: str) -> None:
        super().count(dialect, kind, outcome)
        span = get_current_span()
        if span.is_recording():
            said = {"dialect": dialect, "kind": kind or "unknown", "outcome": outcome}
            span.set_attributes({f"legible.{name}": str(value) for name, value in said.items()})

    def stage(self, name: str) -> AbstractContextManager[object]:
        timed = super().stage(name)
        return self._span(name, timed) if get_current_span().is_recording() else timed

    @contextmanager
    def _span(self, name: str, timed: AbstractContextManager[object]) -> Iterator[None]:
        with timed, self.tracer.start_as_current_span(name):
            yield

    def close(self) -> None:
        self.provider.shutdown()


class Spans:
    """One span for each request (plain ASGI), part of the caller's trace when `traceparent` says so."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self.app, self.tracer = app, tracer
        self.propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        about = {"http.request.method": scope["method"], "url.path": hide_keys(scope["path"])}
        with self.tracer.start_as_current_span(
            scope["method"], self.propagator.extract(headers), SpanKind.SERVER, about
        ) as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    span.set_attribute("legible.trace_id", scope["state"]["trace_id"])
                await send(message)

            await self.app(scope, receive, send_noted)
