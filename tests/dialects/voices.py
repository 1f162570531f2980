"""The same recognition asked in the words of each dialect, so that one test can speak to all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Voice:
    """How a dialect is asked to read a text, and where its replies say what."""

    name: str
    path: str
    key_header: Callable[[str], dict[str, str]]
    extra: dict[str, Any]  # what its body needs beside the image
    statuses: dict[str, int]  # HTTP status by the code of the refusal, where it is not that of `usual`
    sentence: Callable[[dict[str, Any]], str]
    text: Callable[[dict[str, Any]], str]
    usual: int = 400
    field: str = "image"  # how a refusal names the picture
    key_in_body: bool = False

    def body(self, image: object, **more: object) -> dict[str, Any]:
        *outer, inner = self.field.split(".")
        asked = {inner: image} | self.extra | more
        return {outer[0]: asked} if outer else asked

    def signed(self, body: object, key: str | None) -> object:
        """With the key, if this is where it goes."""
        is_place = self.key_in_body and key is not None and isinstance(body, dict)
        return {"clientKey": key, **body} if is_place and isinstance(body, dict) else body

    def ask(self, client: httpx.Client, key: str | None, body: object, **headers: str) -> httpx.Response:
        return client.post(self.path, json=self.signed(body, key), headers=self.headers(key, **headers))

    def headers(self, key: str | None, **more: str) -> dict[str, str]:
        return ({} if key is None else self.key_header(key)) | {
            name.replace("_", "-"): value for name, value in more.items()
        }

    def status(self, code: str) -> int:
        return self.statuses.get(code, self.usual)

    def trace(self, reply: httpx.Response) -> str:
        """The id by which the log knows the call."""
        return reply.headers["x-trace-id"]


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _captchaapi_sentence(body: dict[str, Any]) -> str:
    return f"{body['msg']} {body['data'].get('detail', '')}".strip()


ACEDATA = Voice(
    name="acedata",
    path="/captcha/recognition/image2text",
    key_header=_bearer,
    extra={},
    statuses={
        "body_too_large": 413,
        "unauthenticated": 401,
        "insufficient_credit": 403,
        "rate_limited": 429,
        "not_found": 404,
        "timeout": 504,
        "unavailable": 500,
        "internal_error": 500,
    },
    sentence=lambda body: body["error"]["message"],
    text=lambda body: body["text"],
)
CAPTCHAAPI = Voice(
    name="captchaapi",
    path="/api/v1/captcha.php",
    key_header=lambda key: {"x-api-key": key},
    extra={"type": 50200},
    statuses={
        "body_too_large": 413,
        "unauthenticated": 401,
        "not_allowed": 401,
        "insufficient_credit": 402,
        "rate_limited": 429,
        "not_found": 404,
        "timeout": 500,
        "unavailable": 500,
        "internal_error": 500,
    },
    sentence=_captchaapi_sentence,
    text=lambda body: body["data"]["result"],
)
V1 = Voice(
    name="v1",
    path="/v1/recognitions",
    key_header=_bearer,
    extra={"kind": "text"},
    statuses={
        "unauthenticated": 401,
        "insufficient_credit": 402,
        "not_allowed": 403,
        "not_found": 404,
        "wrong_method": 405,
        "idempotency_conflict": 409,
        "body_too_large": 413,
        "wrong_content_type": 415,
        "recognition_failed": 422,
        "rate_limited": 429,
        "unavailable": 503,
        "timeout": 504,
        "internal_error": 500,
    },
    sentence=lambda body: body["detail"],
    text=lambda body: body["answer"]["text"],
)
CREATETASK = Voice(
    name="createtask",
    path="/createTask",
    key_header=lambda key: {},
    extra={"type": "ImageToTextTask"},
    statuses={},
    sentence=lambda body: body["errorDescription"],
    text=lambda body: body["solution"]["text"],
    usual=200,
    field="task.body",
    key_in_body=True,
)
VOICES = (ACEDATA, CAPTCHAAPI, CREATETASK, V1)
# Of a body that is no JSON, or too much of it, only these know the caller.
HEADER_VOICES = tuple(voice for voice in VOICES if not voice.key_in_body)
