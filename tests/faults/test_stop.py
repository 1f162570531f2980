"""SIGTERM in the middle of load: what was begun is answered and charged, or refused; a clean exit."""

import signal
import socket
import time

import pytest

from legible.db.session import Database
from tests.commands import serving
from tests.faults.conftest import Extent, Note
from tests.faults.load import CLIENTS, Load, answered_rows, assert_nothing_lost, assert_paid_once

BOUND_SECONDS = 30


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


def test_a_request_that_never_ends_does_not_hold_up_a_stop(tmp_path) -> None:
    with serving("--data", tmp_path, folder=tmp_path, LEGIBLE_RECOGNITION_TIMEOUT_SECONDS="2") as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as half:
            half.sendall(b"POST /v1/recognitions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(BOUND_SECONDS) == 0
