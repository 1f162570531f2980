"""What surrounds the dialects: health, the documents, and bugs that must not leak."""

import asyncio
import json
import re
import threading
import time
from html.parser import HTMLParser

import httpx
import pytest

from legible.app import build_app
from legible.settings import Settings
from legible.tasks import Kind
from tests.dialects.voices import VOICES, Voice
from tests.service import Fake, Service, Start, running


def test_a_healthy_service_says_so(service: Service) -> None:
    assert service.client.get("/healthz").json() == {"status": "ok"}
    ready = service.client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"models": True, "migrations": True})


@pytest.mark.anyio
async def test_a_service_is_ready_while_its_models_are_loaded_and_neither_before_nor_after(
    sqlite_url: str,
) -> None:
    app = build_app(Settings(database_url=sqlite_url, log_level="error"), {Kind.TEXT: Fake()})
    loaded = threading.Event()
    app.state.parts.engine.engine.warm_up = (lambda: loaded.wait(10),)

    async def checks() -> tuple[int, bool]:
        ready = await client.get("/readyz")
        return ready.status_code, ready.json()["checks"]["models"]

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        life = app.router.lifespan_context(app)
        started = asyncio.ensure_future(life.__aenter__())
        await asyncio.sleep(0.1)
        assert (await checks(), started.done()) == ((503, False), False)
        loaded.set()
        await started
        assert await checks() == (200, True)
        parts, ended = app.state.parts, asyncio.Event()
        parts.desk.stop = ended.wait  # a call that is under way holds the stop up
        stopped = asyncio.ensure_future(life.__aexit__(None, None, None))
        await asyncio.sleep(0.1)
        assert await checks() == (503, False)
        ended.set()
        await stopped


@pytest.mark.parametrize(("schema", "status"), [("0000", 503), ("9999", 200)])
def test_a_service_is_ready_beside_a_newer_schema_and_not_on_an_older_one(
    start: Start, schema: str, status: int
) -> None:
    service = start()
    with service.parts.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (schema,))
    ready = service.client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (
        status,
        {"models": True, "migrations": status == 200},
    )


@pytest.mark.parametrize("name", ["", "/acedata", "/captchaapi", "/createtask", "/v1"])
def test_every_dialect_has_its_openapi(service: Service, name: str) -> None:
    document = service.client.get(f"/openapi{name}.json").json()
    assert document["openapi"].startswith("3.")
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation["security"] for operation in operations)
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= document["components"]["schemas"].keys()


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.add(value)


def test_the_reference_page_needs_no_internet_and_shows_every_endpoint(service: Service) -> None:
    reply = service.client.get("/docs")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    page = _Links()
    page.feed(reply.text)
    for link in page.links:
        assert (
            link[1:] in page.ids if link.startswith("#") else service.client.get(link).status_code == 200
        ), link
    assert "http://" not in reply.text
    assert "https://" not in reply.text
    for path in service.client.get("/openapi.json").json()["paths"]:
        assert path in reply.text
    for words in (
        "insufficient_credit",
        "识别成功",
        "/m/01pns0",
        "Idempotency-Key",
        "log_id",
        "task.imageBackground",
    ):
        assert words in reply.text


def test_an_unknown_document_names_the_known_ones(service: Service) -> None:
    reply = service.client.get("/openapi/nothing.json")
    assert (reply.status_code, "acedata, captchaapi, createtask, v1" in reply.json()["detail"]) == (404, True)


def test_a_bug_outside_of_a_call_is_told_in_the_dialect_s_shape(
    service: Service, voice: Voice, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret of the house")

    monkeypatch.setattr(service.parts.desk, "receive", broken)
    reply = voice.ask(service.client, service.key, voice.body(picture))
    assert reply.status_code == voice.status("internal_error")
    assert "secret" not in reply.text
    expected = "服务器内部错误" if voice.name == "captchaapi" else "something went wrong on our side"
    assert expected in voice.sentence(reply.json())


def test_a_bug_away_from_the_dialects_is_a_problem_document(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> bytes:
        raise ZeroDivisionError("secret of the house")

    monkeypatch.setattr(service.parts.metrics, "text", broken)
    reply = service.client.get("/metrics")
    assert (reply.status_code, reply.json()["code"]) == (500, "internal_error")
    assert reply.json()["trace_id"] == reply.headers["x-trace-id"]
    assert "secret" not in reply.text


ORIGIN = {"origin": "https://example.com"}
PREFLIGHT = ORIGIN | {"access-control-request-method": "POST"}


@pytest.mark.parametrize(
    "path",
    [each.path for each in VOICES]
    + ["/createTask/", "/in.php", "/v1/balance", "/captcha/unknown", "/api/unknown", "/v1/calls/1"],
)
def test_pages_of_other_sites_may_ask_before_they_call_an_api(service: Service, path: str) -> None:
    asked = {"access-control-request-headers": "authorization,content-type,idempotency-key,x-api-key"}
    known = {"authorization": f"Bearer {service.key}", "x-api-key": service.key}
    reply = service.client.options(path, headers=PREFLIGHT | asked | known)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    assert "access-control-allow-credentials" not in reply.headers
    assert service.calls() == []
    for other in ({"access-control-request-headers": "cookie"}, {"access-control-request-method": "PUT"}):
        assert service.client.options(path, headers=PREFLIGHT | other).status_code == 400


def test_pages_of_other_sites_may_read_what_an_api_replies(
    service: Service, voice: Voice, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [
        voice.ask(service.client, service.key, voice.body(picture), **ORIGIN),
        voice.ask(service.client, service.key, voice.body("%"), **ORIGIN),
        voice.ask(service.client, "lg_unknown", voice.body(picture), **ORIGIN),
    ]
    monkeypatch.setattr(service.parts.desk, "receive", None)
    replies.append(voice.ask(service.client, service.key, voice.body(picture), **ORIGIN))
    codes = ("invalid_image", "unauthenticated", "internal_error")
    assert [reply.status_code for reply in replies] == [200, *map(voice.status, codes)]
    for reply in replies:
        assert reply.headers["access-control-allow-origin"] == "*"
        assert {"x-trace-id", "retry-after"} < {*reply.headers["access-control-expose-headers"].split(", ")}
        assert reply.headers["x-trace-id"]


@pytest.mark.parametrize("headers", [{}, ORIGIN, {"access-control-request-method": "POST"}])
def test_another_question_about_options_is_refused(
    service: Service, voice: Voice, headers: dict[str, str]
) -> None:
    reply = service.client.request(
        "OPTIONS",
        voice.path,
        json=voice.signed({}, service.key),
        headers=voice.headers(service.key) | headers,
    )
    assert reply.status_code == voice.status("wrong_method")
    assert "OPTIONS" in voice.sentence(reply.json())
    assert service.last_call().outcome == "wrong_method"
    assert ("access-control-allow-origin" in reply.headers) == ("origin" in headers)


@pytest.mark.parametrize("path", ["/", "/login", "/console", "/docs", "/metrics", "/no/such/page", "/v1x"])
def test_pages_of_other_sites_may_not_read_the_console(service: Service, path: str) -> None:
    for reply in (
        service.client.options(path, headers=PREFLIGHT),
        service.client.get(path, headers=ORIGIN),
    ):
        assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("path", "status"),
    [("//login", 404), ("//metrics", 404), ("/login/", 404), ("//example.com", 404), ("//example.com/", 404)],
)
def test_slashes_lead_to_no_other_page(service: Service, path: str, status: int) -> None:
    reply = service.client.get(f"{str(service.client.base_url).rstrip('/')}{path}")
    assert (reply.status_code, reply.headers.get("location")) == (status, None)


@pytest.mark.parametrize("path", ["//v1/balance", "/v1/balance/", "//v1/calls/"])
def test_a_slash_too_many_does_no_harm_where_nothing_is_read(service: Service, path: str) -> None:
    url = f"{str(service.client.base_url).rstrip('/')}{path}"
    assert service.client.get(url, headers={"x-api-key": service.key}).status_code == 200


def test_a_database_that_is_down_is_told_and_nothing_is_lost(
    start: Start, voice: Voice, picture: str
) -> None:
    service = start()
    with service.parts.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE api_key RENAME TO gone")
    try:
        reply = voice.ask(service.client, service.key, voice.body(picture))
        assert (reply.status_code, "7364" in reply.text) == (voice.status("unavailable"), False)
    finally:
        with service.parts.database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO api_key")
    assert voice.ask(service.client, service.key, voice.body(picture)).status_code == 200


def test_the_whole_road_works_on_postgresql(postgresql_url: str, voice: Voice, picture: str) -> None:
    with running(postgresql_url, {}) as service:
        before = service.balance()
        replies = [
            voice.ask(service.client, service.key, voice.body(picture), idempotency_key="a") for _ in range(2)
        ]
        assert replies[0].content == replies[1].content
        assert voice.text(replies[0].json()) == "7364"
        assert voice.ask(service.client, service.key, voice.body("\0\U0001f600")).status_code == voice.usual
        assert [call.outcome for call in service.calls()] == ["answered", "replayed", "invalid_image"]
        assert service.balance() == before - 1000
        headers = {"authorization": f"Bearer {service.key}"}
        body = {"image": picture, "async": True}
        task = service.client.post("/captcha/recognition/image2text", json=body, headers=headers).json()
        for _ in range(3000):
            state = service.client.post(
                "/captcha/tasks", json={"id": task["task_id"]}, headers=headers
            ).json()
            if state["status"] == "ready":
                break
            time.sleep(0.02)
        assert state["text"] == "7364"
        page = service.client.get(
            "/v1/calls", params={"outcome": "answered", "limit": 1}, headers=headers
        ).json()
        assert page["calls"][0]["trace_id"] == task["trace_id"]
        assert len(service.client.get("/v1/calls?format=csv", headers=headers).text.splitlines()) == 5
