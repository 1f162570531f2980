"""Connections that are slow, too many or too talkative, and good ones beside them."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.commands import Serving, serving

MOST = 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """It waits 1.5 seconds for a request."""
    with waiting("1.5", tmp_path_factory.mktemp("door")) as server:
        yield server


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """For requests that are to arrive, on a machine that may stand still for a while."""
    with waiting("20", tmp_path_factory.mktemp("patient")) as server:
        yield server


def waiting(seconds: str, folder: Path) -> AbstractContextManager[Serving]:
    settings = {"LEGIBLE_MAX_CONNECTIONS": str(MOST), "LEGIBLE_REQUEST_SECONDS": seconds}
    return serving("--data", folder, folder=folder, **settings)


def connect(server: Serving) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def heard(connection: socket.socket) -> bytes:
    """All that the server says until it hangs up."""
    said = b""
    while chunk := connection.recv(65_536):
        said += chunk
    return said


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n",
        b"POST /v1/recognitions HTTP/1.1\r\ncontent-length: 9\r\n\r\n{",
    ],
)
def test_a_request_that_does_not_arrive_in_time_is_told_so(server: Serving, start: bytes) -> None:
    with connect(server) as slow:
        slow.sendall(start)
        said = heard(slow)
    assert said.partition(b"\r\n")[0] == (b"HTTP/1.1 408 Request Timeout" if start else b"")


def test_dripping_in_does_not_buy_time(server: Serving) -> None:
    began = time.monotonic()
    with connect(server) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nx-slow: ")
        try:
            while time.monotonic() < began + 15:
                slow.sendall(b"a")
                time.sleep(0.1)
        except OSError:
            return
    pytest.fail("a header of one byte at a time was let in for 15 seconds")


def test_a_connection_may_ask_again_after_a_reply(server: Serving) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        for _ in range(6):
            assert client.get("/healthz").status_code == 200
            time.sleep(0.35)


def test_the_oldest_that_has_not_asked_makes_room(patient: Serving) -> None:
    slow = [connect(patient) for _ in range(MOST)]
    try:
        for each in slow:
            each.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert httpx.get(f"{patient.url}/healthz", trust_env=False, timeout=20).status_code == 200
        assert heard(slow[0]).startswith(b"HTTP/1.1 503")
    finally:
        for each in slow:
            each.close()


def test_headers_without_end_are_refused(server: Serving) -> None:
    with connect(server) as talker:
        talker.sendall(b"GET /healthz HTTP/1.1\r\n")
        try:
            for number in range(2000):
                talker.sendall(b"x-%d: " % number + b"a" * 1000 + b"\r\n")
            said = heard(talker)
        except OSError:
            return  # it hung up while we were talking
    assert said.startswith(b"HTTP/1.1 431")


HEAD = b"POST /api/v1/captcha.php HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nContent-Length: %d\r\n"


@pytest.mark.parametrize("offer", [b"Upgrade: TLS/1.2\r\n", b"UPGRADE:h2c\r\n", b"Upgrade: websocket\r\n"])
@pytest.mark.parametrize("step", [1, 7, 10_000], ids=lambda step: f"{step}-bytes")
def test_an_offer_of_another_protocol_is_passed_over_however_it_arrives(
    patient: Serving, offer: bytes, step: int
) -> None:
    """As Apache's HttpClient 5.4 offers TLS with each call, and Java's own HTTP/2."""
    body = json.dumps({"image": "", "type": 50200, "api_key": "lg_unknown"}).encode()
    call = HEAD % len(body) + offer + b"\r\n" + body
    with connect(patient) as connection:
        for _ in range(2):
            for at in range(0, len(call), step):
                connection.sendall(call[at : at + step])
                time.sleep(0.001)
            said = b""
            # All of it, so that the next one begins where this one ends.
            while not (b"API" in said and said.endswith(b"}")) and (chunk := connection.recv(65_536)):
                said += chunk
            assert said.startswith(b"HTTP/1.1 401")
            assert said.endswith(b"}")


def test_who_is_done_with_writing_is_still_answered(server: Serving) -> None:
    """As `nc -N` asks: half of the connection is closed (RFC 9293, 3.6) while the reply is awaited."""
    with connect(server) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        said = heard(connection)
    assert said.count(b'"status":"ready"') == 2
    with connect(server) as connection:
        connection.sendall(b"POST /v1/recognitions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        connection.shutdown(socket.SHUT_WR)
        assert heard(connection) == b""  # what is cut short has no answer
