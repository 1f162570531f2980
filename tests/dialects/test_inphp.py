"""2Captcha's older in.php and res.php: forms and lines of text, for programs that know nothing newer."""

import base64
import threading
import time
from typing import Any

import pytest
from sqlalchemy import select

from legible import recognizers
from legible.console import demo
from legible.db.tables import WrongAnswer
from legible.errors import RecognitionFailed
from legible.tasks import (
    Answer,
    ArithmeticAnswer,
    ClickAnswer,
    ClickOptions,
    GridAnswer,
    GridOptions,
    Kind,
    Task,
    TextOptions,
)
from tests.service import Service, Start, base64_of, draw

seen: list[Task] = []


def see(task: Task) -> Answer:
    seen.append(task)
    match task.kind:
        case Kind.ARITHMETIC:
            return ArithmeticAnswer("8", "3+5", 0.9)
        case Kind.GRID:
            return GridAnswer("/m/01pns0", 300, (0.1,) * 9, (2, 5, 7), 0.9)
        case _:
            return ClickAnswer("here", 0.9, (120, 40), (44, 32), points=((44, 32), (9, 8)))


@pytest.fixture
def every_kind(start: Start) -> Service:
    seen.clear()
    return start(dict.fromkeys((Kind.ARITHMETIC, Kind.GRID, Kind.CLICK), see))


def send(service: Service, fields: dict[str, Any], **more: Any) -> str:
    """What in.php says of a form."""
    reply = service.client.post("/in.php", data={"key": service.key} | fields, **more)
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("application/json" if "json" in fields else "text/plain")
    return reply.text


def ask(service: Service, line: str = "", **fields: Any) -> str:
    """What res.php says, as soon as the task that in.php said in `line` is ready."""
    if line:
        word, _, fields["id"] = line.partition("|")
        assert word == "OK", line
    for _ in range(3000):
        reply = service.client.get("/res.php", params={"key": service.key} | fields)
        assert reply.status_code == 200
        if "CAPCHA_NOT_READY" not in reply.text:
            return reply.text
        time.sleep(0.02)
    raise AssertionError("the task is still processing")


def test_a_picture_comes_as_a_file_or_in_base64_and_its_text_as_a_line(
    service: Service, picture: str
) -> None:
    before = service.balance()
    raw = base64.b64decode(picture)
    lines = [
        send(service, {"method": "base64", "body": picture}),
        send(service, {"body": f"data:image/png;base64,{picture}"}),
        send(service, {"method": "post"}, files={"file": ("captcha.png", raw, "image/png")}),
        service.client.post(
            "/in.php", json={"key": service.key, "body": picture, "calc": False, "pingback": None}
        ).text,
        service.client.post(f"/in.php?key={service.key}&method=base64", data={"body": picture}).text,
    ]
    for line in lines:
        assert ask(service, line, action="get") == "OK|7364"
        assert ask(service, line, action="get2") == "OK|7364|0.001"
    assert service.balance() == before - 1000 * len(lines)
    assert {(call.outcome, call.dialect) for call in service.calls()} == {("answered", "createtask")}


def test_white_space_around_a_key_is_no_part_of_it(service: Service, picture: str) -> None:
    key = f" {service.key}\r\n"
    assert ask(service, send(service, {"key": key, "body": picture}), key=key) == "OK|7364"
    assert ask(service, key=key, action="none") == "ERROR_BAD_PARAMETERS"
    assert service.last_call().outcome == "bad_request"


def test_json_that_is_called_a_form_is_read_as_one(service: Service) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    content = f'{{"key": "{service.key}"}}'
    reply = service.client.post("/in.php", content=content, headers=headers)
    assert reply.text == "ERROR_KEY_DOES_NOT_EXIST"


def test_plus_signs_that_a_form_took_for_spaces_are_plus_signs_again(service: Service) -> None:
    picture = next(each for i in range(50) if "+" in (each := base64_of(draw(size=(120 + i, 40)))))
    body = f"key={service.key}&method=base64&body={picture}"  # as programs send it that encode nothing
    headers = {"content-type": "application/x-www-form-urlencoded"}
    line = service.client.post("/in.php", content=body, headers=headers).text
    assert ask(service, line) == "OK|7364"


def test_whoever_asks_for_json_gets_it_with_a_sentence(service: Service, picture: str) -> None:
    sent = service.client.post("/in.php", data={"key": service.key, "body": picture, "json": "1"}).json()
    assert sent.keys() == {"status", "request"}
    reply = ask(service, f"OK|{sent['request']}", json="1", action="get2")
    assert reply == '{"status":1,"request":"7364","price":"0.001"}'
    refused = service.client.post("/in.php", data={"key": service.key, "json": "1", "min_len": "99"}).json()
    assert (refused["status"], refused["request"]) == (0, "ERROR_BAD_PARAMETERS")
    assert refused["error_text"].startswith("min_len: got 99; allowed: a whole number from 0 to 32")


def test_it_is_not_ready_while_it_is_read(service: Service, picture: str) -> None:
    is_free = threading.Event()
    service.reads.before = lambda: is_free.wait(30)
    line = send(service, {"body": picture})
    params = {"key": service.key, "action": "get", "id": line[3:]}
    assert service.client.get("/res.php", params=params).text == "CAPCHA_NOT_READY"
    told = service.client.get("/res.php", params=params | {"json": "1"}).json()
    assert told == {"status": 0, "request": "CAPCHA_NOT_READY"}
    is_free.set()
    assert ask(service, line) == "OK|7364"
    assert service.client.post("/getTaskResult", json={"clientKey": service.key, "taskId": line[3:]}).json()[
        "solution"
    ] == {"text": "7364", "confidence": 0.9}


def test_what_is_known_of_a_text_is_passed_on(service: Service, picture: str) -> None:
    known = {
        "numeric": "1",
        "min_len": "4",
        "max_len": "6",
        "phrase": "0",
        "regsense": "1",
        "confidence": "0.4",
    }
    assert ask(service, send(service, {"body": picture, "lang": "en", "soft_id": "7"} | known)) == "OK|7364"
    assert service.reads.last is not None
    assert service.reads.last.options == TextOptions("0123456789", 4, 6)
    assert service.reads.last.threshold == 0.4


def test_a_sum_a_grid_and_points_have_their_own_fields(every_kind: Service, picture: str) -> None:
    assert ask(every_kind, send(every_kind, {"body": picture, "calc": "1"})) == "OK|8"
    hydrants = {
        "body": base64_of(draw(size=(300, 300))),
        "recaptcha": "1",
        "textinstructions": "Select all images with a fire hydrant",
        "recaptcharows": "3",
        "recaptchacols": "3",
    }
    assert ask(every_kind, send(every_kind, hydrants)) == "OK|click:3/6/8"
    assert seen[-1].options == GridOptions("/m/01pns0")
    points = {"body": picture, "coordinatescaptcha": "1", "textinstructions": "click on the cats"}
    line = send(every_kind, points | {"imginstructions": picture})
    assert ask(every_kind, line) == "OK|coordinates:x=44,y=32;x=9,y=8"
    assert ask(every_kind, line, json="1") == (
        '{"status":1,"request":[{"x":"44","y":"32"},{"x":"9","y":"8"}]}'
    )
    example = base64.b64decode(picture)
    assert seen[-1].options == ClickOptions("click on the cats", (example,), place_only=True)


def test_tasks_of_createtask_are_told_where_there_are_words_for_them(
    every_kind: Service, picture: str
) -> None:
    def polled(**task: Any) -> str:
        asked = {"clientKey": every_kind.key, "softId": 1, "task": task}
        task_id = every_kind.client.post("/createTask", json=asked).json()["taskId"]
        while "CAPCHA_NOT_READY" in (said := ask(every_kind, id=task_id)):
            time.sleep(0.02)
        return said

    pairs = polled(type="ImageToCoordinatesTask", body=picture, comment="both")
    assert pairs == "OK|coordinates:x=44,y=32;x=9,y=8"
    other = polled(type="HCaptchaClassification", queries=[picture], question="the odd one")
    assert other == "ERROR_WRONG_CAPTCHA_ID"


def test_a_grid_with_nothing_right_says_so(start: Start) -> None:
    service = start({Kind.GRID: lambda _: GridAnswer("/m/01pns0", 300, (0.1,) * 9, (), 0.9)})
    fields = {"body": base64_of(draw(size=(300, 300))), "recaptcha": "1", "textinstructions": "bus"}
    assert ask(service, send(service, fields)) == "OK|No_matching_images"


def test_the_balance_and_reports(service: Service, picture: str) -> None:
    service.set_balance(95_123_456)
    assert ask(service, action="getbalance") == "95.123456"
    assert ask(service, action="getbalance", json="1") == '{"status":1,"request":"95.123456"}'
    line = send(service, {"body": picture})
    assert ask(service, line) == "OK|7364"
    assert ask(service, line, action="reportgood") == "OK_REPORT_RECORDED"
    mine = select(WrongAnswer.call_id).where(WrongAnswer.call_id == service.last_call().id)
    with service.parts.database.read() as session:
        assert session.scalars(mine).all() == []
    assert ask(service, line, action="reportbad", json="1") == '{"status":1,"request":"OK_REPORT_RECORDED"}'
    with service.parts.database.read() as session:
        assert session.scalars(mine).all() == [service.last_call().id]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"key": ""}, "ERROR_KEY_DOES_NOT_EXIST"),
        ({"key": "lg_no"}, "ERROR_KEY_DOES_NOT_EXIST"),
        ({"body": ""}, "ERROR_ZERO_CAPTCHA_FILESIZE"),
        ({"body": "aGVsbG8gd29ybGQ="}, "ERROR_IMAGE_TYPE_NOT_SUPPORTED"),
        ({"numeric": "9"}, "ERROR_BAD_PARAMETERS"),
        ({"regsense": "maybe"}, "ERROR_BAD_PARAMETERS"),
        ({"phrase": "1"}, "ERROR_BAD_PARAMETERS"),
        ({"recaptcha": "1"}, "ERROR_BAD_PARAMETERS"),
        ({"pingback": "http://example.com/"}, "ERROR_BAD_PARAMETERS"),
        ({"method": "userrecaptcha", "googlekey": "k", "pageurl": "u"}, "ERROR_TASK_NOT_SUPPORTED"),
        ({"method": "rotatecaptcha"}, "ERROR_TASK_NOT_SUPPORTED"),
        ({"canvas": "1"}, "ERROR_TASK_NOT_SUPPORTED"),
    ],
)
def test_what_cannot_be_read_is_told_at_once_and_free(
    service: Service, picture: str, fields: dict[str, str], code: str
) -> None:
    before = service.balance()
    assert send(service, {"body": picture} | fields) == code
    assert service.balance() == before
    if "key" not in fields:
        assert service.last_call().status == 200
        assert service.last_call().outcome != "answered"


def test_an_unreadable_picture_is_told_where_it_is_polled_for(service: Service, picture: str) -> None:
    service.reads.error = RecognitionFailed("no text was read with enough confidence")
    assert ask(service, send(service, {"body": picture})) == "ERROR_CAPTCHA_UNSOLVABLE"


def test_a_call_over_the_rate_is_told_when_to_try_again(service: Service, picture: str) -> None:
    form = {"key": service.new_key(rate_per_second=1), "method": "base64", "body": picture}
    for _ in range(10):  # a machine may stand still for the second
        replies = [service.client.post("/in.php", data=form) for _ in range(3)]
        if not replies[-1].text.startswith("OK"):
            break
    assert replies[-1].text == "ERROR_NO_SLOT_AVAILABLE"
    assert replies[-1].headers["retry-after"] == "1"
    assert replies[-1].headers["content-length"] == str(len(replies[-1].content))


def test_an_empty_balance_is_told_at_once(service: Service, picture: str) -> None:
    service.set_balance(999)
    assert send(service, {"body": picture}) == "ERROR_ZERO_BALANCE"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"action": "get", "id": "7"}, "ERROR_WRONG_CAPTCHA_ID"),
        ({"action": "get"}, "ERROR_WRONG_CAPTCHA_ID"),
        ({"action": "reportbad", "id": "x" * 101}, "ERROR_BAD_PARAMETERS"),
        ({"action": "getcompensations"}, "ERROR_BAD_PARAMETERS"),
        ({"action": "get", "id": "7", "key": "lg_no"}, "ERROR_KEY_DOES_NOT_EXIST"),
        ({"action": "getbalance", "key": ""}, "ERROR_KEY_DOES_NOT_EXIST"),
    ],
)
def test_what_res_php_cannot_tell(service: Service, fields: dict[str, str], code: str) -> None:
    assert ask(service, **fields) == code


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("multipart/form-data", b"--x"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nlg'),
        ("application/json", b"[1]"),
        ("application/json", b"{"),
        ("application/json", b'{"a": ' + b"[" * 10_000),
        ("application/x-www-form-urlencoded", b"body=" + b"%25" * 30_000),
        ("image/png", b"\x89PNG"),
        ("application/x-www-form-urlencoded", b"a=1&" * 101),
        ("application/x-www-form-urlencoded", b"\xff\x00=%ff"),
    ],
)
def test_a_body_that_is_no_form_is_refused(service: Service, content_type: str, content: bytes) -> None:
    for path in ("/in.php", "/res.php"):
        query = {"key": service.key, "json": "1", "action": "getbalance"}
        headers = {"content-type": content_type}
        told = service.client.post(path, params=query, content=content, headers=headers).json()
        if path == "/res.php" and (b"%" in content or b"\r\n" in content):  # all it needs is in the query
            assert told["status"] == 1
            continue
        assert (told["status"], told["request"][:6]) == (0, "ERROR_"), told
        assert "Traceback" not in told["error_text"]


def test_another_method_is_refused(service: Service) -> None:
    for path in ("/in.php", "/res.php"):
        reply = service.client.put(path, params={"key": service.key})
        assert (reply.text, reply.headers["Allow"]) == ("ERROR_NO_SUCH_METHOD", "GET, POST")
        assert service.last_call().outcome == "wrong_method"
        told = service.client.put(path, params={"json": "1"}).json()
        assert told["request"] == "ERROR_NO_SUCH_METHOD"


def test_the_samples_are_read_for_real(start: Start) -> None:
    service = start(recognizers.available())
    sample = base64.b64encode((demo.SAMPLES / "text-1.png").read_bytes()).decode()
    line = send(service, {"method": "base64", "body": sample})
    assert ask(service, line).startswith("OK|")
