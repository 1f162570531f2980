"""The createTask dialect, as its clients see it: those that poll, and those that are answered at once."""

import base64
import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from math import dist
from typing import Any

import pytest
from sqlalchemy import select, update

from legible import recognizers
from legible.clock import now_ms
from legible.console import demo
from legible.db.tables import StoredReply, WrongAnswer
from legible.dialects.createtask import convert
from legible.errors import InvalidField, RecognitionFailed, Refusal
from legible.tasks import (
    Answer,
    ArithmeticAnswer,
    ClickAnswer,
    ClickOptions,
    GridAnswer,
    GridOptions,
    Kind,
    SliderAnswer,
    SliderOptions,
    Task,
    TextOptions,
)
from tests.service import Service, Start, base64_of, draw

# Clients of python3-anticaptcha and python3-capsolver break on a field more than these.
POLLED, AT_ONCE = (
    {"errorId", "taskId"},
    {"errorId", "errorCode", "errorDescription", "taskId", "status", "solution"},
)
RESULT = {"errorId", "status", "solution", "cost", "ip", "createTime", "endTime", "solveCount"}


def create(service: Service, task: Mapping[str, Any] | None, **fields: Any) -> dict[str, Any]:
    body = {"clientKey": service.key} | ({} if task is None else {"task": task})
    return post(service, "/createTask", body | fields)


def post(service: Service, path: str, body: object, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = service.client.post(path, json=body, headers=named)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def poll(service: Service, task_id: object) -> dict[str, Any]:
    """The result, as soon as it is no longer processing."""
    for _ in range(3000):
        state = post(service, "/getTaskResult", {"clientKey": service.key, "taskId": task_id})
        if state.get("status") != "processing":
            return state
        time.sleep(0.02)
    raise AssertionError("the task is still processing")


def text_task(picture: str, **fields: Any) -> dict[str, Any]:
    return {"type": "ImageToTextTask", "body": picture} | fields


def sample(file: str) -> str:
    return base64.b64encode((demo.SAMPLES / file).read_bytes()).decode()


@pytest.mark.parametrize("soft_id", [{}, {"softID": 1}, {"softId": None}])
def test_a_text_is_answered_at_once_and_charged_once(
    service: Service, picture: str, soft_id: dict[str, Any]
) -> None:
    before = service.balance()
    body = create(service, text_task(picture), **soft_id)
    assert body.keys() == AT_ONCE
    assert (body["errorId"], body["status"], body["solution"]["text"]) == (0, "ready", "7364")
    call = service.last_call()
    assert (call.outcome, call.dialect, call.cost_micros) == ("answered", "createtask", 1000)
    for task_id in (body["taskId"], int(body["taskId"])):
        result = poll(service, task_id)
        assert result.keys() == RESULT
        assert result["solution"] == body["solution"]
        assert (result["cost"], result["ip"], result["solveCount"]) == ("0.001", "127.0.0.1", 1)
        assert result["endTime"] >= result["createTime"] == pytest.approx(call.created_ms / 1000, abs=1)
    assert service.balance() == before - 1000
    assert len(service.calls()) == 1


@pytest.mark.parametrize("name", ["softId", "soft_id"])
def test_a_client_that_polls_is_charged_once_and_polls_for_free(
    service: Service, picture: str, name: str
) -> None:
    is_free = threading.Event()
    service.reads.before = lambda: is_free.wait(10)
    before = service.balance()
    created = create(service, text_task(picture), **{name: 0})
    assert created.keys() == POLLED
    assert isinstance(created["taskId"], int)
    asked = {"clientKey": service.key, "taskId": created["taskId"]}
    assert post(service, "/getTaskResult", asked) == {"errorId": 0, "status": "processing"}
    assert service.balance() == before
    is_free.set()
    result = poll(service, created["taskId"])
    assert result.keys() == RESULT
    assert result["solution"]["text"] == "7364"
    assert poll(service, str(created["taskId"])) == result
    assert service.balance() == before - 1000
    assert [call.outcome for call in service.calls()] == ["answered"]


def test_a_client_that_polls_hears_of_an_unreadable_picture_there(service: Service, picture: str) -> None:
    service.reads.error = RecognitionFailed("no text was read with enough confidence")
    before = service.balance()
    result = poll(service, create(service, text_task(picture), softId=7)["taskId"])
    assert (result["errorId"], result["errorCode"]) == (12, "ERROR_CAPTCHA_UNSOLVABLE")
    assert service.last_call().trace_id in result["errorDescription"]
    assert service.balance() == before


@pytest.mark.parametrize("soft_id", [{}, {"softId": 7}])
def test_what_cannot_start_is_told_at_once(service: Service, picture: str, soft_id: dict[str, Any]) -> None:
    service.set_balance(999)
    body = create(service, text_task(picture), **soft_id)
    assert (body["errorId"], body["errorCode"]) == (10, "ERROR_ZERO_BALANCE")
    assert "balance 0.000999 yuan, price 0.001 yuan" in body["errorDescription"]
    assert service.last_call().outcome == "insufficient_credit"


def test_the_balance_is_told_digit_by_digit(service: Service) -> None:
    service.set_balance(95_123_456)
    reply = service.client.post("/getBalance", json={"clientKey": service.key})
    assert reply.content == b'{"errorId":0,"balance":95.123456}'
    assert service.calls() == []
    refused = post(service, "/getBalance", {"clientKey": "lg_no"})
    assert (refused["errorId"], refused["errorCode"]) == (1, "ERROR_KEY_DOES_NOT_EXIST")
    service.parts.keys.revoke(service.last_key_id())
    assert post(service, "/getBalance", {"clientKey": service.key})["errorId"] == 1
    assert service.last_call().outcome == "unauthenticated"


@pytest.mark.parametrize(
    "type_",
    [
        "RecaptchaV2TaskProxyless", "NoCaptchaTaskProxyless", "ReCaptchaV2TaskProxyLess", "RecaptchaV2Task",
        "RecaptchaV3TaskProxyless", "HCaptchaTaskProxyless", "TurnstileTaskProxyless", "FunCaptchaTask",
        "GeeTestTaskProxyless", "AntiGateTask", "AudioTask", "imagetotexttask", "",
    ],
)  # fmt: skip
def test_other_tasks_are_not_offered_on_purpose(service: Service, type_: str) -> None:
    before = service.balance()
    task = {"type": type_, "websiteURL": "https://example.com", "websiteKey": "6Lc", "proxy": "1.2.3.4:80"}
    body = create(service, task)
    assert (body["errorId"], body["errorCode"]) == (23, "ERROR_TASK_NOT_SUPPORTED")
    said = body["errorDescription"]
    assert f"task.type: got '{type_}'; allowed: ImageToTextTask, ReCaptchaV2Classification" in said
    assert "not offered, on purpose" in said
    assert (service.last_call().outcome, service.last_call().trace_id in said) == ("not_offered", True)
    assert service.balance() == before


@pytest.mark.parametrize(
    ("task", "error_id", "code", "said"),
    [
        (None, 22, "ERROR_TASK_ABSENT", "task: got nothing; allowed: an object with the type"),
        (5, 22, "ERROR_TASK_ABSENT", "task: got 5"),
        ({}, 110, "ERROR_BAD_PARAMETERS", "task.type: got nothing; allowed: the type of a task"),
        ({"type": 5}, 110, "ERROR_BAD_PARAMETERS", "task.type: got 5"),
        ({"type": "ImageToTextTask"}, 110, "ERROR_BAD_PARAMETERS", "task.body: got nothing; allowed: a PNG"),
        (text_task(""), 3, "ERROR_ZERO_CAPTCHA_FILESIZE", "task.body: got no bytes"),
        (text_task("QUJD"), 15, "ERROR_IMAGE_TYPE_NOT_SUPPORTED", "task.body: got 3 bytes that are no whole"),
        (
            text_task("https://example.com/a.png"),
            15,
            "ERROR_IMAGE_TYPE_NOT_SUPPORTED",
            "task.body: got a URL, which is not fetched",
        ),
        (
            text_task(base64_of(draw(size=(4097, 8)))),
            4,
            "ERROR_TOO_BIG_CAPTCHA_FILESIZE",
            "task.body: got 4097x8 pixels; allowed: sides of 2 to 4096",
        ),
        (
            text_task("A" * 6_200_000),
            4,
            "ERROR_TOO_BIG_CAPTCHA_FILESIZE",
            "task.body: got about 4650000 bytes; allowed: at most 4194304",
        ),
    ],
)  # fmt: skip
def test_a_wrong_task_is_refused_by_name(
    service: Service, task: Any, error_id: int, code: str, said: str
) -> None:
    before = service.balance()
    body = create(service, task)
    assert (body["errorId"], body["errorCode"]) == (error_id, code)
    assert body["errorDescription"].startswith(said)
    assert service.last_call().trace_id in body["errorDescription"]
    assert service.balance() == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"numeric": 5}, "task.numeric: got 5; allowed: 1: only digits"),
        ({"minLength": -1}, "task.minLength: got -1; allowed: a whole number from 0 to 32"),
        ({"minLength": 33, "maxLength": 50}, "task.minLength: got 33; allowed: a whole number from 0 to 32"),
        ({"maxLength": -1}, "task.maxLength: got -1; allowed: a whole number from 0"),
        ({"maxLength": "many"}, "task.maxLength: got 'many'; allowed: a whole number from 0"),
        ({"minLength": 5, "maxLength": 4}, "task.minLength: got 5; allowed: at most task.maxLength"),
        ({"phrase": True}, "task.phrase: got true; allowed: false"),
        ({"phrase": "1"}, "task.phrase: got '1'; allowed: false"),
        ({"minLength": True}, "task.minLength: got true; allowed: a whole number"),
        ({"math": "perhaps"}, "task.math: got 'perhaps'; allowed: true or false"),
        ({"recognizingThreshold": 101}, "task.recognizingThreshold: got 101; allowed: a whole number"),
        ({"score": 2}, "task.score: got 2; allowed: a number from 0 to 1"),
        ({"confidence": True}, "task.confidence: got true; allowed: a number from 0 to 1"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_by_name(
    service: Service, picture: str, fields: dict[str, Any], said: str
) -> None:
    body = create(service, text_task(picture, **fields))
    assert (body["errorId"], body["errorCode"]) == (110, "ERROR_BAD_PARAMETERS")
    assert body["errorDescription"].startswith(said)


def test_no_url_is_called_back(service: Service, picture: str) -> None:
    for nothing in ("", None):
        assert create(service, text_task(picture), callbackUrl=nothing)["errorId"] == 0
    body = create(service, text_task(picture), callbackUrl="https://example.com/done")
    assert body["errorDescription"].startswith(
        "callbackUrl: got 'https://example.com/done'; allowed: nothing: no URL is called from here"
    )
    body = create(service, {"type": "RecaptchaV2TaskProxyless"}, callbackUrl="https://example.com/done")
    assert body["errorCode"] == "ERROR_TASK_NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("fields", "expected", "threshold"),
    [
        # What the programs of Anti-Captcha and 2Captcha always send.
        (
            {"phrase": False, "case": False, "numeric": 0, "math": 0, "minLength": 0, "maxLength": 0,
             "comment": False, "languagePool": "en"},
            TextOptions(),
            None,
        ),
        ({"phrase": "0", "case": "false", "math": "0"}, TextOptions(), None),
        ({"phrase": None, "numeric": None, "minLength": None, "math": None}, TextOptions(), None),
        (
            {"phrase": "", "case": "", "numeric": "", "math": "", "minLength": "", "maxLength": "",
             "confidence": "", "score": "", "recognizingThreshold": ""},
            TextOptions(),
            None,
        ),
        ({"minLength": 32, "maxLength": 50}, TextOptions(None, 32, 32), None),
        ({"maxLength": "255"}, TextOptions(), None),
        ({"numeric": 1, "minLength": 4, "maxLength": "6"}, TextOptions("0123456789", 4, 6), None),
        ({"numeric": 4, "case": True, "score": 0.8}, TextOptions(), 0.8),
        ({"recognizingThreshold": 70, "CapMonsterModule": "yandex"}, TextOptions(), 0.7),
        ({"confidence": 0.5, "module": "common", "websiteURL": "https://example.com"}, TextOptions(), 0.5),
    ],
)  # fmt: skip
def test_what_is_known_of_a_text_reaches_the_recognizer(
    service: Service, picture: str, fields: dict[str, Any], expected: TextOptions, threshold: float | None
) -> None:
    assert create(service, text_task(picture, **fields))["errorId"] == 0
    assert service.reads.last is not None
    assert (service.reads.last.options, service.reads.last.threshold) == (expected, threshold)


def test_letters_alone_are_asked_for(service: Service, picture: str) -> None:
    create(service, text_task(picture, numeric=2))
    assert service.reads.last is not None
    assert isinstance(service.reads.last.options, TextOptions)
    assert set(service.reads.last.options.charset or "") == set(
        "abcdefghijklmnopqrstuvwxyz".swapcase()
    ) | set("abcdefghijklmnopqrstuvwxyz")


seen: list[Task] = []


def see(task: Task) -> Answer:
    """What a recognizer of that kind may say."""
    seen.append(task)
    match task.options:
        case GridOptions():
            single = task.threshold == 1
            confidences = (0.9,) if single else (0.1, 0.2, 0.9, 0.1, 0.1, 0.95, 0.1, 0.88, 0.1)
            return GridAnswer("/m/01pns0", 300, confidences, (0,) if single else (2, 5, 7), 0.9)
        case ClickOptions() if len(task.images) > 1:
            return ClickAnswer("q", 0.8, (120, 40), None, (True, False), (0.9, 0.1))
        case ClickOptions(question="both"):
            return ClickAnswer("q", 0.8, (120, 40), (60, 20), points=((60, 20), (100, 30)))
        case ClickOptions():
            return ClickAnswer("q", 0.8, (120, 40), (60, 20))
        case SliderOptions():
            return SliderAnswer((123, 4, 50, 30), 0.87654, 3 if task.options.piece else None)
    return ArithmeticAnswer("8", "3+5", 0.9)


@pytest.fixture
def every_kind(start: Start) -> Service:
    seen.clear()
    return start({kind: see for kind in Kind if kind is not Kind.TEXT})


def solved(service: Service, task: dict[str, Any]) -> dict[str, Any]:
    """The solution, whichever way it comes."""
    created = create(service, task)
    assert created["errorId"] == 0, created
    solution: dict[str, Any] = created.get("solution") or poll(service, created["taskId"])["solution"]
    return solution


def test_math_is_a_sum_at_its_own_price(every_kind: Service, picture: str) -> None:
    solution = solved(every_kind, text_task(picture, math=True))
    assert solution == {"text": "8", "expression": "3+5", "confidence": 0.9}
    call = every_kind.last_call()
    assert (call.kind, call.type_id, call.cost_micros) == ("arithmetic", 50100, 5000)


def test_a_grid_is_classified(every_kind: Service) -> None:
    image = base64_of(draw(size=(300, 300)))
    task = {"type": "ReCaptchaV2Classification", "image": image, "question": "/m/01pns0"}
    solution = solved(every_kind, task | {"confidence": 0.5, "top": 3})
    shown = {"type": "multi", "size": 3, "label": "/m/01pns0", "objects": [2, 5, 7]}
    assert {name: solution[name] for name in shown} == shown
    assert len(solution["confidences"]) == 9
    assert (seen[-1].options, seen[-1].threshold) == (GridOptions("/m/01pns0", 3), 0.5)
    single = solved(every_kind, task | {"image": base64_of(draw(size=(100, 100))), "confidence": 1})
    assert (single["type"], single["size"], single["hasObject"]) == ("single", 1, True)
    assert every_kind.last_call().kind == "grid"


def test_a_grid_task_is_polled_for_and_counts_from_one(every_kind: Service) -> None:
    task = {"type": "GridTask", "body": base64_of(draw(size=(300, 300))), "rows": 3, "columns": 3}
    created = create(every_kind, task | {"comment": "Select all images with a fire hydrant"})
    assert created.keys() == POLLED
    assert poll(every_kind, created["taskId"])["solution"]["click"] == [3, 6, 8]
    assert seen[-1].options == GridOptions("/m/01pns0")
    empty = {"comment": "fire hydrant", "rows": "", "columns": ""}
    assert solved(every_kind, task | empty)["click"] == [3, 6, 8]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rows": 4}, "task.rows: got 4; allowed: 3, which a picture of 300x300 pixels has"),
        ({"columns": 2}, "task.columns: got 2; allowed: 3"),
        ({"comment": "unicorns"}, "task.comment: got 'unicorns'; allowed: /m/"),
        ({"body": base64_of(draw(size=(301, 300)))}, "task.body: got 301x300 pixels; allowed: 100x100"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(every_kind: Service, fields: dict[str, Any], said: str) -> None:
    task = {"type": "GridTask", "body": base64_of(draw(size=(300, 300))), "comment": "bus"}
    body = create(every_kind, task | fields)
    assert body["errorDescription"].startswith(said)
    assert body["errorId"] in (15, 110)


def test_a_click_is_a_point_from_the_top_left_or_yes_and_no(every_kind: Service, picture: str) -> None:
    task = {"type": "HCaptchaClassification", "question": "the odd one", "queries": picture}
    one = solved(every_kind, task | {"coordinate": True, "anchors": [picture]})
    assert (one["box"], one["imageSize"]) == ([60, 20], [120, 40])
    assert isinstance(seen[-1].options, ClickOptions)
    assert len(seen[-1].options.anchors) == 1
    both = solved(every_kind, task | {"question": "both", "anchors": ""})
    assert both["points"] == [[60, 20], [100, 30]]
    assert solved(every_kind, task | {"queries": [picture, picture]})["objects"] == [True, False]
    many = create(every_kind, task | {"queries": [picture] * 17})
    assert many["errorDescription"].startswith("task.queries: got a list of 17; allowed: at most 16")
    bad = create(every_kind, task | {"queries": [picture, "%"]})
    assert bad["errorDescription"].startswith("task.queries[1]: got text that is not base64")


@pytest.mark.parametrize(
    ("path", "is_wrong"),
    [("/reportIncorrect", True), ("/reportIncorrectImageCaptcha", True), ("/reportCorrect", False)],
)
def test_a_report_is_kept_with_its_call(service: Service, picture: str, path: str, is_wrong: bool) -> None:
    task_id = create(service, text_task(picture))["taskId"]
    before, call_id = service.balance(), service.last_call().id
    body = {"clientKey": service.key, "taskId": task_id}
    for _ in range(2):
        reply = service.client.post(path, json=body)
        assert (reply.status_code, reply.json()) == (200, {"errorId": 0, "status": "success"})
    with service.parts.database.read() as session:
        reports = session.scalars(select(WrongAnswer).where(WrongAnswer.call_id == call_id)).all()
    assert len(reports) == is_wrong
    assert service.balance() == before
    unknown = service.client.post(path, json=body | {"taskId": 1}).json()
    assert (unknown["errorId"], unknown["errorCode"]) == (16, "ERROR_NO_SUCH_CAPCHA_ID")
    nobody = service.client.post(path, json=body | {"clientKey": "lg_no"}).json()
    assert nobody["errorCode"] == "ERROR_KEY_DOES_NOT_EXIST"
    assert service.client.get(path).json()["errorCode"] == "ERROR_NO_SUCH_METHOD"


def test_the_tasks_of_another_dialect_are_not_found(service: Service, picture: str) -> None:
    headers = {"authorization": f"Bearer {service.key}"}
    url = "/captcha/recognition/image2text"
    asked = service.client.post(url, json={"image": picture, "async": True}, headers=headers).json()
    body = post(service, "/getTaskResult", {"clientKey": service.key, "taskId": asked["task_id"]})
    assert body["errorCode"] == "ERROR_NO_SUCH_CAPCHA_ID"
    task_id = create(service, text_task(picture))["taskId"]
    reply = service.client.post("/captcha/tasks", json={"task_id": task_id}, headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad_request")


def test_coordinates_are_polled_for(every_kind: Service, picture: str) -> None:
    task = {"type": "CoordinatesTask", "body": picture, "minClicks": 1, "imgInstructions": picture}
    created = create(every_kind, task | {"comment": "the odd one"})
    assert created.keys() == POLLED
    assert poll(every_kind, created["taskId"])["solution"]["coordinates"] == [{"x": 60, "y": 20}]
    assert isinstance(seen[-1].options, ClickOptions)
    assert len(seen[-1].options.anchors) == 1
    assert seen[-1].options.place_only
    both = solved(every_kind, task | {"comment": "both"})
    assert both["coordinates"] == [{"x": 60, "y": 20}, {"x": 100, "y": 30}]
    assert create(every_kind, task)["errorDescription"].startswith("task.comment: got nothing")


def test_anti_captchas_coordinates_are_pairs(every_kind: Service, picture: str) -> None:
    task = {"type": "ImageToCoordinatesTask", "body": picture, "comment": "both"}
    created = create(every_kind, task | {"mode": "points", "websiteURL": "https://example.com"})
    assert created.keys() == POLLED
    assert poll(every_kind, created["taskId"])["solution"]["coordinates"] == [[60, 20], [100, 30]]
    assert solved(every_kind, task | {"comment": "the odd one"})["coordinates"] == [[60, 20]]
    refused = create(every_kind, task | {"mode": "rectangles"})["errorDescription"]
    assert refused.startswith("task.mode: got 'rectangles'; allowed: points")


def test_capmonsters_complex_image_says_yes_or_no_of_each_tile(every_kind: Service) -> None:
    image = base64_of(draw(size=(300, 300)))
    task = {"type": "ComplexImageTask", "class": "recaptcha", "imagesBase64": [image]}
    asked = {"Grid": "3x3", "Task": "Click on fire hydrants", "TaskDefinition": "/m/01pns0"}
    created = create(every_kind, task | {"metadata": asked, "userAgent": "x", "websiteURL": "y"})
    assert created.keys() == POLLED
    answer = [tile in (2, 5, 7) for tile in range(9)]
    assert poll(every_kind, created["taskId"])["solution"]["answer"] == answer
    assert seen[-1].options == GridOptions("/m/01pns0")
    assert solved(every_kind, task | {"metadata": {"Task": "Click on fire hydrants"}})["answer"] == answer
    for fields, said in (
        ({"metadata": {"Grid": "4x4", "Task": "bus"}}, "task.metadata.Grid: got 4x4; allowed: 3x3, which"),
        ({"metadata": {"Grid": "3x3"}}, "task.metadata: got ''; allowed: /m/"),
        (
            {"metadata": {"Task": "bus"}, "class": "hcaptcha"},
            "task.class: got 'hcaptcha'; allowed: recaptcha",
        ),
        ({"metadata": {"Task": "bus"}, "imagesBase64": []}, "task.imagesBase64: got a list of 0"),
    ):
        assert create(every_kind, task | fields)["errorDescription"].startswith(said)


@pytest.mark.parametrize("type_", ["ImageToTextTaskMuggle", "ImageToTextTaskM1"])
def test_yescaptchas_other_names_of_a_text_are_read(service: Service, picture: str, type_: str) -> None:
    assert solved(service, {"type": type_, "body": picture})["text"] == "7364"


def test_a_slider_answers_how_far_the_piece_goes(every_kind: Service, picture: str) -> None:
    task = {"type": "VisionEngine", "module": "slider_1", "imageBackground": picture}
    with_piece = solved(every_kind, task | {"image": base64_of(draw(size=(50, 30)))})
    assert with_piece == {"distance": 120, "box": [123, 4, 50, 30], "confidence": 0.8765}
    assert solved(every_kind, task)["distance"] == 123
    other = create(every_kind, task | {"module": "rotate_1"})
    assert other["errorDescription"].startswith("task.module: got 'rotate_1'; allowed: slider_1")


REFUSED = [
    ({"type": "ImageToTextTask"}, "body", "image", "task.body"),
    ({"type": "CoordinatesTask", "comment": "q"}, "body", "question", "task.comment"),
    ({"type": "HCaptchaClassification", "question": "q"}, "queries", "images[0]", "task.queries[0]"),
    ({"type": "VisionEngine"}, "imageBackground", "image", "task.imageBackground"),
    ({"type": "VisionEngine"}, "imageBackground", "piece", "task.image"),
]


@pytest.mark.parametrize(("task", "field", "neutral", "said"), REFUSED)
def test_what_a_recognizer_refuses_is_named_as_the_task_named_it(
    start: Start, picture: str, task: dict[str, str], field: str, neutral: str, said: str
) -> None:
    def refuse(_: Task) -> Answer:
        raise InvalidField(neutral, got="this", allowed="that")

    service = start(dict.fromkeys(Kind, refuse))
    reply = create(service, task | {field: picture})
    if "errorCode" not in reply:
        reply = poll(service, reply["taskId"])
    assert reply["errorDescription"].startswith(f"{said}: got this; allowed: that")


def test_a_key_for_another_kind_is_refused(every_kind: Service, picture: str) -> None:
    key = every_kind.new_key(kinds=[Kind.GRID])
    body = create(every_kind, text_task(picture), clientKey=key)
    assert (body["errorId"], body["errorCode"]) == (1, "ERROR_KEY_DENIED_ACCESS")
    assert every_kind.last_call().outcome == "not_allowed"


def test_a_kind_that_is_not_installed_is_refused_honestly(service: Service, picture: str) -> None:
    body = create(service, text_task(picture, math=True))
    assert (body["errorId"], body["errorCode"]) == (23, "ERROR_TASK_NOT_SUPPORTED")
    assert "recognizing arithmetic is not available yet" in body["errorDescription"]


@pytest.mark.parametrize("file", ["text-1.png", "arithmetic-1.png", "grid-1.webp", "click-3.webp"])
def test_the_shipped_recognizers_read_what_our_generators_drew(start: Start, file: str) -> None:
    service = start(recognizers.available())
    found = demo.find(file)
    assert found is not None
    _, drawn = found
    image, question = sample(file), drawn.values.get("question", "")
    truth = [int(each) for each in drawn.truth.split(", ")] if ", " in drawn.truth else []
    match file.split("-")[0]:
        case "text":
            assert solved(service, text_task(image, numeric=1, minLength=4))["text"] == drawn.truth
        case "arithmetic":
            assert solved(service, text_task(image, math=True))["text"] == drawn.truth
        case "grid":
            tiles = solved(service, {"type": "GridTask", "body": image, "comment": question})["click"]
            assert tiles == [tile + 1 for tile in truth]
            task = {"type": "ReCaptchaV2Classification", "image": image, "question": question}
            assert solved(service, task)["objects"] == truth
        case "click":
            task = {"type": "HCaptchaClassification", "queries": [image], "question": question}
            assert dist(solved(service, task)["box"], truth) < 20
            (point,) = solved(service, {"type": "CoordinatesTask", "body": image, "comment": question})[
                "coordinates"
            ]
            assert dist((point["x"], point["y"]), truth) < 20


def test_the_shipped_recognizer_moves_a_piece(start: Start) -> None:
    service = start(recognizers.available())
    task = {"type": "VisionEngine", "module": "slider_1", "imageBackground": sample("slider-1.jpg")}
    solution = solved(service, task | {"image": sample("slider-1-piece.png")})
    assert abs(solution["box"][0] - 435) <= 5
    assert 0 <= solution["box"][0] - solution["distance"] < 45


def test_an_idempotency_key_replays_byte_for_byte_and_charges_once(service: Service, picture: str) -> None:
    before = service.balance()
    body = {"clientKey": service.key, "task": text_task(picture)}
    replies = [
        service.client.post("/createTask", json=body, headers={"Idempotency-Key": "a"}) for _ in range(3)
    ]
    assert len({reply.content for reply in replies}) == 1
    assert poll(service, replies[0].json()["taskId"])["solution"]["text"] == "7364"
    other = post(service, "/createTask", body | {"appId": "x"}, idempotency_key="a")
    assert (other["errorId"], other["errorCode"]) == (110, "ERROR_BAD_PARAMETERS")
    assert service.balance() == before - 1000
    outcomes = [call.outcome for call in service.calls()]
    assert outcomes == ["answered", "replayed", "replayed", "idempotency_conflict"]


def test_a_task_with_an_idempotency_key_is_charged_once(service: Service, picture: str) -> None:
    before = service.balance()
    body = {"clientKey": service.key, "softId": 1, "task": text_task(picture)}
    with ThreadPoolExecutor(4) as threads:
        created = list(
            threads.map(lambda _: post(service, "/createTask", body, idempotency_key="a"), range(4))
        )
    results = [poll(service, each["taskId"]) for each in created]
    assert [result["solution"]["text"] for result in results] == ["7364"] * 4
    assert service.balance() == before - 1000


def test_somebody_else_s_task_is_not_found(service: Service, common_service: Service, picture: str) -> None:
    task_id = create(service, text_task(picture))["taskId"]
    for stranger, asked in (
        (common_service, task_id),
        (service, 7),
        (service, "no-such-task"),
        (service, True),
    ):
        body = post(stranger, "/getTaskResult", {"clientKey": stranger.key, "taskId": asked})
        assert (body["errorId"], body["errorCode"]) == (16, "ERROR_NO_SUCH_CAPCHA_ID")
    assert service.last_call().outcome == "not_found"
    for wrong in ({}, {"taskId": -1}, {"taskId": [1]}, {"taskId": 10**400}):
        body = post(service, "/getTaskResult", {"clientKey": service.key} | wrong)
        assert body["errorDescription"].startswith("taskId: got ")
    assert post(service, "/getTaskResult", {"taskId": task_id})["errorId"] == 1


def test_a_task_left_by_a_killed_server_does_not_run_for_ever(service: Service, picture: str) -> None:
    is_over = threading.Event()
    service.reads.before = lambda: is_over.wait(10)
    task_id = create(service, text_task(picture), softId=1)["taskId"]
    made_long_ago = update(StoredReply).where(StoredReply.token == f"task:{task_id}")
    with service.parts.database.write() as session:
        session.execute(made_long_ago.values(created_ms=now_ms() - 51_000))
    assert poll(service, task_id)["errorCode"] == "ERROR_SERVICE_UNAVALIABLE"
    is_over.set()


@pytest.mark.parametrize(("rules", "row"), [
    ({"addresses": ["203.0.113.0/24"]}, (11, "ERROR_IP_NOT_ALLOWED")),
    ({"expires_ms": 1}, (1, "ERROR_KEY_DOES_NOT_EXIST")),
])  # fmt: skip
@pytest.mark.parametrize("path", ["/createTask", "/getTaskResult", "/getBalance"])
def test_a_key_that_may_not_call_is_refused_and_logged(
    service: Service, picture: str, path: str, rules: dict[str, Any], row: tuple[int, str]
) -> None:
    body = {"clientKey": service.new_key(**rules), "task": text_task(picture), "taskId": 1}
    refused = post(service, path, body)
    assert (refused["errorId"], refused["errorCode"]) == row
    assert (service.last_call().outcome, service.last_call().dialect) == ("unauthenticated", "createtask")


def test_a_suspended_account_is_told(service: Service) -> None:
    service.parts.accounts.set_enabled(service.account_id, False)
    body = post(service, "/getBalance", {"clientKey": service.key})
    assert (body["errorId"], body["errorCode"]) == (55, "ERROR_ACCOUNT_SUSPENDED")


@pytest.mark.parametrize("path", ["/createTask", "/getTaskResult", "/getBalance"])
def test_white_space_around_a_key_is_no_part_of_it(service: Service, picture: str, path: str) -> None:
    task_id = create(service, text_task(picture))["taskId"]
    body = {"clientKey": f" {service.key}\r\n", "task": text_task(picture), "taskId": task_id}
    assert post(service, path, body)["errorId"] == 0
    refused = service.client.put(path, json=body)
    assert service.last_call().trace_id == refused.headers["X-Trace-Id"]


@pytest.mark.parametrize("path", ["/createTask", "/getTaskResult", "/getBalance"])
def test_a_body_that_is_no_json_object_is_refused(service: Service, path: str) -> None:
    for content in (
        b"",
        b"clientKey=1",
        b"[1]",
        b'{"clientKey": "\xff"}',
        b"[" * 100_000,
        b'{"clientKey": 5}',
    ):
        reply = service.client.post(path, content=content, headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()["errorCode"]) == (200, "ERROR_BAD_PARAMETERS")
    form = service.client.post(path, data={"clientKey": service.key}).json()["errorDescription"]
    assert form.startswith("content-type: got 'application/x-www-form-urlencoded'; allowed: application/json")
    large = service.client.post(path, content=b"x" * 7 * 1024 * 1024)
    assert large.json()["errorCode"] == "ERROR_TOO_BIG_CAPTCHA_FILESIZE"
    assert service.calls() == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_in_their_shape(service: Service, method: str) -> None:
    content = json.dumps({"clientKey": service.key})
    reply = service.client.request(method, "/createTask", content=content)
    assert (reply.status_code, reply.json()["errorCode"]) == (200, "ERROR_NO_SUCH_METHOD")
    assert service.last_call().outcome == "wrong_method"


@pytest.mark.parametrize("path", ["/getQueueStats", "/getAppStats", "/getSpendingStats"])
def test_a_method_that_some_vendors_have_is_refused_in_their_shape(service: Service, path: str) -> None:
    reply = service.client.post(path, json={"clientKey": service.key, "queueId": 1})
    told = reply.json()
    assert (reply.status_code, told["errorId"], told["errorCode"]) == (200, 14, "ERROR_NO_SUCH_METHOD")
    assert told["errorDescription"].startswith(f"method: got '{path}'; allowed: /createTask, /getTaskResult")
    assert service.last_call().trace_id == reply.headers["X-Trace-Id"]


def test_every_refusal_has_the_error_of_the_page() -> None:
    rows = {leaf.__name__: tuple(convert.REFUSALS[_listed(leaf)]) for leaf in _leaves(Refusal)}
    wrong, image, later = (
        (110, "ERROR_BAD_PARAMETERS"),
        (15, "ERROR_IMAGE_TYPE_NOT_SUPPORTED"),
        (2, "ERROR_NO_SLOT_AVAILABLE"),
    )
    assert rows == {
        "BadRequest": wrong,
        "InvalidField": wrong,
        "InvalidImage": image,
        "EmptyImage": (3, "ERROR_ZERO_CAPTCHA_FILESIZE"),
        "ImageTooLarge": (4, "ERROR_TOO_BIG_CAPTCHA_FILESIZE"),
        "UnknownType": wrong,
        "WrongMethod": (14, "ERROR_NO_SUCH_METHOD"),
        "WrongContentType": wrong,
        "BodyTooLarge": (4, "ERROR_TOO_BIG_CAPTCHA_FILESIZE"),
        "IdempotencyConflict": wrong,
        "NotOffered": (23, "ERROR_TASK_NOT_SUPPORTED"),
        "NotAvailable": (23, "ERROR_TASK_NOT_SUPPORTED"),
        "Unauthenticated": (1, "ERROR_KEY_DOES_NOT_EXIST"),
        "NotAllowed": (1, "ERROR_KEY_DENIED_ACCESS"),
        "InsufficientCredit": (10, "ERROR_ZERO_BALANCE"),
        "RateLimited": (2, "ERROR_TOO_MUCH_REQUESTS"),
        "NotFound": (16, "ERROR_NO_SUCH_CAPCHA_ID"),
        "RecognitionFailed": (12, "ERROR_CAPTCHA_UNSOLVABLE"),
        "TimedOut": (12, "ERROR_TASK_TIMEOUT"),
        "Unavailable": later,
        "InDoubt": later,
        "Broken": (2, "ERROR_SERVICE_UNAVALIABLE"),
    }


def _leaves(root: type[Refusal]) -> list[type[Refusal]]:
    return [leaf for each in root.__subclasses__() for leaf in (each, *_leaves(each))]


def _listed(leaf: type[Refusal]) -> type[Refusal]:
    return next(each for each in leaf.__mro__ if each in convert.REFUSALS)
