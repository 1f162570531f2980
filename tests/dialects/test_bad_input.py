"""Everything that callers get wrong: its status, its sentence, its row in the log,
and that nothing was charged."""

import gzip
import json
import re
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from legible.errors import RecognitionFailed
from legible.tasks import Kind
from tests.dialects.voices import ACEDATA, CAPTCHAAPI, CREATETASK, HEADER_VOICES, V1, Voice
from tests.service import Service, Start, base64_of, draw, encode, with_new_account

PRICE = 1000

# May hold the digits of any answer by chance.
TRACE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def expect_refusal(
    service: Service, voice: Voice, reply: httpx.Response, code: str, said: str, chinese: str
) -> dict[str, Any]:
    """Status, sentence, the row of the log, and an untouched balance."""
    body: dict[str, Any] = reply.json()
    assert reply.status_code == voice.status(code), body
    said = said.replace("image: got", f"{voice.field}: got")
    assert (chinese if voice is CAPTCHAAPI else said) in voice.sentence(body)
    call = service.last_call()
    assert (call.trace_id, call.outcome, call.status) == (voice.trace(reply), code, reply.status_code)
    assert call.cost_micros == 0
    assert "Traceback" not in reply.text
    if voice is CAPTCHAAPI:
        assert body["data"]["log_id"] == call.log_id
        assert body["data"]["cost"] == 0
    elif voice is CREATETASK:
        assert body["errorId"] > 0
        assert voice.sentence(body).endswith(f"(trace_id {call.trace_id})")
    else:
        assert body["trace_id"] == call.trace_id
    return body


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header says more than its bytes hold."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


GOOD = draw()
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"><text y="20">7364</text></svg>'
# What is sent as the image: the code of the refusal, words of its sentence in English and in Chinese.
BAD_IMAGES: dict[str, tuple[object, str, str, str]] = {
    "nothing": ("", "invalid_image", "image: got no bytes; allowed: a PNG", "image: 收到 0 字节"),
    "a number": (7364, "bad_request", "image: got 7364; allowed: a PNG", "image: 收到 7364"),
    "null": (None, "bad_request", "image: got n", "image: 收到 "),
    "a list": ([], "bad_request", "image: got a list of 0", "image: 收到 0 个元素的列表"),
    "no base64": ("what is this?", "invalid_image", "character 11 of it is '?'", "第 11 个字符是 '?'"),
    "base64 cut short": (
        "QUJDR",
        "invalid_image",
        "base64 cut short (5 characters)",
        "不完整的 base64 (5 个字符)",
    ),
    "a URL": (
        "https://example.com/captcha.png",
        "invalid_image",
        "image: got a URL, which is not fetched; allowed: the picture's bytes",
        "image: 收到 网址",
    ),
    "letters of another alphabet": (
        "QUJDж",
        "invalid_image",
        r"character 5 of it is '\u0436'",
        "第 5 个字符是",
    ),
    "no image": (
        base64_of(b"hello, world"),
        "invalid_image",
        "12 bytes that are no whole picture",
        "12 字节, 不是完整的图片",
    ),
    "an SVG": (
        base64_of(SVG),
        "invalid_image",
        "no whole picture; allowed: a complete PNG",
        "不是完整的图片",
    ),
    "a truncated PNG": (
        base64_of(GOOD[: len(GOOD) // 2]),
        "invalid_image",
        "no whole picture",
        "不是完整的图片",
    ),
    "a giant's header": (
        base64_of(png_claiming(60_000, 60_000)),
        "invalid_image",
        "got more than 16000000 pixels",
        "超过 16000000 像素",
    ),
    "one pixel": (
        base64_of(encode(Image.new("RGB", (1, 1)))),
        "invalid_image",
        "sides of 2 to 4096",
        "边长 2 至 4096 像素",
    ),
}


@pytest.mark.parametrize("bad", BAD_IMAGES)
def test_a_bad_image_is_refused_in_a_sentence_and_free(service: Service, voice: Voice, bad: str) -> None:
    image, code, said, chinese = BAD_IMAGES[bad]
    before = service.balance()
    reply = voice.ask(service.client, service.key, voice.body(image))
    expect_refusal(service, voice, reply, code, said, chinese)
    assert service.balance() == before


def animated_gif() -> bytes:
    frames = [Image.new("L", (90, 30), shade) for shade in (0, 128, 255)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)


def sixteen_bit_png() -> bytes:
    return encode(Image.fromarray(np.linspace(0, 65535, 90 * 30).reshape(30, 90).astype(np.uint16)))


ODD_BUT_GOOD = {
    "16 bits a channel": sixteen_bit_png,
    "CMYK": lambda: encode(Image.new("CMYK", (90, 30), (0, 40, 80, 10)), "JPEG"),
    "an animated GIF": animated_gif,
    "a palette with transparency": lambda: encode(Image.new("P", (90, 30)), "PNG", transparency=0),
    "WebP": lambda: draw(form="WEBP"),
    "BMP": lambda: draw(form="BMP"),
}


@pytest.mark.parametrize("odd", ODD_BUT_GOOD)
def test_an_odd_picture_is_read_and_charged_once(service: Service, voice: Voice, odd: str) -> None:
    before = service.balance()
    reply = voice.ask(service.client, service.key, voice.body(base64_of(ODD_BUT_GOOD[odd]())))
    assert reply.status_code == 200, reply.text
    assert voice.text(reply.json()) == "7364"
    assert (service.last_call().outcome, service.last_call().cost_micros) == ("answered", PRICE)
    assert service.balance() == before - PRICE


@pytest.mark.parametrize("form", ["data: prefix", "line breaks", "URL-safe alphabet", "no padding"])
def test_base64_is_taken_as_clients_write_it(service: Service, voice: Voice, form: str) -> None:
    plain = base64_of(draw("a text long enough to need every character of the alphabet"))
    written = {
        "data: prefix": f"data:image/png;base64,{plain}",
        "line breaks": "\r\n".join(plain[at : at + 76] for at in range(0, len(plain), 76)),
        "URL-safe alphabet": plain.replace("+", "-").replace("/", "_"),
        "no padding": plain.rstrip("="),
    }[form]
    reply = voice.ask(service.client, service.key, voice.body(written))
    assert reply.status_code == 200, reply.text
    assert service.reads.last is not None
    assert base64_of(service.reads.last.images[0]) == plain


BAD_BODIES: dict[str, tuple[bytes, str, str]] = {
    "empty": (
        b"",
        "body: got nothing; allowed: one JSON object",
        "body: 收到 空; 应为 一个 UTF-8 编码的 JSON 对象",
    ),
    "no JSON": (b"image=abc", "body: got text that is not JSON (at line 1", "body: 收到 不是 JSON 的文本"),
    "cut short": (b'{"image": "abc', "text that is not JSON", "不是 JSON 的文本"),
    "no UTF-8": (b'{"image": "\xff"}', "text that is not JSON", "不是 JSON 的文本"),
    "a list": (b"[1, 2]", "body: got a list of 2", "body: 收到 2 个元素的列表"),
    "too deep": (b"[" * 100_000, "text that is not JSON", "不是 JSON 的文本"),
    "a lone surrogate": (b'{"image": "\\ud800"}', "text that is not JSON", "不是 JSON 的文本"),
}


@pytest.mark.parametrize("bad", BAD_BODIES)
@pytest.mark.parametrize("known", HEADER_VOICES, ids=lambda voice: voice.name)
def test_a_body_that_is_no_json_object_is_refused(service: Service, known: Voice, bad: str) -> None:
    content, said, chinese = BAD_BODIES[bad]
    before = service.balance()
    headers = known.headers(service.key, content_type="application/json")
    reply = service.client.post(known.path, content=content, headers=headers)
    expect_refusal(service, known, reply, "bad_request", said, chinese)
    assert service.balance() == before


@pytest.mark.parametrize(
    ("asked", "missing"),
    [(ACEDATA, "image"), (CAPTCHAAPI, "image"), (CAPTCHAAPI, "type"), (V1, "image"), (V1, "kind")],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_missing_field_is_named(service: Service, asked: Voice, picture: str, missing: str) -> None:
    body = asked.body(picture)
    del body[missing]
    reply = asked.ask(service.client, service.key, body)
    said, chinese = f"{missing}: got nothing; allowed:", f"{missing}: 收到 空; 应为"
    expect_refusal(service, asked, reply, "bad_request", said, chinese)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
@pytest.mark.parametrize("content", ["image=abc", "[{}]", ""])
@pytest.mark.parametrize("known", HEADER_VOICES, ids=lambda voice: voice.name)
def test_another_content_type_is_refused(
    service: Service, known: Voice, content: str, content_type: str
) -> None:
    headers = known.headers(service.key, content_type=content_type)
    reply = service.client.post(known.path, content=content, headers=headers)
    expect_refusal(service, known, reply, "wrong_content_type", "content-type: got", "content-type: 收到")
    assert "application/json" in known.sentence(reply.json())


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "Application/JSON",
        "text/json",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ],
)
def test_a_json_object_by_another_name_is_taken(
    service: Service, voice: Voice, picture: str, content_type: str
) -> None:
    headers = voice.headers(service.key, content_type=content_type)
    signed = voice.signed(voice.body(picture), service.key)
    reply = service.client.post(voice.path, content=f"\r\n {json.dumps(signed)}", headers=headers)
    assert (reply.status_code, voice.text(reply.json())) == (200, "7364")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
@pytest.mark.parametrize("coding", ["gzip", "br"])
@pytest.mark.parametrize("known", HEADER_VOICES, ids=lambda voice: voice.name)
def test_a_compressed_body_is_refused_by_name(
    service: Service, known: Voice, picture: str, coding: str, content_type: str
) -> None:
    headers = known.headers(service.key, content_type=content_type, content_encoding=coding)
    packed = gzip.compress(json.dumps(known.body(picture)).encode())
    reply = service.client.post(known.path, content=packed, headers=headers)
    said = f"content-encoding: got '{coding}'; allowed: a body that is not compressed"
    chinese = f"content-encoding: 收到 '{coding}'; 应为 未压缩的请求体"
    expect_refusal(service, known, reply, "bad_request", said, chinese)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_a_byte_order_mark_is_read_over(
    service: Service, voice: Voice, picture: str, content_type: str
) -> None:
    content = json.dumps(voice.signed(voice.body(picture), service.key)).encode("utf-8-sig")
    headers = voice.headers(service.key, content_type=content_type)
    reply = service.client.post(voice.path, content=content, headers=headers)
    assert (reply.status_code, voice.text(reply.json())) == (200, "7364")


@pytest.mark.parametrize("written", ["/{}", "//{}", "{}/", "/{}/"])
def test_a_slash_too_many_in_an_address_is_passed_over(
    service: Service, voice: Voice, picture: str, written: str
) -> None:
    base, body = str(service.client.base_url).rstrip("/"), voice.signed(voice.body(picture), service.key)
    headers = voice.headers(service.key, idempotency_key="a")
    replies = [
        service.client.post(base + path, json=body, headers=headers)
        for path in (voice.path, written.format(voice.path))
    ]
    assert (replies[0].status_code, voice.text(replies[0].json())) == (200, "7364")
    assert replies[1].content == replies[0].content
    assert [call.outcome for call in service.calls()] == ["answered", "replayed"]


def test_only_one_slash_after_an_address_is_passed_over(service: Service, voice: Voice) -> None:
    reply = service.client.post(f"{voice.path}//", json={}, headers=voice.headers(service.key))
    assert reply.status_code == 404


@pytest.mark.parametrize("known", HEADER_VOICES, ids=lambda voice: voice.name)
def test_white_space_around_a_key_is_no_part_of_it(service: Service, known: Voice, picture: str) -> None:
    headers = known.headers(f"{service.key} \t", content_type="application/json", idempotency_key="order-1 ")
    url = service.client.base_url
    with closing(HTTPConnection(url.host, url.port or 80, timeout=30)) as connection:
        connection.request("POST", known.path, json.dumps(known.body(picture)), headers)
        assert connection.getresponse().status == 200


@pytest.mark.parametrize("announced", [True, False], ids=["content-length", "chunked"])
@pytest.mark.parametrize("known", HEADER_VOICES, ids=lambda voice: voice.name)
def test_a_body_over_the_limit_is_refused(service: Service, known: Voice, announced: bool) -> None:
    before = service.balance()
    content = json.dumps(known.body("A" * 7 * 1024 * 1024)).encode()
    headers = known.headers(service.key, content_type="application/json")
    chunks = (content[at : at + 65536] for at in range(0, len(content), 65536))
    reply = service.client.post(known.path, content=content if announced else chunks, headers=headers)
    expect_refusal(service, known, reply, "body_too_large", "at most 6291456 bytes", "应不超过 6291456 字节")
    assert service.balance() == before


def test_an_image_over_the_limit_is_refused(service: Service, voice: Voice) -> None:
    image = base64_of(GOOD + bytes(4 * 1024 * 1024))
    reply = voice.ask(service.client, service.key, voice.body(image))
    expect_refusal(service, voice, reply, "invalid_image", "at most 4194304 bytes", "不超过 4194304 字节")


def test_nobody_without_a_key_is_answered_or_logged(service: Service, voice: Voice, picture: str) -> None:
    reply = voice.ask(service.client, None, voice.body(picture))
    assert reply.status_code == voice.status("unauthenticated")
    said = "请在请求头 X-API-Key 或请求体" if voice is CAPTCHAAPI else "no API key was sent; send a key"
    assert said in voice.sentence(reply.json())
    assert service.calls() == []


@pytest.mark.parametrize("key", ["lg_", "lg_" + "A" * 43, "Bearer", "ключ".encode().decode("latin-1")])
def test_an_unknown_key_is_refused(service: Service, voice: Voice, picture: str, key: str) -> None:
    headers = {name: value.encode("latin-1") for name, value in voice.headers(key).items()}
    reply = service.client.post(voice.path, json=voice.signed(voice.body(picture), key), headers=headers)
    assert reply.status_code == voice.status("unauthenticated")
    assert "7364" not in TRACE_ID.sub("", reply.text)
    assert service.calls() == []


def test_a_revoked_key_is_refused_and_logged(service: Service, voice: Voice, picture: str) -> None:
    service.parts.keys.revoke(service.last_key_id())
    before = service.balance()
    reply = voice.ask(service.client, service.key, voice.body(picture))
    expect_refusal(
        service, voice, reply, "unauthenticated", "revoked; make a new one", "API 密钥已被撤销; 请新建"
    )
    assert service.balance() == before


@pytest.mark.parametrize(
    ("rules", "said", "chinese"),
    [
        ({"expires_ms": 1}, "this key has expired; make a new one", "API 密钥已过期"),
        ({"is_enabled": False}, "this key is disabled; enable it", "API 密钥已停用"),
        (
            {"addresses": ["203.0.113.0/24"]},
            "may not be used from 127.0.0.1; add this address",
            "不允许从该 IP 地址调用",
        ),
    ],
    ids=["expired", "disabled", "elsewhere"],
)
def test_a_key_that_may_not_call_is_refused_and_logged(
    service: Service, voice: Voice, picture: str, rules: dict[str, Any], said: str, chinese: str
) -> None:
    reply = voice.ask(service.client, service.new_key(**rules), voice.body(picture))
    expect_refusal(service, voice, reply, "unauthenticated", said, chinese)


def test_a_disabled_account_is_refused_and_logged(service: Service, voice: Voice, picture: str) -> None:
    service.parts.accounts.set_enabled(service.account_id, False)
    reply = voice.ask(service.client, service.key, voice.body(picture))
    expect_refusal(service, voice, reply, "unauthenticated", "this account is disabled; ask", "账户已停用")


def test_a_key_for_another_kind_is_refused(service: Service, voice: Voice, picture: str) -> None:
    before = service.balance()
    reply = voice.ask(service.client, service.new_key(kinds=[Kind.SLIDER]), voice.body(picture))
    body = expect_refusal(
        service, voice, reply, "not_allowed", "may not recognize text; allowed: slider", "无权调用该类型"
    )
    if voice is ACEDATA:
        assert body["error"]["code"] == "token_mismatched"
    if voice is CAPTCHAAPI:
        assert "balance" not in body["data"]
    assert service.balance() == before


def test_an_empty_balance_is_told_with_both_amounts(service: Service, voice: Voice, picture: str) -> None:
    service.set_balance(500)
    reply = voice.ask(service.client, service.key, voice.body(picture))
    said, chinese = (
        "balance 0.0005 yuan, price 0.001 yuan; top up",
        "余额不足: 余额 0.0005 元, 本次价格 0.001 元",
    )
    expect_refusal(service, voice, reply, "insufficient_credit", said, chinese)
    assert service.balance() == 500
    assert service.reads.tasks == 0


def test_a_spend_cap_that_is_reached_is_told(service: Service, voice: Voice, picture: str) -> None:
    key = service.new_key(spend_cap_micros=PRICE)
    assert voice.ask(service.client, key, voice.body(picture)).status_code == 200
    before = service.balance()
    reply = voice.ask(service.client, key, voice.body(picture))
    expect_refusal(
        service, voice, reply, "insufficient_credit", "raise the key's spend cap", "请提高密钥的消费上限"
    )
    assert service.balance() == before


def test_the_eleventh_call_in_a_second_waits(start: Start, voice: Voice, picture: str) -> None:
    service = start(rate_per_second=10)
    before = service.balance()
    for _ in range(10):  # on a machine that stands still in between, the eleventh is in another second
        service, began = with_new_account(service), time.monotonic()
        with ThreadPoolExecutor(11) as threads:
            ask = partial(voice.ask, service.client, service.key, voice.body(picture))
            replies = [each.result() for each in [threads.submit(ask) for _ in range(11)]]
        if time.monotonic() - began < 0.9:
            break
    refused = [reply for reply in replies if "7364" not in TRACE_ID.sub("", reply.text)]
    assert [reply.status_code for reply in replies if reply not in refused] == [200] * 10
    assert [reply.status_code for reply in refused] == [voice.status("rate_limited")]
    said = "每秒最多 10 次" if voice is CAPTCHAAPI else "over 10 requests a second; try again in"
    assert said in voice.sentence(refused[0].json())
    headers = refused[0].headers
    assert headers["retry-after"] == headers["ratelimit-reset"] == "1"
    assert (headers["ratelimit-limit"], headers["ratelimit-remaining"]) == ("10", "0")
    assert sorted(call.outcome for call in service.calls()) == ["answered"] * 10 + ["rate_limited"]
    assert service.balance() == before - 10 * PRICE


def test_two_calls_racing_for_the_last_yuan_are_answered_once(
    service: Service, voice: Voice, picture: str
) -> None:
    service.set_balance(PRICE)
    both_are_reading = threading.Barrier(2)
    service.reads.before = lambda: both_are_reading.wait(10)
    with ThreadPoolExecutor(2) as threads:
        replies = list(
            threads.map(lambda _: voice.ask(service.client, service.key, voice.body(picture)), range(2))
        )
    codes = sorted(reply.status_code for reply in replies)
    assert codes == [200, voice.status("insufficient_credit")]
    assert sorted("7364" in reply.text for reply in replies) == [False, True]
    assert sorted(call.outcome for call in service.calls()) == ["answered", "insufficient_credit"]
    assert service.balance() == 0


def test_an_idempotency_key_with_another_body_is_refused(
    service: Service, voice: Voice, picture: str
) -> None:
    first = voice.ask(service.client, service.key, voice.body(picture), idempotency_key="order-1")
    before = service.balance()
    other = voice.body(base64_of(draw("other")))
    reply = voice.ask(service.client, service.key, other, idempotency_key="order-1")
    expect_refusal(
        service,
        voice,
        reply,
        "idempotency_conflict",
        "Idempotency-Key: this key was used",
        "24 小时内已用于另一个请求体",
    )
    again = voice.ask(service.client, service.key, voice.body(picture), idempotency_key="order-1")
    assert again.content == first.content
    assert service.balance() == before
    assert service.reads.tasks == 1


@pytest.mark.parametrize("bad", ["", "two words", "x" * 256])
def test_an_idempotency_key_that_is_none_is_refused(
    service: Service, voice: Voice, picture: str, bad: str
) -> None:
    reply = voice.ask(service.client, service.key, voice.body(picture), idempotency_key=bad)
    expect_refusal(service, voice, reply, "bad_request", "Idempotency-Key: got '", "Idempotency-Key: 收到 '")


@pytest.mark.parametrize("type_id", [7, 0, 2**31 - 1])
@pytest.mark.parametrize("named", [CAPTCHAAPI, V1], ids=lambda voice: voice.name)
def test_an_unknown_type_lists_the_known_ones(
    service: Service, named: Voice, picture: str, type_id: int
) -> None:
    reply = named.ask(service.client, service.key, named.body(picture, type=type_id))
    said, chinese = "50200 (general letters and digits)", "50200 (通用数英)"
    expect_refusal(service, named, reply, "unknown_type", said, chinese)


@pytest.mark.parametrize("type_id", [-1, 2**31, 10**400, 1.5, "words", True, [], {}])
@pytest.mark.parametrize("named", [CAPTCHAAPI, V1], ids=lambda voice: voice.name)
def test_a_type_that_can_be_none_is_refused(
    service: Service, named: Voice, picture: str, type_id: object
) -> None:
    reply = named.ask(service.client, service.key, named.body(picture, type=type_id))
    expect_refusal(service, named, reply, "bad_request", "type: got", "type: 收到")


def test_a_failed_recognition_costs_nothing(service: Service, voice: Voice, picture: str) -> None:
    service.reads.error = RecognitionFailed(
        "no text was read with enough confidence", confidence=0.2, threshold=0.5
    )
    before = service.balance()
    reply = voice.ask(service.client, service.key, voice.body(picture))
    expect_refusal(
        service, voice, reply, "recognition_failed", "no text was read with enough confidence", "识别失败"
    )
    assert service.balance() == before


def test_a_bug_of_ours_leaks_nothing_and_costs_nothing(service: Service, voice: Voice, picture: str) -> None:
    service.reads.error = ZeroDivisionError("secret of the house")
    before = service.balance()
    reply = voice.ask(service.client, service.key, voice.body(picture))
    expect_refusal(
        service, voice, reply, "internal_error", "something went wrong on our side", "服务器内部错误"
    )
    assert "secret" not in reply.text
    assert "ZeroDivision" not in reply.text
    assert service.balance() == before


def test_a_recognition_that_takes_too_long_costs_nothing(start: Start, voice: Voice, picture: str) -> None:
    service = start(recognition_timeout_seconds=0.05)
    is_over = threading.Event()
    service.reads.before = lambda: is_over.wait(10)
    before = service.balance()
    reply = voice.ask(service.client, service.key, voice.body(picture))
    is_over.set()
    expect_refusal(service, voice, reply, "timeout", "longer than 0.05 seconds", "识别超过 0.05 秒")
    assert service.balance() == before


def test_a_kind_without_a_recognizer_is_honestly_refused(service: Service, picture: str) -> None:
    before = service.balance()
    for voice, body in (
        (CAPTCHAAPI, {"image": picture, "type": 10200}),
        (CAPTCHAAPI, {"image": picture, "type": 50100}),
        (V1, {"image": picture, "kind": "slider"}),
        (V1, {"image": picture, "kind": "click", "options": {"question": "the odd one"}}),
    ):
        reply = voice.ask(service.client, service.key, body)
        expect_refusal(service, voice, reply, "not_available", "not available yet", "not available yet")
    assert service.balance() == before
