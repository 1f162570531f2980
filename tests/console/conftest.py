"""The console behind a real server over SQLite, and people who visit it without a browser."""

import itertools
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from legible import accounts
from legible.app import Parts, build_app
from legible.console.attempts import Attempts
from legible.recognizers import Recognizer
from legible.settings import Settings
from legible.tasks import Kind
from tests.console.fakes import RECOGNIZERS
from tests.service import base64_of, draw, served

PASSWORD = "correct horse battery"
QUICK = Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1)
NUMBERS = itertools.count(1)


@dataclass
class Site:
    """A running console."""

    url: str
    parts: Parts
    clients: ExitStack

    def visitor(self, **headers: str) -> "Person":
        return Person(self, self.client(headers={"accept": "text/html", **headers}))

    def client(self, **options: Any) -> httpx.Client:
        """Closed when the site is."""
        return self.clients.enter_context(
            httpx.Client(base_url=self.url, trust_env=False, timeout=60, **options)
        )

    def member(self, **headers: str) -> "Person":
        """Somebody new, who has just signed up."""
        person = self.visitor(**headers)
        person.email = f"user{next(NUMBERS)}@example.com"
        response = person.post("/signup", {"email": person.email, "password": PASSWORD}, at="/signup")
        assert response.status_code == 303
        return person

    def administrator(self) -> "Person":
        person = self.member()
        self.parts.accounts.set_admin(person.account_id, True)
        return person


@dataclass
class Person:
    """A visitor with cookies, who fills in forms as a browser would."""

    site: Site
    client: httpx.Client
    email: str = ""
    keys: list[str] = field(default_factory=list)

    @property
    def account_id(self) -> int:
        return self.site.parts.accounts.by_email(self.email).id

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def csrf(self, at: str = "/console/settings") -> str:
        return re.search(r'name="csrf" value="(\w+)"', self.get(at).text)[1]

    def post(self, path: str, form: dict[str, object], at: str = "/console/settings") -> httpx.Response:
        """Posts the form with the token of the page it stands on."""
        return self.client.post(path, data={**form, "csrf": self.csrf(at)})

    def new_key(self, name: str = "Staging", **rules: object) -> str:
        page = self.post("/console/keys", {"name": name, **rules})
        assert page.status_code == 200
        self.keys.append(re.search(r"lg_[\w-]{43}", page.text)[0])
        return self.keys[-1]

    def key_id(self) -> int:
        return self.site.parts.keys.list(self.account_id)[0].id

    def call(self, key: str | None = None, size: tuple[int, int] = (120, 40)) -> httpx.Response:
        """One recognition of a text, as the user's program would ask for it."""
        headers = {"authorization": f"Bearer {key or self.keys[-1]}"}
        body = {"image": base64_of(draw(size=size))}
        return httpx.post(
            f"{self.site.url}/captcha/recognition/image2text", json=body, headers=headers, trust_env=False
        )

    def log_ids(self) -> list[str]:
        return re.findall(r'/console/calls/(LOG\d+)"', self.get("/console/calls").text)


@pytest.fixture(autouse=True)
def many_people_at_one_address(monkeypatch, request: pytest.FixtureRequest) -> None:
    """From one address only some sign-ups an hour are allowed, and each is slow on purpose."""
    monkeypatch.setattr(accounts, "passwords", PasswordHash((QUICK,)))
    if "real_limits" not in request.fixturenames:
        monkeypatch.setattr(Attempts, "allow", lambda self, item, who: True)


@pytest.fixture
def real_limits() -> None:
    """For a test of the limits themselves."""


@pytest.fixture(scope="module")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(shutil.copy(sqlite_template, tmp_path_factory.mktemp("site") / "legible.db")) as found:
        yield found


@contextmanager
def running(
    path: object, recognizers: Mapping[Kind, Recognizer] = RECOGNIZERS, **settings: Any
) -> Iterator[Site]:
    """A console over that SQLite file."""
    chosen = Settings(
        database_url=f"sqlite:///{path}", **({"log_level": "error", "rate_per_second": 0} | settings)
    )
    app = build_app(chosen, recognizers)
    with served(app) as url, ExitStack() as clients:
        yield Site(url, app.state.parts, clients)


@pytest.fixture
def member(site: Site) -> Person:
    return site.member()
