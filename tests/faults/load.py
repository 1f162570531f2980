"""Clients that call until they are told to stop, and the checks of what they were told."""

import base64
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import select

from legible.cli.serve import SAMPLE_PICTURE
from legible.db.session import Database
from legible.db.tables import Call, StoredReply
from tests.commands import run
from tests.money import assert_books_balance, charged

CLIENTS = 8
IMAGE = base64.b64encode(SAMPLE_PICTURE.read_bytes()).decode()
BODY = {"image": IMAGE, "type": 50200}
TASK = "task"
# What a refusal says of the money, in the words of two dialects.
HONEST = ("nothing was charged", "未扣费", "not known yet", "暂时无法确认")


@dataclass
class Load:
    """Each request has an `Idempotency-Key` of its own; every other client works with tasks that it polls."""

    url: str
    key: str
    clients: int = CLIENTS
    pause_seconds: float = 0.0
    answered: dict[str, str] = field(default_factory=dict)  # by which id the log knows the answer, by key
    refused: list[tuple[str, int, str]] = field(default_factory=list)  # key, status, sentence
    interrupted: list[str] = field(default_factory=list)
    tasks: dict[str, str] = field(default_factory=dict)  # task id by idempotency key
    texts: set[str] = field(default_factory=set)  # what was read in the one picture that all calls show
    last_answer: float = 0.0  # monotonic

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._errors: list[BaseException] = []

    def __enter__(self) -> "Load":
        self._threads = [
            threading.Thread(target=self._client, args=(("call", TASK)[number % 2],))
            for number in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self._errors, self._errors

    def wait_for(self, answers: int, seconds: float = 200) -> None:
        """Until so many more calls were answered."""
        enough, deadline = len(self.answered) + answers, time.monotonic() + seconds
        while len(self.answered) < enough:
            assert time.monotonic() < deadline, f"{len(self.answered)} answers after {seconds} s"
            assert not self._errors, self._errors
            time.sleep(0.02)

    def outcomes(self) -> dict[int, int]:
        """How many refusals by HTTP status."""
        return dict(Counter(status for _, status, _ in self.refused))

    def connect(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=60)

    def _client(self, kind: str) -> None:
        try:
            with self.connect() as client:
                while not self._stop.is_set():
                    if not self.ask(client, f"{kind}-{uuid.uuid4()}"):
                        return
                    self._stop.wait(self.pause_seconds)
        except BaseException as error:
            self._errors.append(error)

    def ask(self, client: httpx.Client, token: str) -> bool:
        """One call, its outcome noted; False when the server is gone."""
        try:
            reply = (self._with_task if token.startswith(TASK) else self._call)(client, token)
        except httpx.TransportError:
            self.interrupted.append(token)
            return False
        body = reply.json()
        if reply.status_code == 200 and body.get("success", True):
            data = body.get("data", body)
            self.answered[token] = body.get("trace_id") or data["log_id"]
            self.texts.add(data.get("text") or data["result"])
            self.last_answer = time.monotonic()
        else:
            # Polling for the reply of a task is a success, whatever the reply is.
            is_ours = reply.status_code == 500 or body.get("error", {}).get("code") == "api_error"
            self.refused.append((token, 500 if is_ours else reply.status_code, reply.text))
        return True

    def _call(self, client: httpx.Client, token: str) -> httpx.Response:
        headers = {"X-API-Key": self.key, "Idempotency-Key": token}
        return client.post("/api/v1/captcha.php", json=BODY, headers=headers)

    def _with_task(self, client: httpx.Client, token: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}", "Idempotency-Key": token}
        body = {"image": IMAGE, "async": True}
        reply = client.post("/captcha/recognition/image2text", json=body, headers=headers)
        if reply.status_code != 200 or "task_id" not in reply.json():
            return reply
        self.tasks[token] = reply.json()["task_id"]
        return self.poll(client, self.tasks[token])

    def poll(self, client: httpx.Client, task_id: str) -> httpx.Response:
        """The reply of the task, once it is there."""
        headers = {"authorization": f"Bearer {self.key}"}
        while True:
            reply = client.post("/captcha/tasks", json={"task_id": task_id}, headers=headers)
            if reply.status_code != 200 or reply.json()["status"] == "ready":
                return reply
            time.sleep(0.02)

    def settle(self, url: str) -> None:
        """Whoever got no answer asks again under the same key, and has one in the end."""
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            for token in {*self.interrupted, *(token for token, _, _ in self.refused)} - self.answered.keys():
                assert self.ask(client, token)
                assert token in self.answered, self.refused[-1]


def answered_rows(database: Database) -> set[str]:
    """The calls that the log has as answered, each by the id that its dialect's reply has."""
    answered = select(Call.dialect, Call.log_id, Call.trace_id).where(Call.outcome == "answered")
    with database.read() as session:
        rows = session.execute(answered)
        return {log_id if dialect == "captchaapi" else trace_id for dialect, log_id, trace_id in rows}


def stored(database: Database) -> dict[str, bytes | None]:
    """The bodies that are kept, by token."""
    with database.read() as session:
        return {each.token: each.body for each in session.scalars(select(StoredReply))}


def assert_nothing_lost(database: Database, database_url: str, load: Load, folder: Path) -> None:
    """Every answer that was heard is in the log; what is in the log was charged once, and is kept to be asked
    for again; `legible ledger check` agrees."""
    rows, kept = answered_rows(database), stored(database)
    assert len(load.texts) <= 1
    assert set(load.answered.values()) <= rows
    assert charged(database) == len(rows)
    bodies = [body for token, body in kept.items() if token.startswith("idempotency:")]
    assert len(bodies) == len(rows)
    assert all(bodies)
    for token, task_id in load.tasks.items():
        # A task and the reply of its call stand or fall together.
        assert kept.get(f"idempotency:{token}") is None or kept[f"task:{task_id}"]
    assert_books_balance(database)
    checked = run("ledger", "check", "--database", database_url, folder=folder)
    assert (checked.code, "Everything adds up" in checked.out) == (0, True), checked


def assert_paid_once(database: Database, load: Load) -> None:
    """After `settle`: as many charges as calls that were ever made, each answered."""
    assert set(load.answered.values()) == answered_rows(database)
    assert charged(database) == len(load.answered)
    assert_books_balance(database)
