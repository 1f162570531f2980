"""Spans reach a collector, with the stages of a call and nothing secret; without one, nothing is loaded."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from legible.errors import RecognitionFailed
from tests.dialects.voices import Voice
from tests.service import running

PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans: list[Span] = []
        self.raw = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.raw += (body := self.rfile.read(int(self.headers["content-length"])))
        sent = ExportTraceServiceRequest.FromString(body)
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def attributes(span: Span) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_a_call_is_a_span_with_its_stages(
    collector: Collector, sqlite_url: str, voice: Voice, picture: str
) -> None:
    with running(sqlite_url, {}, otlp_url=collector.url) as service:
        headers = {"traceparent": f"00-{PARENT[0]}-{PARENT[1]}-01"}
        replies = [voice.ask(service.client, service.key, voice.body(picture), **headers)]
        service.reads.error = RecognitionFailed("nothing was read")
        replies.append(voice.ask(service.client, service.key, voice.body(picture)))
        key = service.key
    # Stopping the service has sent what it still held.
    calls = {attributes(span)["legible.trace_id"]: span for span in collector.spans if span.kind == 2}
    answered, refused = (calls[voice.trace(reply)] for reply in replies)
    said = attributes(answered)
    assert (said["legible.dialect"], said["legible.kind"]) == (voice.name, "text")
    assert (said["legible.outcome"], said["http.response.status_code"]) == ("answered", 200)
    assert (said["http.request.method"], said["url.path"]) == ("POST", voice.path)
    assert attributes(refused)["legible.outcome"] == "recognition_failed"
    assert (answered.trace_id.hex(), answered.parent_span_id.hex()) == PARENT
    within = [span for span in collector.spans if span.trace_id == answered.trace_id]
    assert {span.name for span in within} == {"POST", "read", "call", "recognize", "commit"}
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in within)
    assert key.encode() not in collector.raw
    assert picture[:40].encode() not in collector.raw


def test_a_collector_that_is_away_costs_no_call(sqlite_url: str, voice: Voice, picture: str) -> None:
    with running(sqlite_url, {}, otlp_url="http://127.0.0.1:1/v1/traces") as service:
        assert voice.ask(service.client, service.key, voice.body(picture)).status_code == 200


def test_without_a_collector_nothing_of_it_is_loaded() -> None:
    # Its interface alone comes with other libraries, which do nothing with it then.
    code = "import sys, legible.app; print([name for name in sys.modules if 'opentelemetry.sdk' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
