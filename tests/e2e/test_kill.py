"""The server is killed in the middle of load: the sums hold, and nobody paid twice or for nothing."""

import base64
import itertools
import threading
import uuid
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import select

from legible.accounts import Accounts
from legible.cli.serve import SAMPLE_PICTURE
from legible.db.session import Database
from legible.db.tables import Call
from legible.keys import KeyRing, KeyRules
from tests.commands import serving
from tests.money import assert_books_balance, charged

CLIENTS = 8
BODY = {"image": base64.b64encode(SAMPLE_PICTURE.read_bytes()).decode(), "type": 50200}


class Load:
    """Clients that call until the server is gone; each request has an idempotency key of its own."""

    def __init__(self, url: str, key: str, enough: int) -> None:
        self.url, self.key, self.enough = url, key, enough
        self.answered: dict[str, str] = {}  # log id by idempotency key
        self.interrupted: list[str] = []
        self.is_enough = threading.Event()
        self._tokens: Iterator[str] = (f"{uuid.uuid4()}" for _ in itertools.count())
        self._lock = threading.Lock()

    def client(self) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            while True:
                with self._lock:
                    token = next(self._tokens)
                try:
                    log_id = self.call(client, token)
                except httpx.TransportError:
                    self.interrupted.append(token)
                    return
                self.answered[token] = log_id
                if len(self.answered) >= self.enough:
                    self.is_enough.set()

    def call(self, client: httpx.Client, token: str) -> str:
        headers = {"X-API-Key": self.key, "Idempotency-Key": token}
        reply = client.post("/api/v1/captcha.php", json=BODY, headers=headers)
        assert reply.status_code == 200, reply.text
        log_id: str = reply.json()["data"]["log_id"]
        return log_id

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self.client) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_charged_twice_when_the_server_is_killed(
    database: Database, database_url: str, tmp_path
) -> None:
    account = Accounts(database, 10**9).create("ana@example.com")
    key = KeyRing(database, 0).create(account.id, "load", KeyRules(rate_per_second=0)).secret
    with (
        serving("--database", database_url, folder=tmp_path) as server,
        Load(server.url, key, enough=40) as load,
    ):
        assert load.is_enough.wait(200)
        server.process.kill()
    assert len(load.interrupted) == CLIENTS
    rows = answered_rows(database)
    assert set(load.answered.values()) <= rows
    assert len(rows) - len(load.answered) <= CLIENTS
    assert charged(database) == len(rows)
    assert_books_balance(database)

    with (
        serving("--database", database_url, folder=tmp_path) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        # Who was interrupted asks again under the same key, and has paid once in the end.
        for token in load.interrupted:
            load.answered[token] = load.call(client, token)
    assert set(load.answered.values()) == answered_rows(database)
    assert charged(database) == len(load.answered)
    assert_books_balance(database)


def answered_rows(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(select(Call.log_id).where(Call.outcome == "answered")))
