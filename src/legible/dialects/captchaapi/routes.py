"""captchaapi.com's one URL."""

import json
import time
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from legible.dialects.captchaapi import convert
from legible.dialects.captchaapi.schemas import CaptchaRequest, Failure, Success
from legible.dialects.describe import IDEMPOTENCY_KEY, METHODS, RECOGNITION, refusals, request_body
from legible.dialects.desk import Ask, Desk, Dialect, Types
from legible.dialects.edge import header, shown
from legible.errors import (
    Broken,
    NotFound,
    Refusal,
    Unauthenticated,
    UnknownType,
    WrongMethod,
)
from legible.journal import Receipt
from legible.pipeline import Request
from legible.prices import PricedType
from legible.tasks import Answer

NAME = "captchaapi"
TITLE = "captchaapi.com dialect"
ABOUT = (
    "Send the key in the header X-API-Key or in the body as api_key. "
    "Only a successful recognition is charged."
)
SECURITY_SCHEMES: dict[str, dict[str, Any]] = {
    "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
}
PATH = "/api/v1/captcha.php"
# The replies are in Chinese, and old HTTP clients take what says nothing for ISO-8859-1.
JSON = "application/json; charset=utf-8"
TWO_KEYS = "the header X-API-Key and api_key in the body are different"


def dialect(always_200: bool) -> Dialect:
    """`always_200`: their HTTP status for clients that look only at the code."""
    return Dialect(NAME, (lambda _: 200) if always_200 else convert.status_of, _failure, JSON)


def _failure(refusal: Refusal, ask: Ask, receipt: Receipt | None) -> bytes:
    bill = None if receipt is None else _bill(receipt)
    return convert.failure(refusal, bill, int(time.time()), ask.trace_id)


def broken(always_200: bool, trace_id: str) -> Response:
    """The reply to a request that met a bug of ours."""
    status = dialect(always_200).status_of(Broken())
    body = convert.failure(Broken(), None, int(time.time()), trace_id)
    return Response(body, status, media_type=JSON)


def _bill(receipt: Receipt) -> convert.Bill:
    finished = int(receipt.finished_at.timestamp())
    return convert.Bill(
        receipt.log_id, receipt.cost_micros, receipt.balance_micros, receipt.duration_ms, finished
    )


def build_router(desk: Desk) -> APIRouter:
    """Their URL, and their words for every other one under /api."""
    router = APIRouter(generate_unique_id_function=lambda route: f"{NAME}_{route.name}")
    words = dialect(desk.settings.captchaapi_always_200)

    @router.post(
        PATH,
        summary="Recognize a captcha",
        openapi_extra=request_body(CaptchaRequest, IDEMPOTENCY_KEY) | {"security": [{"X-API-Key": []}, {}]},
        responses={200: {"model": Success}, **refusals(RECOGNITION, convert.status_of, _example, Failure)},
    )
    async def recognize(request: HttpRequest) -> Response:
        ask = await desk.receive(request)
        keys = in_header, written = _keys(request, ask)
        if in_header and written and in_header != written:
            return await desk.turn_down(words, ask, keys, Unauthenticated("conflicting", TWO_KEYS))
        if not (in_header or written) and (unread := ask.body.unread()):
            # The key is probably there.
            return await desk.turn_down(words, ask, keys, unread)
        group_name = ""

        def parse(types: Types) -> Request:
            nonlocal group_name
            body = ask.body.parse(CaptchaRequest)
            row = _pick(types, body.type)
            group_name = row.name_zh
            task = convert.task_of(body, row.kind, desk.settings.image_limits)
            return types.request(task, row, {} if body.piece else {"piece": "slide_image"})

        def render(answer: Answer, receipt: Receipt) -> bytes:
            return convert.success(answer, _bill(receipt), group_name)

        return await desk.answer(words, ask, in_header or written, parse, render)

    @router.api_route(PATH, methods=[each for each in METHODS if each != "POST"], include_in_schema=False)
    async def wrong_method(request: HttpRequest) -> Response:
        return await turn_down(request, WrongMethod(got=request.method, allowed="POST"))

    @router.api_route("/api/{rest:path}", methods=METHODS, include_in_schema=False)
    async def no_such_path(request: HttpRequest) -> Response:
        return await turn_down(request, NotFound(f"there is no {shown(request.url.path)}; use POST {PATH}"))

    async def turn_down(request: HttpRequest, refusal: Refusal) -> Response:
        ask = await desk.receive(request)
        return await desk.turn_down(words, ask, _keys(request, ask), refusal)

    return router


def _pick(types: Types, type_id: int) -> PricedType:
    """Raises `UnknownType`, which lists those that this API has a reply for, by their Chinese names."""
    rows = {each.id: each for each in types.rows.values() if each.kind in convert.KINDS}
    if type_id not in rows:
        known = ", ".join(f"{each.id} ({each.name_zh})" for each in rows.values())
        raise UnknownType("type", got=str(type_id), allowed=known)
    return rows[type_id]


def _keys(request: HttpRequest, ask: Ask) -> tuple[str | None, str | None]:
    """The keys of header and body, either of which may be missing."""
    written = ask.body.text_of("api_key") if b"api_key" in ask.body.data else None
    return header(request.headers, "x-api-key"), written


def _example(refusal: Refusal) -> Any:
    known = refusal.code != "unauthenticated"
    bill = convert.Bill("LOG20241101000002", 0, 95_500_000, 523, 1_699_999_999)
    trace_id = "2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"
    return json.loads(convert.failure(refusal, bill if known else None, bill.timestamp, trace_id))
