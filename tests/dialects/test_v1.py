"""Our own API, as its clients see it."""

import csv
import io
from typing import Any

import httpx
import pytest

from legible.dialects.v1 import convert
from legible.errors import InvalidImage, RecognitionFailed, Refusal
from legible.tasks import Answer, Candidate, Kind, SliderAnswer, SliderOptions, Task, TextOptions
from tests.service import Service, Start, base64_of, draw

RECOGNITIONS = "/v1/recognitions"


def headers(service: Service) -> dict[str, str]:
    return {"authorization": f"Bearer {service.key}"}


def ask(service: Service, body: Any, **more: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return service.client.post(RECOGNITIONS, json=body, headers=headers(service) | named)


def get(service: Service, path: str, **query: str) -> httpx.Response:
    return service.client.get(path, params=query, headers=headers(service))


def test_a_picture_is_read_charged_and_logged(service: Service, picture: str) -> None:
    before = service.balance()
    reply = ask(service, {"kind": "text", "image": picture})
    body, call = reply.json(), service.last_call()
    assert (reply.status_code, body["kind"], body["answer"]["text"]) == (200, "text", "7364")
    assert body["answer"]["characters"][0] == {"text": "7", "confidence": 0.97}
    receipt = body["receipt"]
    assert (receipt["log_id"], receipt["type"], receipt["cost"]) == (call.log_id, 50200, "0.001")
    assert (receipt["balance"], service.balance()) == ("0.999", before - 1000)
    assert body["trace_id"] == call.trace_id


def test_a_type_may_be_chosen_to_be_charged_by(service: Service, picture: str) -> None:
    body = ask(service, {"kind": "text", "image": picture, "type": 10001}).json()
    assert (body["receipt"]["type"], body["receipt"]["cost"]) == (10001, "0.05")
    wrong = ask(service, {"kind": "text", "image": picture, "type": 10200})
    assert wrong.json()["detail"] == "type: got 10200, which is for slider; allowed: a type for text"


def test_options_reach_the_recognizer(service: Service, picture: str) -> None:
    options = {"charset": "digits", "min_length": 4, "max_length": 6, "case": "keep"}
    assert (
        ask(service, {"kind": "text", "image": picture, "options": options, "threshold": 0.3}).status_code
        == 200
    )
    assert service.reads.last is not None
    assert service.reads.last.options == TextOptions("0123456789", 4, 6)
    assert service.reads.last.threshold == 0.3


def test_a_slider_is_read_with_its_piece(start: Start, picture: str) -> None:
    def find_the_gap(task: Task) -> Answer:
        assert isinstance(task.options, SliderOptions)
        assert task.options.piece == piece
        return SliderAnswer((123, 40, 50, 51), 0.9, None, (Candidate(123, 0.9),))

    piece = draw(size=(50, 50))
    service = start({Kind.SLIDER: find_the_gap})
    body = ask(service, {"kind": "slider", "image": picture, "options": {"piece": base64_of(piece)}}).json()
    gap = {"box": [123, 40, 50, 51], "confidence": 0.9, "candidates": [{"x": 123, "confidence": 0.9}]}
    assert body["answer"] == gap
    assert body["receipt"]["cost"] == "0.01"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "words"}, "kind: got 'words'; allowed: text, arithmetic, slider, grid, click"),
        ({"typo": 1}, "typo: got 1"),
        ({"options": {"typo": 1}}, "options.typo: got 1"),
        ({"options": {"charset": "-"}}, "charset: got '-'"),
        (
            {"options": {"min_length": "x"}},
            "options.min_length: got 'x'; allowed: a whole number from 1 to 32",
        ),
        ({"options": []}, "options: got a list of 0; allowed: an object"),
        ({"threshold": 2}, "threshold: got 2; allowed: a number from 0 to 1"),
        ({"kind": "slider", "options": {"piece": "%"}}, "options.piece: got text that is not base64"),
        ({"kind": "grid", "options": {}}, "options.question: got nothing"),
        ({"kind": "click", "image": None, "options": {"question": "x"}}, "images: got nothing"),
        (
            {"kind": "click", "image": None, "images": ["%"], "options": {"question": "x"}},
            "images[0]: got text that is not base64",
        ),
        (
            {"kind": "click", "images": ["%"], "options": {"question": "x"}},
            "images: got image and images; allowed: one of the two",
        ),
        ({"images": ["%"]}, "images: got a list of 1; allowed: only with click"),
        (
            {"kind": "click", "image": "%", "options": {"question": "x"}},
            "image: got text that is not base64",
        ),
    ],
)
def test_a_wrong_field_is_named(service: Service, picture: str, change: dict[str, Any], said: str) -> None:
    reply = ask(service, {"kind": "text", "image": picture} | change)
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/problem+json")
    assert said in reply.json()["detail"]


def test_errors_are_problem_documents(service: Service, picture: str) -> None:
    service.reads.error = RecognitionFailed("no text was read with enough confidence")
    reply = ask(service, {"kind": "text", "image": picture})
    call = service.last_call()
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json() == {
        "type": "about:blank",
        "title": "Recognition Failed",
        "status": 422,
        "detail": "no text was read with enough confidence",
        "code": "recognition_failed",
        "trace_id": call.trace_id,
        "log_id": call.log_id,
    }


def test_every_refusal_has_a_status() -> None:
    def leaves(root: type[Refusal]) -> list[type[Refusal]]:
        return [leaf for each in root.__subclasses__() for leaf in (each, *leaves(each))]

    def listed(leaf: type[Refusal]) -> type[Refusal]:
        return next(each for each in leaf.__mro__ if each in convert.REFUSALS)

    statuses = {leaf.code: convert.REFUSALS[listed(leaf)].status for leaf in leaves(Refusal)}
    assert statuses == {
        "bad_request": 400,
        "invalid_image": 400,
        "unknown_type": 400,
        "wrong_method": 405,
        "wrong_content_type": 415,
        "body_too_large": 413,
        "idempotency_conflict": 409,
        "not_offered": 400,
        "not_available": 400,
        "unauthenticated": 401,
        "not_allowed": 403,
        "insufficient_credit": 402,
        "rate_limited": 429,
        "not_found": 404,
        "recognition_failed": 422,
        "timeout": 504,
        "unavailable": 503,
        "in_doubt": 503,
        "internal_error": 500,
    }


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/types", "/v1/calls", "/v1/calls/LOG20261121000001"])
def test_a_key_is_needed(service: Service, path: str) -> None:
    for known in ({}, {"authorization": "Bearer lg_no"}, {"x-api-key": "lg_no"}):
        reply = service.client.get(path, headers=known)
        assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated")
        assert reply.headers["www-authenticate"] == "Bearer"
    assert service.client.get(path, headers={"x-api-key": service.key}).status_code in (200, 404)
    both = headers(service) | {"x-api-key": service.new_key()}
    assert "name different keys" in service.client.get(path, headers=both).json()["detail"]
    elsewhere = service.new_key(addresses=["203.0.113.7/32"])
    assert service.client.get(path, headers={"x-api-key": elsewhere}).status_code == 401


def test_a_proxy_that_is_trusted_tells_the_address(service: Service) -> None:
    key = service.new_key(addresses=["203.0.113.7/32"])
    forwarded = {"x-api-key": key, "x-forwarded-for": "203.0.113.7"}
    assert service.client.get("/v1/balance", headers=forwarded).status_code == 200
    nonsense = {"x-api-key": key, "x-forwarded-for": "not an address"}
    assert service.client.get("/v1/balance", headers=nonsense).status_code == 401


def test_the_balance_is_a_decimal_in_yuan(service: Service) -> None:
    service.set_balance(95_500_001)
    assert get(service, "/v1/balance").json() == {"balance": "95.500001", "currency": "CNY"}


def test_the_price_list_says_what_can_be_read(service: Service) -> None:
    types = {row["id"]: row for row in get(service, "/v1/types").json()["types"]}
    assert types[50200] == {
        "id": 50200,
        "kind": "text",
        "name": "general letters and digits",
        "name_zh": "通用数英",
        "price": "0.001",
        "is_available": True,
    }
    assert not types[10200]["is_available"]


@pytest.fixture
def busy(service: Service, picture: str) -> Service:
    """An account with five calls: three answered (one by captchaapi), two refused."""
    for _ in range(2):
        ask(service, {"kind": "text", "image": picture})
    php = {"image": picture, "type": 10001, "api_key": service.key}
    assert service.client.post("/api/v1/captcha.php", json=php).status_code == 200
    ask(service, {"kind": "text", "image": "%"})
    ask(service, {"kind": "slider", "image": picture})
    return service


def test_the_call_log_is_paged_newest_first(busy: Service) -> None:
    seen, cursor = [], {}
    while True:
        page = get(busy, "/v1/calls", limit="2", **cursor).json()
        seen += [call["log_id"] for call in page["calls"]]
        if page["next_cursor"] is None:
            break
        assert len(page["calls"]) == 2
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [call.log_id for call in reversed(busy.calls())]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 5),
        ({"outcome": "answered"}, 3),
        ({"outcome": "refused"}, 2),
        ({"outcome": "not_available"}, 1),
        ({"dialect": "captchaapi"}, 1),
        ({"kind": "text", "dialect": "v1"}, 2),
        ({"kind": "grid"}, 0),
        ({"since": "2026-01-01", "until": "2126-01-01T00:00:00Z"}, 5),
        ({"since": "2126-01-01T00:00:00+08:00"}, 0),
        ({"until": "2026-01-01"}, 0),
        ({"key_id": "9223372036854775807"}, 0),
    ],
)
def test_the_call_log_is_filtered(busy: Service, query: dict[str, str], count: int) -> None:
    assert len(get(busy, "/v1/calls", **query).json()["calls"]) == count


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"kind": "words"}, "kind: got 'words'; allowed: text, arithmetic, slider, grid, click"),
        ({"since": "yesterday"}, "since: got 'yesterday'; allowed: a moment in ISO 8601"),
        ({"until": "2026-13-01"}, "until: got '2026-13-01'"),
        (
            {"outcome": "anwsered"},
            "outcome: got 'anwsered'; allowed: answered, replayed, refused, bad_request",
        ),
        ({"dialect": "ace"}, "dialect: got 'ace'; allowed: acedata, captchaapi, createtask, v1"),
        ({"limit": "0"}, "limit: got '0'; allowed: a whole number from 1 to 500"),
        ({"limit": "501"}, "limit: got '501'"),
        ({"limit": "٣"}, "limit: got"),
        ({"key_id": "9" * 30}, "key_id: got '9999"),
        ({"cursor": "x"}, "cursor: got 'x'; allowed: the next_cursor of a page"),
        ({"format": "xml"}, "format: got 'xml'; allowed: json, csv"),
        ({"typo": "1"}, "'typo': got a parameter that is not known; allowed: cursor"),
        ({"outcome": "a\0b"}, r"'outcome': got 'a\x00b'; allowed: printable characters"),
    ],
)
def test_a_wrong_filter_is_named(service: Service, query: dict[str, str], said: str) -> None:
    reply = get(service, "/v1/calls", **query)
    assert reply.status_code == 400
    assert said in reply.json()["detail"]


def test_one_call_is_found_by_either_id_but_only_by_its_owner(busy: Service, common_service: Service) -> None:
    call = busy.last_call()
    for reference in (call.log_id, call.trace_id):
        found = get(busy, f"/v1/calls/{reference}").json()
        assert (found["log_id"], found["outcome"], found["cost"]) == (call.log_id, "not_available", "0")
        assert get(common_service, f"/v1/calls/{reference}").status_code == 404
    missing = get(busy, "/v1/calls/LOG1")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("accept", [True, False])
def test_the_call_log_is_a_csv_that_is_safe_to_open(busy: Service, picture: str, accept: bool) -> None:
    busy.reads.text = "=1+1"
    ask(busy, {"kind": "text", "image": picture})
    query, wanted = ({}, {"accept": "text/csv"}) if accept else ({"format": "csv"}, {})
    reply = busy.client.get("/v1/calls", params=query, headers=headers(busy) | wanted)
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in reply.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert [row["log_id"] for row in rows] == [call.log_id for call in reversed(busy.calls())]
    assert rows[0]["result"] == "'=1+1"


@pytest.mark.parametrize(("method", "path", "allowed"), [
    ("GET", RECOGNITIONS, "POST"), ("POST", "/v1/balance", "GET, HEAD"),
    ("DELETE", "/v1/calls/LOG1", "GET, HEAD"),
])  # fmt: skip
def test_another_method_is_told_which_one_is_right(
    service: Service, method: str, path: str, allowed: str
) -> None:
    reply = service.client.request(method, path, headers=headers(service))
    assert (reply.status_code, reply.headers["allow"]) == (405, allowed)
    assert service.last_call().outcome == "wrong_method"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi/v1.json"])
def test_what_a_monitor_asks_is_asked_with_get(service: Service, path: str) -> None:
    reply = service.client.post(path)
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD")


def test_an_unknown_path_is_not_found_and_logged(service: Service) -> None:
    reply = get(service, "/v1/nothing")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    assert service.last_call().trace_id == reply.json()["trace_id"]


@pytest.mark.parametrize(
    "path", ["/v1/calls?kind=words", "/v1/calls?limit=0", "/v1/calls/LOG1", "/v1/calls/%00"]
)
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_what_is_read_for_free_is_in_the_log_when_it_is_refused(
    service: Service, path: str, header: str
) -> None:
    reply = service.client.get(path, headers={header: f"{service.key}"})
    assert reply.status_code in (400, 404)
    assert service.last_call().trace_id == reply.json()["trace_id"]
    assert get(service, "/v1/calls").status_code == 200
    assert len(service.calls()) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/v1/balance",
        "/v1/types",
        "/v1/calls",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/",
        "/login",
        "/guide/v1",
    ],
)
def test_head_is_answered_where_get_is(service: Service, path: str) -> None:
    reply = service.client.head(path, headers=headers(service))
    assert (reply.status_code, reply.content) == (200, b"")


def test_an_unknown_field_is_named_in_few_characters(service: Service, picture: str) -> None:
    reply = ask(service, {"kind": "text", "image": picture, "x" * 100_000: 1})
    assert (reply.status_code, len(reply.text) < 1000) == (400, True)
    assert "and 99960 more characters: got 1" in reply.json()["detail"]


@pytest.mark.parametrize("place", ["api_key", "kind", "image"])
def test_a_key_in_the_wrong_place_is_not_shown_again(service: Service, picture: str, place: str) -> None:
    reply = ask(service, {"kind": "text", "image": picture} | {place: service.key})
    assert reply.status_code == 400
    for said in (reply.text, service.last_call().result):
        assert service.key[:8] not in said


def test_what_is_free_counts_neither_against_the_rate_limit_nor_as_a_repetition(
    start: Start, picture: str
) -> None:
    service = start(rate_per_second=2)
    named = {"idempotency-key": "order-1"}
    first = service.client.post(
        RECOGNITIONS, json={"kind": "text", "image": picture}, headers=headers(service) | named
    )
    for _ in range(5):
        reply = service.client.get("/v1/calls/LOG1", headers=headers(service) | named)
        assert (reply.status_code, service.last_call().outcome) == (404, "not_found")
    again = ask(service, {"kind": "text", "image": picture})
    assert (first.status_code, again.status_code) == (200, 200)


def test_a_request_with_two_keys_is_logged_by_whichever_is_known(service: Service) -> None:
    both = {"authorization": "Bearer lg_wrong", "x-api-key": service.key}
    for path in ("/v1/balance", "/v1/nothing"):
        reply = service.client.get(path, headers=both)
        assert service.last_call().trace_id == reply.json()["trace_id"]


def test_raised_limits_reach_the_recognizer(start: Start) -> None:
    service = start(max_image_side=8192)
    assert ask(service, {"kind": "text", "image": base64_of(draw(size=(5000, 10)))}).status_code == 200
    assert service.reads.last is not None
    assert service.reads.last.limits.max_side == 8192


def test_what_a_recognizer_refuses_is_named_as_the_request_named_it(start: Start, picture: str) -> None:
    def refuse(_: Task) -> Answer:
        raise InvalidImage("piece", got="a picture in which nothing can be seen", allowed="a piece")

    service = start({Kind.SLIDER: refuse})
    reply = ask(service, {"kind": "slider", "image": picture, "options": {"piece": picture}})
    said = "options.piece: got a picture in which nothing can be seen; allowed: a piece"
    assert reply.json()["detail"] == service.last_call().result == said


def test_calls_by_another_key_of_the_account_are_in_the_same_log(service: Service, picture: str) -> None:
    key = service.new_key()
    service.client.post(RECOGNITIONS, json={"kind": "text", "image": picture}, headers={"x-api-key": key})
    assert len(get(service, "/v1/calls").json()["calls"]) == 1
