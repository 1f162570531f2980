"""The whole app behind a real server over a fresh SQLite file, with recognizers that are functions,
and an account."""

import base64
import io
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image, ImageDraw

from legible import ledger
from legible.app import Parts, build_app
from legible.calls import CallFilter, CallLog
from legible.cli.http1 import Http1
from legible.db.tables import Call
from legible.errors import RecognitionFailed
from legible.images import decode
from legible.keys import KeyRules
from legible.recognizers import Recognizer
from legible.settings import Settings
from legible.tasks import Answer, Character, Kind, Task, TextAnswer
from tests.dialects.voices import VOICES, Voice


def draw(text: str = "7364", size: tuple[int, int] = (120, 40), form: str = "PNG", **save: Any) -> bytes:
    """A picture of ours with a text on it."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((size[0] / 4, size[1] / 4), text, fill="black")
    return encode(image, form, **save)


def encode(image: Image.Image, form: str = "PNG", **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **save)
    return file.getvalue()


def base64_of(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


@dataclass
class Fake:
    """A recognizer of texts that decodes the picture for real and reads what it is told."""

    text: str = "7364"
    tasks: int = 0
    last: Task | None = None
    error: Exception | None = None
    before: Callable[[], object] = object

    def __call__(self, task: Task) -> Answer:
        decode(task.images[0], task.limits)
        self.tasks, self.last = self.tasks + 1, task
        self.before()
        if self.error is not None:
            raise self.error
        if task.threshold is not None and task.threshold > 0.9:
            raise RecognitionFailed(
                "no text was read with enough confidence", confidence=0.9, threshold=task.threshold
            )
        return TextAnswer(self.text, 0.9, tuple(Character(each, 0.97) for each in self.text))


@dataclass
class Service:
    """A running app, and an account with a key."""

    client: httpx.Client
    parts: Parts
    reads: Fake
    account_id: int
    key: str

    def new_key(self, *, is_enabled: bool = True, **rules: Any) -> str:
        key = self.parts.keys.create(self.account_id, "another", KeyRules(**rules))
        self.parts.keys.set_enabled(key.id, is_enabled)
        return key.secret

    def last_key_id(self) -> int:
        return self.parts.keys.list(self.account_id)[0].id

    def calls(self, which: CallFilter = CallFilter()) -> Sequence[Call]:  # noqa: B008
        """The account's call log, oldest first."""
        return CallLog(self.parts.database).page(self.account_id, which, size=500).calls[::-1]

    def last_call(self) -> Call:
        return self.calls()[-1]

    def balance(self) -> int:
        """In micros; the ledger must agree."""
        assert ledger.check(self.parts.database).problems == ()
        return CallLog(self.parts.database).balance(self.account_id)

    def set_balance(self, micros: int) -> None:
        change = micros - self.balance()
        if change:
            self.parts.accounts.correct(self.account_id, change, "a test wants another balance")


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The URL of the app, behind uvicorn in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app,
            http=Http1,
            lifespan="on",
            log_config=None,
            access_log=False,
            forwarded_allow_ips="127.0.0.1",
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        host, port = listener.getsockname()
        try:
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            thread.join()


Start = Callable[..., Service]


@contextmanager
def running(url: str, recognizers: Mapping[Kind, Recognizer], **settings: Any) -> Iterator[Service]:
    """A service on a migrated database, with a new account."""
    reads = Fake()
    chosen = Settings(database_url=url, **({"rate_per_second": 0, "log_level": "error"} | settings))
    app = build_app(chosen, {Kind.TEXT: reads, **recognizers})
    with served(app) as address, httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        yield with_new_account(Service(client, app.state.parts, reads, 0, ""))


def with_new_account(service: Service) -> Service:
    """The same app for somebody else, its recognizer as new."""
    account = service.parts.accounts.create(f"{uuid.uuid4()}@example.com")
    key = service.parts.keys.create(account.id, "first").secret
    vars(service.reads).update(vars(Fake()))
    return replace(service, account_id=account.id, key=key)


@pytest.fixture
def start(sqlite_url: str) -> Iterator[Start]:
    """Starts services of the test's own: `start(recognizers, **settings)`."""
    with ExitStack() as stack:

        def started(recognizers: Mapping[Kind, Recognizer] | None = None, **settings: Any) -> Service:
            return stack.enter_context(running(sqlite_url, recognizers or {}, **settings))

        yield started


@pytest.fixture(scope="session")
def common_service(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that can share it; accounts keep them apart."""
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("dialects") / "legible.db")
    with running(f"sqlite:///{path}", {}) as service:
        yield service


@pytest.fixture
def service(common_service: Service) -> Service:
    """A running service, and an account of the test's own."""
    return with_new_account(common_service)


@pytest.fixture(scope="session")
def picture() -> str:
    """A good picture in base64."""
    return base64_of(draw())


@pytest.fixture(params=VOICES, ids=lambda voice: voice.name)
def voice(request: pytest.FixtureRequest) -> Voice:
    """Each dialect in turn."""
    said: Voice = request.param
    return said
