"""Ace Data Cloud's dialect, as its clients see it."""

import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from legible.clock import now_ms
from legible.db.tables import StoredReply
from legible.dialects.acedata import convert
from legible.errors import RecognitionFailed, Refusal
from legible.prices import PricedType
from legible.tasks import Answer, ClickAnswer, ClickOptions, GridAnswer, GridOptions, Kind, Task, TextOptions
from tests.service import Service, Start, base64_of, draw

IMAGE2TEXT = "/captcha/recognition/image2text"
RECAPTCHA2 = "/captcha/recognition/recaptcha2"
HCAPTCHA = "/captcha/recognition/hcaptcha"


def ask(service: Service, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.client.post(path, json=body, headers={"authorization": f"Bearer {service.key}"} | named)


def poll(service: Service, task_id: str, name: str = "task_id") -> dict[str, Any]:
    found: dict[str, Any] = ask(service, "/captcha/tasks", {name: task_id}).json()
    return found


def poll_until_ready(service: Service, task_id: str) -> dict[str, Any]:
    for _ in range(3000):
        state = poll(service, task_id)
        if state.get("status") != "processing":
            return state
        time.sleep(0.02)
    raise AssertionError("the task is still processing")


def test_a_text_is_read_charged_and_logged(service: Service, picture: str) -> None:
    before = service.balance()
    reply = ask(service, IMAGE2TEXT, {"image": picture})
    body = reply.json()
    assert (reply.status_code, body["text"], body["success"]) == (200, "7364", True)
    assert reply.headers["x-trace-id"] == body["trace_id"] == service.last_call().trace_id
    assert uuid.UUID(body["trace_id"]).version == 4
    started, finished = (datetime.fromisoformat(body[name]) for name in ("started_at", "finished_at"))
    assert started.utcoffset() == finished.utcoffset() is not None
    assert body["elapsed"] == pytest.approx((finished - started).total_seconds(), abs=0.001)
    assert service.balance() == before - 1000


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER   {}", "{}"])
def test_the_key_is_found_however_clients_write_it(service: Service, picture: str, header: str) -> None:
    assert (
        ask(service, IMAGE2TEXT, {"image": picture}, authorization=header.format(service.key)).status_code
        == 200
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, TextOptions()),
        ({"charset": None, "min_length": None, "case": None, "async": None}, TextOptions()),
        ({"charset": "digits", "min_length": 4, "max_length": 4}, TextOptions("0123456789", 4, 4)),
        ({"charset": "lower", "case": "upper"}, TextOptions("abcdefghijklmnopqrstuvwxyz", case="upper")),
        ({"charset": "ABCA12"}, TextOptions("ABC12")),
        ({"min_length": "4", "max_length": " 6.0", "async": "false"}, TextOptions(None, 4, 6)),
        ({"max_length": 6.0, "async": 0}, TextOptions(None, 1, 6)),
        ({"unknown": 1}, TextOptions()),
    ],
)
def test_what_is_known_of_a_text_reaches_the_recognizer(
    service: Service, picture: str, fields: dict[str, Any], expected: TextOptions
) -> None:
    assert ask(service, IMAGE2TEXT, {"image": picture} | fields).status_code == 200
    assert service.reads.last is not None
    assert service.reads.last.options == expected


def test_an_option_that_is_empty_is_left_out(service: Service, picture: str) -> None:
    empty = dict.fromkeys(("charset", "min_length", "max_length", "case", "confidence"), "")
    headers = {"authorization": f"Bearer {service.key}"}
    path = "/captcha/recognition/image2text"
    assert service.client.post(path, json=empty | {"image": picture}, headers=headers).status_code == 200
    assert service.reads.last is not None
    assert (service.reads.last.options, service.reads.last.threshold) == (TextOptions(), None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"charset": "abc中"}, "charset: got 'abc中' with the character '中'"),
        ({"charset": 7}, "charset: got 7"),
        ({"min_length": 0}, "min_length: got 0; allowed: a whole number from 1 to 32"),
        ({"max_length": 33}, "max_length: got 33"),
        ({"min_length": 5, "max_length": 4}, "min_length: got 5; allowed: at most max_length, which is 4"),
        ({"min_length": 2.5}, "min_length: got 2.5"),
        ({"min_length": "few"}, "min_length: got 'few'; allowed: a whole number from 1 to 32"),
        ({"max_length": "33"}, "max_length: got '33'; allowed: a whole number from 1 to 32"),
        ({"max_length": True}, "max_length: got true; allowed: a whole number from 1 to 32"),
        ({"case": "title"}, "case: got 'title'; allowed: keep, lower or upper"),
        ({"confidence": 1.5}, "confidence: got 1.5; allowed: a number from 0 to 1"),
        ({"confidence": "high"}, "confidence: got 'high'"),
        ({"confidence": "1.5"}, "confidence: got '1.5'; allowed: a number from 0 to 1"),
        ({"confidence": True}, "confidence: got true; allowed: a number from 0 to 1"),
        ({"async": "perhaps"}, "async: got 'perhaps'; allowed: true or false"),
        ({"async": 2}, "async: got 2; allowed: true or false"),
    ],
)
def test_a_wrong_option_is_named(service: Service, picture: str, fields: dict[str, Any], said: str) -> None:
    before = service.balance()
    reply = ask(service, IMAGE2TEXT, {"image": picture} | fields)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_request")
    assert said in reply.json()["error"]["message"]
    assert service.last_call().outcome == "bad_request"
    assert service.balance() == before


def test_a_threshold_is_obeyed(service: Service, picture: str) -> None:
    for high, low in ((0.95, 0.5), ("0.95", " 0.5"), ("1", "0")):
        reply = ask(service, IMAGE2TEXT, {"image": picture, "confidence": high})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "recognition_failed")
        assert ask(service, IMAGE2TEXT, {"image": picture, "confidence": low}).status_code == 200


def test_every_error_has_the_status_and_code_of_the_contract() -> None:
    leaves = _leaves(Refusal)
    rows = {leaf.__name__: tuple(convert.REFUSALS[_listed(leaf)]) for leaf in leaves}
    assert rows == {
        "InvalidField": (400, "bad_request"),
        "InvalidImage": (400, "bad_request"),
        "EmptyImage": (400, "bad_request"),
        "ImageTooLarge": (400, "bad_request"),
        "UnknownType": (400, "bad_request"),
        "WrongMethod": (400, "bad_request"),
        "WrongContentType": (400, "bad_request"),
        "BodyTooLarge": (413, "bad_request"),
        "IdempotencyConflict": (400, "bad_request"),
        "NotOffered": (400, "api_not_implemented"),
        "NotAvailable": (400, "bad_request"),
        "BadRequest": (400, "bad_request"),
        "Unauthenticated": (401, "invalid_token"),
        "NotAllowed": (400, "token_mismatched"),
        "InsufficientCredit": (403, "used_up"),
        "RateLimited": (429, "too_many_requests"),
        "NotFound": (404, "no_api"),
        "RecognitionFailed": (400, "recognition_failed"),
        "TimedOut": (504, "timeout"),
        "InDoubt": (500, "api_error"),
        "Unavailable": (500, "api_error"),
        "Broken": (500, "api_error"),
    }


def _leaves(root: type[Refusal]) -> list[type[Refusal]]:
    return [leaf for each in root.__subclasses__() for leaf in (each, *_leaves(each))]


def _listed(leaf: type[Refusal]) -> type[Refusal]:
    return next(each for each in leaf.__mro__ if each in convert.REFUSALS)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/captcha/token", "/captcha/token/recaptcha2", "/captcha/token/hcaptcha/any"]
)
def test_tokens_are_deliberately_not_offered(service: Service, method: str, path: str) -> None:
    headers = {"authorization": f"Bearer {service.key}"}
    for known, reply in (
        (True, service.client.request(method, path, headers=headers)),
        (False, service.client.request(method, path)),
    ):
        body = reply.json()
        assert (reply.status_code, body["error"]["code"]) == (400, "api_not_implemented")
        assert "on purpose" in body["error"]["message"]
        assert known == (service.last_call().trace_id == body["trace_id"])
    assert [call.outcome for call in service.calls()] == ["not_offered"]


@pytest.mark.parametrize(
    "path", ["/captcha", "/captcha/", "/captcha/recognition/", "/captcha/recognition/unknown"]
)
def test_an_unknown_path_is_told_in_their_shape(service: Service, path: str) -> None:
    reply = ask(service, path, {})
    assert (reply.status_code, reply.json()["success"], reply.json()["error"]["code"]) == (
        404,
        False,
        "no_api",
    )
    assert IMAGE2TEXT in reply.json()["error"]["message"]
    assert service.last_call().outcome == "not_found"


def test_another_method_is_told_which_one_is_right(service: Service) -> None:
    reply = service.client.get(IMAGE2TEXT, headers={"authorization": f"Bearer {service.key}"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_request")
    assert reply.json()["error"]["message"] == "method: got GET; allowed: POST"
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("is_async", [True, "true", 1, "1"])
def test_a_task_is_polled_for_and_charged_once(service: Service, picture: str, is_async: object) -> None:
    is_free = threading.Event()
    service.reads.before = lambda: is_free.wait(10)
    before = service.balance()
    created = ask(service, IMAGE2TEXT, {"image": picture, "async": is_async})
    assert (created.status_code, created.json()["success"]) == (200, True)
    assert created.json().keys() == {"success", "task_id", "trace_id"}
    task_id = created.json()["task_id"]
    assert poll(service, task_id) == {"success": True, "task_id": task_id, "status": "processing"}
    assert service.balance() == before
    is_free.set()
    ready = poll_until_ready(service, task_id)
    assert (ready["success"], ready["status"], ready["task_id"], ready["text"]) == (
        True,
        "ready",
        task_id,
        "7364",
    )
    assert ready["trace_id"] == created.json()["trace_id"] == service.last_call().trace_id
    assert poll(service, task_id, "id") == ready
    assert service.balance() == before - 1000
    assert [call.outcome for call in service.calls()] == ["answered"]


def test_a_task_that_could_not_be_read_is_ready_with_the_error(service: Service, picture: str) -> None:
    service.reads.error = RecognitionFailed("no text was read with enough confidence")
    before = service.balance()
    task_id = ask(service, IMAGE2TEXT, {"image": picture, "async": True}).json()["task_id"]
    ready = poll_until_ready(service, task_id)
    assert (ready["success"], ready["status"], ready["error"]["code"]) == (
        False,
        "ready",
        "recognition_failed",
    )
    assert ready["trace_id"] == service.last_call().trace_id
    assert service.balance() == before


@pytest.mark.parametrize("bad", [{"image": "%"}, {"image": "", "confidence": 3}, {}])
def test_a_task_that_cannot_start_is_refused_at_once(service: Service, bad: dict[str, Any]) -> None:
    reply = ask(service, IMAGE2TEXT, bad | {"async": True})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_request")


def test_a_task_without_credit_is_refused_at_once(service: Service, picture: str) -> None:
    service.set_balance(0)
    reply = ask(service, IMAGE2TEXT, {"image": picture, "async": True})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "used_up")


def test_somebody_else_s_task_is_not_found(service: Service, common_service: Service, picture: str) -> None:
    task_id = ask(service, IMAGE2TEXT, {"image": picture, "async": True}).json()["task_id"]
    poll_until_ready(service, task_id)
    for stranger, asked in (
        (common_service, task_id),
        (service, "no-such-task"),
        (service, str(uuid.uuid4())),
    ):
        reply = ask(stranger, "/captcha/tasks", {"task_id": asked})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_request")
        assert f"task_id: got '{asked[:20]}" in reply.json()["error"]["message"]
    missing = ask(service, "/captcha/tasks", {})
    assert missing.json()["error"]["message"].startswith(
        "task_id: got nothing; allowed: the task_id of a call"
    )
    assert ask(service, "/captcha/tasks", {"id": task_id}, authorization="Bearer lg_no").status_code == 401


def test_a_task_left_by_a_killed_server_does_not_run_for_ever(service: Service, picture: str) -> None:
    is_over = threading.Event()
    service.reads.before = lambda: is_over.wait(10)
    before = service.balance()
    task_id = ask(service, IMAGE2TEXT, {"image": picture, "async": True}).json()["task_id"]
    made_long_ago = update(StoredReply).where(StoredReply.token == f"task:{task_id}")
    with service.parts.database.write() as session:
        session.execute(made_long_ago.values(created_ms=now_ms() - 51_000))
    state = poll(service, task_id)
    assert (state["success"], state["status"], state["error"]["code"]) == (False, "ready", "api_error")
    is_over.set()
    time.sleep(0.3)
    assert poll(service, task_id)["error"]["code"] == "api_error"
    assert service.balance() == before, "what was told to have failed must not be charged later"


def test_a_task_outlives_its_server_for_a_day(start: Start, picture: str) -> None:
    first = start()
    task_id = ask(first, IMAGE2TEXT, {"image": picture, "async": True}).json()["task_id"]
    ready = poll_until_ready(first, task_id)
    second = start()
    second.key = first.key
    assert poll(second, task_id) == ready
    with first.parts.database.write() as session:
        session.execute(update(StoredReply).values(created_ms=now_ms() - 24 * 3_600_000 - 1))
    assert poll(second, task_id)["error"]["code"] == "bad_request"


def test_the_same_idempotency_key_charges_once_and_replays_byte_for_byte(
    service: Service, picture: str
) -> None:
    before = service.balance()
    replies = [ask(service, IMAGE2TEXT, {"image": picture}, idempotency_key="a") for _ in range(3)]
    assert len({reply.content for reply in replies}) == 1
    assert service.balance() == before - 1000
    assert [call.outcome for call in service.calls()] == ["answered", "replayed", "replayed"]
    assert ask(service, IMAGE2TEXT, {"image": picture}, idempotency_key="b").content != replies[0].content


def test_concurrent_calls_with_one_idempotency_key_charge_once(service: Service, picture: str) -> None:
    before = service.balance()
    with ThreadPoolExecutor(8) as threads:
        replies = list(
            threads.map(lambda _: ask(service, IMAGE2TEXT, {"image": picture}, idempotency_key="a"), range(8))
        )
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    assert service.balance() == before - 1000


def test_a_free_failure_runs_again_under_its_idempotency_key(service: Service, picture: str) -> None:
    service.reads.error = RecognitionFailed("no text was read with enough confidence")
    assert ask(service, IMAGE2TEXT, {"image": picture}, idempotency_key="a").status_code == 400
    service.reads.error = None
    assert ask(service, IMAGE2TEXT, {"image": picture}, idempotency_key="a").status_code == 200


def test_one_idempotency_key_cannot_mean_two_paths(service: Service, picture: str) -> None:
    ask(service, IMAGE2TEXT, {"image": picture}, idempotency_key="a")
    reply = ask(service, RECAPTCHA2, {"image": picture}, idempotency_key="a")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_request")
    assert "Idempotency-Key" in reply.json()["error"]["message"]


def test_a_task_with_an_idempotency_key_is_charged_once(service: Service, picture: str) -> None:
    before = service.balance()
    body = {"image": picture, "async": True}
    texts = []
    for _ in range(3):
        task_id = ask(service, IMAGE2TEXT, body, idempotency_key="a").json()["task_id"]
        texts.append(poll_until_ready(service, task_id)["text"])
    assert texts == ["7364"] * 3
    assert service.balance() == before - 1000


seen: list[Task] = []


def read_a_tile(task: Task) -> Answer:
    seen.append(task)
    assert isinstance(task.options, GridOptions)
    return GridAnswer(task.options.question, 100, (0.87654,), (0,), 0.9)


def find_a_point(task: Task) -> Answer:
    assert isinstance(task.options, ClickOptions)
    return ClickAnswer(task.options.question, 0.9, (500, 430), (360, 154))


@pytest.fixture
def every_kind(start: Start) -> Service:
    """A service that reads a single tile and an odd object, too."""
    seen.clear()
    service = start({Kind.GRID: read_a_tile, Kind.CLICK: find_a_point})
    for number, kind in ((10300, Kind.GRID), (10400, Kind.CLICK)):
        service.parts.prices.save(PricedType(number, kind, kind, kind, 2000))
    return service


def grid(size: tuple[int, int] = (100, 100)) -> str:
    return base64_of(draw(size=size))


def test_what_php_sends_for_nothing_is_left_out(every_kind: Service) -> None:
    body = {"image": grid(), "question": "/m/014xcs", "top": "", "confidence": "", "async": ""}
    assert ask(every_kind, RECAPTCHA2, body).json()["solution"]["objects"] == [0]
    assert (seen[-1].options, seen[-1].threshold) == (GridOptions("/m/014xcs", None), None)


@pytest.mark.parametrize(
    "question",
    [
        "/m/014xcs",
        "crosswalks",
        "Crosswalk",
        "Select all images with pedestrian crossings",
        "请选择包含人行横道的图片",
    ],
)
def test_a_single_tile_is_asked_by_id_or_name(every_kind: Service, question: str) -> None:
    reply = ask(every_kind, RECAPTCHA2, {"image": grid(), "question": question, "top": 3, "confidence": 0.4})
    assert reply.json()["solution"] == {
        "size": 100,
        "label": "/m/014xcs",
        "confidences": [0.8765],
        "objects": [0],
        "type": "single",
        "hasObject": True,
    }
    assert (seen[-1].options, seen[-1].threshold) == (GridOptions("/m/014xcs", 3), 0.4)
    assert every_kind.last_call().type_id == 10300


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("best", "top: got 'best'; allowed: a whole number from 1 to 16"),
        ("17", "top: got '17'; allowed: a whole number from 1 to 16"),
        (True, "top: got true; allowed: a whole number from 1 to 16"),
    ],
)
def test_a_number_of_tiles_that_is_none_is_refused(every_kind: Service, top: object, said: str) -> None:
    reply = ask(every_kind, RECAPTCHA2, {"image": grid(), "question": "/m/014xcs", "top": top})
    assert (reply.status_code, said in reply.json()["error"]["message"]) == (400, True)


def test_numbers_of_a_grid_are_taken_as_text(every_kind: Service) -> None:
    body = {"image": grid(), "question": "/m/014xcs", "top": "3", "confidence": "0.4"}
    assert ask(every_kind, RECAPTCHA2, body).status_code == 200
    assert (seen[-1].options, seen[-1].threshold) == (GridOptions("/m/014xcs", 3), 0.4)


@pytest.mark.parametrize("question", ["/m/unknown", "sheep", "", "cars or boats"])
def test_an_unknown_question_lists_what_is_known(every_kind: Service, question: str) -> None:
    reply = ask(every_kind, RECAPTCHA2, {"image": grid(), "question": question})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_request")
    assert "/m/014xcs (crosswalks)" in reply.json()["error"]["message"]


@pytest.mark.parametrize("size", [(99, 100), (300, 450), (450, 451), (120, 120)])
def test_another_size_of_grid_is_refused(every_kind: Service, size: tuple[int, int]) -> None:
    reply = ask(every_kind, RECAPTCHA2, {"image": grid(size), "question": "/m/014xcs"})
    said = f"image: got {size[0]}x{size[1]} pixels; allowed: 100x100, 300x300 or 450x450 pixels"
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, said)


def test_a_click_is_counted_from_the_corner_that_is_asked_for(every_kind: Service) -> None:
    body = {"queries": grid((500, 430)), "question": "the odd one"}
    solution = ask(every_kind, HCAPTCHA, body).json()["solution"]
    assert solution == {
        "label": "the odd one",
        "box": ["360", "276"],
        "confidences": 0.9,
        "origin": "bottom-left",
        "point": {"x": 360, "y": 154},
    }
    turned = ask(every_kind, HCAPTCHA, body | {"origin": "top-left"}).json()["solution"]
    assert (turned["box"], turned["origin"], turned["point"]) == (
        ["360", "154"],
        "top-left",
        {"x": 360, "y": 154},
    )


def test_several_pictures_get_a_yes_or_no_each() -> None:
    answer = ClickAnswer("cats", 0.8, (100, 100), objects=(True, False), confidences=(0.9, 0.1))
    moment = convert.Moment("t", datetime.now().astimezone(), datetime.now().astimezone())
    body = convert.success(answer, moment)
    assert body["solution"] == {"label": "cats", "confidences": [0.9, 0.1], "objects": [True, False]}


def test_one_picture_too_many_is_refused(every_kind: Service, picture: str) -> None:
    for queries, said in (
        ([picture] * 17, "queries: got a list of 17; allowed: at most 16 pictures"),
        ([picture, "%"], "queries[1]: got text that is not base64"),
        ([], "queries: got a list of 0; allowed: one picture in base64, or a list"),
        ([picture, 5], "queries[1]: got 5"),
    ):
        reply = ask(every_kind, HCAPTCHA, {"queries": queries, "question": "cats"})
        assert reply.status_code == 400
        assert said in reply.json()["error"]["message"]


def test_what_is_not_read_yet_is_refused_honestly(service: Service) -> None:
    for path, body in (
        (RECAPTCHA2, {"image": grid(), "question": "cars"}),
        (HCAPTCHA, {"queries": [grid()], "question": "the odd one"}),
    ):
        reply = ask(service, path, body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_request")
        assert re.fullmatch(
            r"recognizing \w+ is not available yet; available: text", reply.json()["error"]["message"]
        )
        assert service.last_call().outcome == "not_available"
