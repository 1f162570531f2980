"""Thousands of connections that never finish a request: dropped, while good calls go on."""

import asyncio
import os
import resource
import threading
import time
from dataclasses import dataclass, field

import httpx
import pytest

from legible.db.session import Database
from tests.commands import run, serving
from tests.faults.conftest import Extent, Note, account_with_key
from tests.faults.load import BODY
from tests.money import charged

MOST = 500
REQUEST_SECONDS = 3
GOOD_CALLS = 20
LONGEST_SECONDS = 120
OWN_FILES = 500
BEGUN = (
    b"POST /v1/recognitions HTTP/1.1\r\nhost: x\r\nx-slow: ",
    b'POST /v1/recognitions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"',
)


@dataclass
class SlowClients:
    """Each begins a request and adds a byte every second, until the server hangs up; to a header, or to a
    body."""

    host: str
    port: int
    number: int
    opened: int = 0
    dropped: int = 0
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(200))

    def run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        async with asyncio.timeout(LONGEST_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(self.number):
                group.create_task(self._one())

    async def _one(self) -> None:
        try:
            async with self._gate:
                reader, writer = await asyncio.open_connection(self.host, self.port)
            self.opened += 1
            writer.write(BEGUN[self.opened % 2])
            while not await self._hung_up(reader):
                writer.write(b"a")
            writer.close()
        except OSError:
            pass  # reset, which is as good
        self.dropped += 1

    async def _hung_up(self, reader: asyncio.StreamReader) -> bool:
        try:
            return bool(await asyncio.wait_for(reader.read(), 1)) or reader.at_eof()
        except TimeoutError:
            return False


@pytest.mark.timeout(600)
def test_good_calls_go_on_beside_connections_that_never_finish(
    sqlite_url: str, extent: Extent, note: Note, tmp_path
) -> None:
    database = Database(sqlite_url)
    key = account_with_key(database)
    files, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    settings = {"LEGIBLE_MAX_CONNECTIONS": str(MOST), "LEGIBLE_REQUEST_SECONDS": str(REQUEST_SECONDS)}
    try:
        with serving("--database", sqlite_url, folder=tmp_path, **settings) as server:
            host, _, port = server.url.removeprefix("http://").partition(":")
            slow = SlowClients(host, int(port), min(extent.connections, most_files - OWN_FILES))
            attack = threading.Thread(target=slow.run)
            attack.start()
            waits, most_open = [], 0
            while attack.is_alive() or len(waits) < GOOD_CALLS:
                waits.append(good_call(server.url, key))
                most_open = max(most_open, len(os.listdir(f"/proc/{server.process.pid}/fd")))
                time.sleep(0.05)
            attack.join()
            assert server.process.poll() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most_files))
    assert 0 < slow.opened <= slow.dropped == slow.number
    assert most_open < MOST + 128
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert charged(database) == len(waits)
    checked = run("ledger", "check", "--database", sqlite_url, folder=tmp_path)
    assert (checked.code, "Everything adds up" in checked.out) == (0, True), checked
    database.close()
    waits.sort()
    median_ms = waits[len(waits) // 2] * 1000
    note(
        f"{slow.opened} slow connections, all dropped; at most {most_open} open files; {len(waits)} calls, "
        f"each on a connection of its own, all answered, median {median_ms:.0f} ms, longest {waits[-1]:.1f} s"
    )


def good_call(url: str, key: str) -> float:
    """On a connection of its own; the seconds that it took."""
    began = time.monotonic()
    reply = httpx.post(
        f"{url}/api/v1/captcha.php", json=BODY, headers={"X-API-Key": key}, timeout=60, trust_env=False
    )
    assert reply.status_code == 200, reply.text
    return time.monotonic() - began
