"""SIGTERM in the middle of load: what was begun is answered and charged, or refused; a clean exit."""

import base64
import io
import json
import signal
import socket
import threading
import time
from contextlib import suppress

import httpx
import pytest
from PIL import Image

from legible.cli.serve import SAMPLE_PICTURE
from legible.db.session import Database
from tests.commands import serving
from tests.faults.conftest import Extent, Note, account_with_key
from tests.faults.load import CLIENTS, Load, answered_rows, assert_nothing_lost, assert_paid_once
from tests.money import charged
from tests.test_metrics import sample

BOUND_SECONDS = 30
CALLERS = 24


@pytest.mark.timeout(3600)
def test_a_stop_lets_calls_finish(
    database: Database, database_url: str, key: str, extent: Extent, note: Note, tmp_path
) -> None:
    longest, everything, stops = 0.0, Load("", key), max(1, extent.rounds // 5)
    for _ in range(stops):
        with serving("--database", database_url, folder=tmp_path) as server:
            with Load(server.url, key) as load:
                load.wait_for(10)
                began = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait(BOUND_SECONDS) == 0
            longest = max(longest, time.monotonic() - began)
        assert len(load.interrupted) == CLIENTS
        everything.answered |= load.answered
        everything.refused += load.refused
        everything.tasks |= load.tasks
        everything.interrupted += load.interrupted
    unheard = answered_rows(database) - set(everything.answered.values())
    # A task goes on when its client's connection is closed, and is there to be polled; an answer is heard.
    tasks = stored_traces(database)
    assert unheard <= tasks
    assert_nothing_lost(database, database_url, everything, tmp_path)
    with serving("--database", database_url, folder=tmp_path) as server:
        everything.settle(server.url)
    assert_paid_once(database, everything)
    note(f"{stops} stops, each exit 0 within {longest:.1f} s; {len(unheard)} tasks left to be polled")


def stored_traces(database: Database) -> set[str]:
    """The answers that are kept for a task, by trace id."""
    return {trace_id for trace_id in answered_rows(database) if not trace_id.startswith("LOG")}


def test_what_waits_for_a_recognizer_is_answered_before_a_stop(sqlite_url: str, tmp_path) -> None:
    database = Database(sqlite_url)
    headers = {"X-API-Key": account_with_key(database)}
    body = json.dumps({"image": base64.b64encode(large_picture()).decode(), "type": 50200})
    statuses: list[int] = []

    def call() -> None:
        with suppress(httpx.TransportError):  # of what was not sent yet when the port was closed
            statuses.append(client.post("/api/v1/captcha.php", content=body).status_code)

    with (
        serving("--database", sqlite_url, folder=tmp_path, LEGIBLE_WORKERS="1") as server,
        httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False) as client,
    ):
        callers = [threading.Thread(target=call) for _ in range(CALLERS)]
        for each in callers:
            each.start()
        deadline, heard = time.monotonic() + 60, 0
        while (waiting := queued(server.url)) < CALLERS // 2:
            assert time.monotonic() < deadline, f"{waiting} wait: the picture is too easy"
            heard = len(statuses)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(BOUND_SECONDS) == 0
        for each in callers:
            each.join()
    assert len(statuses) >= heard + waiting
    assert set(statuses) == {200}
    assert charged(database) == len(statuses)
    database.close()


def large_picture() -> bytes:
    """One that takes its time."""
    target = io.BytesIO()
    Image.open(SAMPLE_PICTURE).resize((3200, 850)).save(target, "PNG")
    return target.getvalue()


def queued(url: str) -> int:
    """How many calls wait for a recognizer, or are with it."""
    metrics = httpx.get(f"{url}/metrics", timeout=60, trust_env=False).text
    return int(sample(metrics, 'legible_queue_depth{queue="recognition"}'))


def test_a_request_that_never_ends_does_not_hold_up_a_stop(tmp_path) -> None:
    with serving("--data", tmp_path, folder=tmp_path, LEGIBLE_RECOGNITION_TIMEOUT_SECONDS="2") as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as half:
            half.sendall(b"POST /v1/recognitions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(BOUND_SECONDS) == 0
