"""captchaapi.com's dialect, as its clients see it."""

import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legible.dialects.captchaapi import convert
from legible.errors import (
    Broken,
    InDoubt,
    InvalidImage,
    RateLimited,
    RecognitionFailed,
    Refusal,
    Unauthenticated,
    Unavailable,
)
from legible.prices import PricedType
from legible.tasks import (
    Answer,
    ArithmeticAnswer,
    Candidate,
    Kind,
    SliderAnswer,
    SliderOptions,
    Task,
    TextOptions,
)
from tests.service import Service, Start, base64_of, draw

PATH = "/api/v1/captcha.php"


def ask(service: Service, body: dict[str, Any], key: str | None = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.client.post(PATH, json=body, headers={"X-API-Key": key or service.key} | named)


@pytest.mark.parametrize(
    ("type_id", "cost", "group_name"),
    [
        (50200, 0.001, "通用数英"),
        (10001, 0.05, "图像识别"),
        ("50200", 0.001, "通用数英"),
        (" 50200", 0.001, "通用数英"),
        (50200.0, 0.001, "通用数英"),
        ("50200.0", 0.001, "通用数英"),
    ],
)
def test_a_text_is_read_charged_and_logged(
    service: Service, picture: str, type_id: object, cost: float, group_name: str
) -> None:
    before = service.balance()
    reply = ask(service, {"image": picture, "type": type_id})
    body = reply.json()
    assert (reply.status_code, body["code"], body["msg"]) == (200, 200, "识别成功")
    data = body["data"]
    assert (data["result"], data["cost"], data["group_name"]) == ("7364", cost, group_name)
    assert data["confidence"] == 0.9
    assert [each["text"] for each in data["characters"]] == list("7364")
    call = service.last_call()
    assert (data["log_id"], call.type_id) == (call.log_id, int(float(str(type_id))))
    assert service.balance() == before - call.cost_micros
    assert body["timestamp"] == pytest.approx(call.created_ms / 1000, abs=2)


def test_log_ids_are_unique_dated_and_rising(service: Service, picture: str) -> None:
    ids = [ask(service, {"image": picture, "type": 50200}).json()["data"]["log_id"] for _ in range(3)]
    assert all(re.fullmatch(r"LOG20\d{6}\d{6,}", each) for each in ids)
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("where", ["header", "body", "both"])
def test_the_key_is_taken_from_header_or_body(service: Service, picture: str, where: str) -> None:
    written = {"api_key": f"\t{service.key} \r\n"}  # as a file has it that ends with a line break
    body = {"image": picture, "type": 50200} | ({} if where == "header" else written)
    headers = {} if where == "body" else {"X-API-Key": service.key}
    assert service.client.post(PATH, json=body, headers=headers).status_code == 200


def test_two_different_keys_are_refused(service: Service, picture: str) -> None:
    before = service.balance()
    reply = ask(service, {"image": picture, "type": 50200, "api_key": service.new_key()})
    assert (reply.status_code, reply.json()["code"], reply.json()["msg"]) == (401, 401, "认证失败")
    assert reply.json()["data"]["detail"] == "请求头 X-API-Key 与请求体 api_key 不一致; 请只提供一个"
    assert service.last_call().log_id == reply.json()["data"]["log_id"]
    assert service.balance() == before


@pytest.mark.parametrize("at_fault", ["header", "body"])
def test_a_request_is_logged_by_whichever_key_is_known(service: Service, picture: str, at_fault: str) -> None:
    keys = {"header": service.key, "body": service.key} | {at_fault: "lg_wrong"}
    reply = ask(service, {"image": picture, "type": 50200, "api_key": keys["body"]}, keys["header"])
    assert (reply.status_code, service.last_call().log_id) == (401, reply.json()["data"]["log_id"])


@pytest.mark.parametrize(
    ("method", "path", "outcome"),
    [("PUT", PATH, "wrong_method"), ("POST", "/api/v2/captcha.php", "not_found")],
)
def test_a_key_in_the_body_of_a_wrong_request_is_found(
    service: Service, picture: str, method: str, path: str, outcome: str
) -> None:
    reply = service.client.request(method, path, json={"image": picture, "api_key": f"{service.key}\n"})
    assert service.last_call().outcome == outcome
    assert service.last_call().log_id == reply.json()["data"]["log_id"]


def test_a_form_is_told_that_it_is_one_and_not_that_its_key_is_missing(
    service: Service, picture: str
) -> None:
    reply = service.client.post(PATH, data={"api_key": service.key, "image": picture, "type": "50200"})
    assert (reply.status_code, "content-type: 收到" in reply.json()["msg"]) == (400, True)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ('{{"api_key": "{key}", "image": "QUJD", "type": 50200,}}', 400, "body: 收到 不是 JSON 的文本"),
        ('{{"api_key": "{key}", "image": "QUJD', 400, "body: 收到 不是 JSON 的文本"),
        ('["{key}"]', 400, "body: 收到 1 个元素的列表"),
        ('{{"api_key": "{key}", "image": "' + "A" * 7_000_000 + '"}}', 413, "请求体过大"),
        ("", 401, "认证失败"),
        ("{{}}", 401, "认证失败"),
    ],
)
def test_a_body_that_hides_its_key_is_told_what_is_wrong_with_it(
    service: Service, body: str, code: int, said: str
) -> None:
    headers = {"content-type": "application/json"}
    reply = service.client.post(PATH, content=body.format(key=service.key).encode(), headers=headers)
    assert (reply.status_code, said in reply.json()["msg"]) == (code, True)


@pytest.mark.parametrize("refusal", [Broken(), Unavailable("the database is down"), InDoubt()])
def test_a_fault_without_a_log_id_is_found_by_its_trace_id(refusal: Refusal) -> None:
    data = json.loads(convert.failure(refusal, None, 0, "2cf86e86"))["data"]
    assert data.keys() == {"detail", "trace_id"}
    assert data["trace_id"] == "2cf86e86"


def test_a_key_that_may_not_call_is_not_told_the_balance(service: Service, picture: str) -> None:
    revoked = service.new_key()
    service.parts.keys.revoke(service.last_key_id())
    data = ask(service, {"image": picture, "type": 50200}, revoked).json()["data"]
    assert data.keys() == {"log_id", "cost", "response_time", "detail"}
    assert data["detail"] == "API 密钥已被撤销; 请新建一个密钥"


def test_only_types_that_this_api_answers_are_offered(service: Service, picture: str) -> None:
    for type_id in (99, 60100):
        msg = ask(service, {"image": picture, "type": type_id}).json()["msg"]
        assert msg.startswith(f"参数错误: type: 收到 {type_id}; 应为 ")
        assert "50200 (" in msg
        assert "60100 (" not in msg
        assert "60200 (" not in msg


def test_a_failed_recognition_shows_only_what_their_page_shows(service: Service, picture: str) -> None:
    service.reads.error = RecognitionFailed("no text was read with enough confidence")
    reply = ask(service, {"image": picture, "type": 50200})
    body = reply.json()
    assert (reply.status_code, body["code"], body["msg"]) == (400, 400, "识别失败")
    assert body["data"].keys() == {"log_id", "cost", "balance", "response_time"}
    assert (body["data"]["cost"], body["data"]["balance"]) == (0, 1)


def test_every_error_has_the_code_and_message_of_the_contract() -> None:
    rows = {leaf.__name__: tuple(convert.REFUSALS[_listed(leaf)]) for leaf in _leaves(Refusal)}
    wrong, unknown, ours = (400, "参数错误"), (401, "认证失败"), (500, "服务器错误")
    assert rows == {
        "InvalidField": wrong,
        "InvalidImage": wrong,
        "EmptyImage": wrong,
        "ImageTooLarge": wrong,
        "UnknownType": wrong,
        "WrongMethod": wrong,
        "WrongContentType": wrong,
        "BodyTooLarge": (413, "参数错误"),
        "IdempotencyConflict": wrong,
        "NotOffered": wrong,
        "NotAvailable": wrong,
        "BadRequest": wrong,
        "Unauthenticated": unknown,
        "NotAllowed": unknown,
        "InsufficientCredit": (402, "余额不足"),
        "RateLimited": (429, "请求过于频繁"),
        "NotFound": (404, "参数错误"),
        "RecognitionFailed": (400, "识别失败"),
        "TimedOut": ours,
        "InDoubt": ours,
        "Unavailable": ours,
        "Broken": ours,
    }


def _leaves(root: type[Refusal]) -> list[type[Refusal]]:
    return [leaf for each in root.__subclasses__() for leaf in (each, *_leaves(each))]


def _listed(leaf: type[Refusal]) -> type[Refusal]:
    return next(each for each in leaf.__mro__ if each in convert.REFUSALS)


@pytest.mark.parametrize("msg", ["认证失败", "请求过于频繁", "服务器错误"])
def test_their_fixed_messages_are_exact(msg: str) -> None:
    refusals = (Unauthenticated("unknown", ""), RateLimited(limit=10, retry_after=0.5), Broken())
    said = [json.loads(convert.failure(refusal, None, 0, "")) for refusal in refusals]
    assert msg in [body["msg"] for body in said]
    assert all(body["data"]["detail"] for body in said)


def test_every_reply_says_that_it_is_utf_8(
    service: Service, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"image": picture, "type": 50200}
    replies = [ask(service, good, idempotency_key="a") for _ in range(2)]
    replies += [ask(service, {}), ask(service, good, "unknown"), service.client.get(PATH)]
    monkeypatch.setattr(service.parts.desk, "receive", None)
    replies.append(ask(service, good))
    assert [reply.status_code for reply in replies] == [200, 200, 400, 401, 400, 500]
    assert {reply.headers["content-type"] for reply in replies} == {"application/json; charset=utf-8"}


def test_clients_that_need_it_always_get_status_200(
    start: Start, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start(captchaapi_always_200=True)
    for body, key, code in (
        ({"image": picture, "type": 50200}, service.key, 200),
        ({"image": "%", "type": 50200}, service.key, 400),
        ({"image": picture, "type": 50200}, "unknown", 401),
    ):
        reply = ask(service, body, key)
        assert (reply.status_code, reply.json()["code"]) == (200, code)
    assert [call.status for call in service.calls()] == [200, 200]
    assert service.client.get(PATH).status_code == 200
    assert service.client.get(PATH).json()["code"] == 400
    monkeypatch.setattr(service.parts.desk, "receive", None)
    broken = ask(service, {"image": picture, "type": 50200})
    assert (broken.status_code, broken.json()["code"]) == (200, 500)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_in_their_shape(service: Service, method: str) -> None:
    reply = service.client.request(method, PATH, headers={"X-API-Key": service.key})
    assert (reply.status_code, reply.json()["msg"]) == (400, f"参数错误: method: 收到 {method}; 应为 POST")
    assert service.last_call().log_id == reply.json()["data"]["log_id"]
    unknown = service.client.request(method, PATH)
    assert (unknown.status_code, unknown.json()["data"]) == (400, {})


@pytest.mark.parametrize("path", ["/api/", "/api/v1/other.php"])
def test_an_unknown_path_is_told_in_their_shape(service: Service, path: str) -> None:
    reply = service.client.post(path, json={}, headers={"X-API-Key": service.key})
    assert (reply.status_code, reply.json()["code"]) == (404, 404)
    assert PATH in reply.json()["msg"]


def test_a_type_that_an_administrator_adds_works_at_once(service: Service, picture: str) -> None:
    service.parts.prices.save(PricedType(77001, Kind.TEXT, "大写", "capitals", 123_456))
    data = ask(service, {"image": picture, "type": 77001}).json()["data"]
    assert (data["group_name"], data["cost"]) == ("大写", 0.1234)
    assert service.last_call().cost_micros == 123_456


def test_an_idempotency_key_replays_byte_for_byte(service: Service, picture: str) -> None:
    before = service.balance()
    body = {"image": picture, "type": 50200}
    first, again = (ask(service, body, idempotency_key="a") for _ in range(2))
    assert first.content == again.content
    assert service.balance() == before - 1000


@pytest.mark.parametrize(
    ("fields", "expected", "threshold"),
    [
        ({}, TextOptions(), None),
        ({"charset": "digits", "min_length": 4, "max_length": 6}, TextOptions("0123456789", 4, 6), None),
        ({"case": "lower", "confidence": 0.9}, TextOptions(case="lower"), 0.9),
        ({"min_length": "4", "max_length": "6", "confidence": "0.9"}, TextOptions(None, 4, 6), 0.9),
    ],
)
def test_what_is_known_of_a_text_reaches_the_recognizer(
    service: Service, picture: str, fields: dict[str, Any], expected: TextOptions, threshold: float | None
) -> None:
    assert ask(service, {"image": picture, "type": 50200} | fields).status_code == 200
    assert service.reads.last is not None
    assert (service.reads.last.options, service.reads.last.threshold) == (expected, threshold)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"charset": "ab-"}, "charset: 收到 'ab-', 其中有字符 '-'; 应为 digits"),
        ({"min_length": 0}, "min_length: 收到 0; 应为 1 至 32 的整数"),
        ({"min_length": "few"}, "min_length: 收到 'few'; 应为 1 至 32 的整数"),
        ({"max_length": True}, "max_length: 收到 true; 应为 1 至 32 的整数"),
        ({"min_length": 5, "max_length": 4}, "min_length: 收到 5; 应为 不超过 max_length (4)"),
        ({"case": "title"}, "case: 收到 'title'; 应为 keep、lower 或 upper"),
        ({"confidence": 1.5}, "confidence: 收到 1.5; 应为 0 至 1 的数字"),
        ({"confidence": "high"}, "confidence: 收到 'high'; 应为 0 至 1 的数字"),
        ({"confidence": True}, "confidence: 收到 true; 应为 0 至 1 的数字"),
        ({"type": 1.5}, "type: 收到 1.5; 应为 价目表中的类型 ID, 整数, 例如 50200"),
        ({"type": True}, "type: 收到 true; 应为 价目表中的类型 ID, 整数, 例如 50200"),
        ({"type": []}, "type: 收到 0 个元素的列表; 应为 价目表中的类型 ID, 整数, 例如 50200"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(
    service: Service, picture: str, fields: dict[str, Any], said: str
) -> None:
    reply = ask(service, {"image": picture, "type": 50200} | fields)
    assert (reply.status_code, reply.json()["data"]["cost"]) == (400, 0)
    assert said in reply.json()["msg"]


def find_the_gap(task: Task) -> Answer:
    assert isinstance(task.options, SliderOptions)
    piece_x = None if task.options.piece is None else 3
    return SliderAnswer((123, 40, 50, 51), 0.87654, piece_x, (Candidate(123, 0.87654), Candidate(200, 0.1)))


def add_up(task: Task) -> Answer:
    return ArithmeticAnswer("8", "3+5", 0.9)


@pytest.mark.parametrize("name", ["piece", "slide_image"])
def test_a_slider_answers_the_gap_and_what_else_is_known(start: Start, picture: str, name: str) -> None:
    service = start({Kind.SLIDER: find_the_gap})
    alone = ask(service, {"image": picture, "type": 10200}).json()["data"]
    assert (alone["result"], alone["box"], alone["piece_x"], alone["distance"]) == (
        "123",
        [123, 40, 50, 51],
        None,
        None,
    )
    both = ask(service, {"image": picture, "type": 10200, name: base64_of(draw(size=(50, 50)))}).json()[
        "data"
    ]
    assert (both["result"], both["confidence"], both["piece_x"], both["distance"]) == ("123", 0.8765, 3, 120)
    assert both["candidates"] == [{"x": 123, "confidence": 0.8765}, {"x": 200, "confidence": 0.1}]
    assert both["cost"] == 0.01
    bad = ask(service, {"image": picture, "type": 10200, name: "%"})
    assert bad.json()["msg"].startswith(f"参数错误: {name}: 收到 不是 base64 的文本")


@pytest.mark.parametrize("name", ["piece", "slide_image"])
def test_a_refused_piece_is_named_as_it_was_sent(start: Start, picture: str, name: str) -> None:
    def refuse(_: Task) -> Answer:
        raise InvalidImage(
            "piece", got="the same picture as the background", allowed="the picture of the piece"
        )

    service = start({Kind.SLIDER: refuse})
    reply = ask(service, {"image": picture, "type": 10200, name: picture})
    assert reply.json()["msg"] == f"参数错误: {name}: 收到 与 image 相同的图片; 应为 滑块小图"


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_piece_is_no_piece(start: Start, picture: str, nothing: str | None) -> None:
    service = start({Kind.SLIDER: find_the_gap})
    alone = ask(service, {"image": picture, "type": 10200, "piece": nothing}).json()["data"]
    assert alone["piece_x"] is None
    piece = base64_of(draw(size=(50, 50)))
    both = ask(service, {"image": picture, "type": 10200, "piece": nothing, "slide_image": piece}).json()
    assert both["data"]["piece_x"] == 3


def test_arithmetic_answers_the_value_and_the_expression(start: Start, picture: str) -> None:
    service = start({Kind.ARITHMETIC: add_up})
    data = ask(service, {"image": picture, "type": 50100}).json()["data"]
    assert (data["result"], data["expression"], data["cost"], data["group_name"]) == (
        "8",
        "3+5",
        0.005,
        "计算题",
    )


@pytest.mark.parametrize(
    ("micros", "written"),
    [
        (95_500_000, "95.5"),
        (50_000, "0.05"),
        (0, "0"),
        (1, "0"),
        (99, "0"),
        (100, "0.0001"),
        (123_456, "0.1234"),
    ],
)
def test_an_amount_is_written_with_at_most_four_decimals(micros: int, written: str) -> None:
    assert convert.to_json({"cost": convert.amount(micros)}) == f'{{"cost":{written}}}'.encode()


@given(st.integers(0, 10**15))
def test_an_amount_never_shows_more_credit_than_there_is(micros: int) -> None:
    whole, _, decimals = convert.to_json(convert.amount(micros)).decode().partition(".")
    assert len(decimals) <= 4
    assert 0 <= micros - (int(whole) * 1_000_000 + int(decimals.ljust(6, "0") or 0)) < 100


@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
)
def test_what_is_written_is_json(value: dict[str, object]) -> None:
    assert json.loads(convert.to_json(value)) == value


def test_every_english_phrase_of_the_edge_has_its_chinese(service: Service, picture: str) -> None:
    bodies: list[Any] = [
        {}, {"image": 1, "type": 1}, {"image": "", "type": 50200}, {"image": "QUJD", "type": 50200},
        {"image": "%%", "type": 50200}, {"image": "QUJDR", "type": 50200}, {"image": "QUJD", "type": []},
        {"image": "QUJD", "type": {}}, {"image": "QUJD", "type": 10**20},
        {"image": "QUJD", "type": 50200, "piece": 5},
        {"image": "QUJD", "type": "it's a type of its own, and a long one at that"},
        {"image": picture, "type": 50200, "charset": "0-" * 40},
        [], "text", None,
    ]  # fmt: skip
    for body in bodies:
        msg = ask(service, body).json()["msg"]
        rest = re.sub(
            r"base64|JSON|UTF-8|PNG|JPEG|GIF|BMP|WebP|ID|image|type|body|piece|null|charset|digits|letters|lower|upper|alphanumeric|'[^']*'|\"[^\"]*\"",
            "",
            msg,
        )
        assert not re.search(r"[a-zA-Z]{2,}", rest), msg


def test_a_key_in_the_path_is_neither_said_nor_kept(service: Service) -> None:
    headers = {"X-API-Key": service.key, "authorization": f"Bearer {service.key}"}
    for path in (f"/api/v1/{service.key}", f"/captcha/token/{service.key}"):
        reply = service.client.post(
            path, json={}, headers=headers | {"authorization": f"Bearer {service.key}"}
        )
        assert service.key not in reply.text
        call = service.last_call()
        assert service.key not in json.dumps([call.result, call.detail])
