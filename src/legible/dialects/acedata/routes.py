"""Ace Data Cloud's URLs."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from legible.dialects.acedata import convert
from legible.dialects.acedata.schemas import (
    ErrorReply,
    HcaptchaReply,
    HcaptchaRequest,
    Image2TextReply,
    Image2TextRequest,
    Recaptcha2Reply,
    Recaptcha2Request,
    Recognition,
    TaskCreated,
    TaskReply,
    TaskRequest,
)
from legible.dialects.describe import (
    BROKEN,
    IDEMPOTENCY_KEY,
    METHODS,
    RECOGNITION,
    UNAUTHENTICATED,
    refusals,
    request_body,
)
from legible.dialects.desk import Ask, Desk, Dialect, Types
from legible.dialects.edge import bearer_key, shown, to_json
from legible.errors import BadRequest, Broken, InvalidField, NotFound, NotOffered, Refusal, WrongMethod
from legible.journal import Receipt
from legible.pipeline import Request
from legible.recognizers.grid.labels import known_labels
from legible.tasks import Answer, Task

B = TypeVar("B", bound=Recognition)

NAME = "acedata"
TITLE = "Ace Data Cloud dialect"
ABOUT = (
    "Send the key in the header authorization, as Bearer and the key. "
    "Only a successful recognition is charged."
)
SECURITY_SCHEMES: dict[str, dict[str, Any]] = {"Bearer": {"type": "http", "scheme": "bearer"}}
PATHS = (
    "/captcha/recognition/image2text",
    "/captcha/recognition/recaptcha2",
    "/captcha/recognition/hcaptcha",
    "/captcha/tasks",
)
NOT_OFFERED = (
    "this service reads the picture that is in the request; it drives no browser and returns no tokens, "
    "on purpose: use /captcha/recognition/... instead"
)


def _failure(refusal: Refusal, ask: Ask, _: Receipt | None) -> bytes:
    return to_json(convert.failure(refusal, ask.trace_id))


def broken(trace_id: str) -> Response:
    """The reply to a request that met a bug of ours."""
    return Response(to_json(convert.failure(Broken(), trace_id)), 500, media_type="application/json")


WORDS = Dialect(NAME, convert.status_of, _failure)
KNOWN_TASK = InvalidField(
    "task_id", got="'42'", allowed="the task_id of a call of yours in the last 24 hours"
)


def _example(refusal: Refusal) -> dict[str, object]:
    return convert.failure(refusal, "2cf86e86-22a4-46e1-ac2f-032c0f2a4e89")


def _errors(*words: Refusal) -> dict[int | str, dict[str, Any]]:
    return refusals(words, convert.status_of, _example, ErrorReply)


def _described(body: type[Recognition], reply: type[Any]) -> dict[str, Any]:
    return {
        "openapi_extra": request_body(body, IDEMPOTENCY_KEY) | {"security": [{"Bearer": []}]},
        "responses": {
            200: {"model": reply | TaskCreated, "description": "the answer, or with async the task"},
            **_errors(*RECOGNITION),
        },
    }


def build_router(desk: Desk) -> APIRouter:
    """Their three recognitions, the tasks, and their words for everything else under /captcha."""
    router = APIRouter(generate_unique_id_function=lambda route: f"{NAME}_{route.name}")
    limits = desk.settings.image_limits

    @router.post(
        "/captcha/recognition/image2text",
        summary="Read letters and digits",
        **_described(Image2TextRequest, Image2TextReply),
    )
    async def image2text(request: HttpRequest) -> Response:
        return await recognize(request, Image2TextRequest, lambda body: convert.text_task(body, limits))

    @router.post(
        "/captcha/recognition/recaptcha2",
        summary="Find the tiles of a grid that show something",
        description=f"Finds the tiles of a grid that show something. It knows {known_labels()}.",
        **_described(Recaptcha2Request, Recaptcha2Reply),
    )
    async def recaptcha2(request: HttpRequest) -> Response:
        return await recognize(request, Recaptcha2Request, lambda body: convert.grid_task(body, limits))

    @router.post(
        "/captcha/recognition/hcaptcha",
        summary="Find the point to click",
        **_described(HcaptchaRequest, HcaptchaReply),
    )
    async def hcaptcha(request: HttpRequest) -> Response:
        most = desk.settings.max_queries
        return await recognize(request, HcaptchaRequest, lambda body: convert.click_task(body, limits, most))

    @router.post(
        "/captcha/tasks",
        summary="Poll for the reply of a call with async",
        openapi_extra=request_body(TaskRequest) | {"security": [{"Bearer": []}]},
        responses={200: {"model": TaskReply}, **_errors(KNOWN_TASK, UNAUTHENTICATED, BROKEN)},
    )
    async def tasks(request: HttpRequest) -> Response:
        ask = await desk.receive(request)
        try:
            return await _poll(desk, request, ask)
        except Refusal as refusal:
            return await desk.turn_down(WORDS, ask, [bearer_key(request.headers)], refusal)

    @router.api_route("/captcha/token/{rest:path}", methods=METHODS, include_in_schema=False)
    @router.api_route("/captcha/token", methods=METHODS, include_in_schema=False)
    async def token(request: HttpRequest) -> Response:
        return await turn_down(
            request, NotOffered(f"{shown(request.url.path)} is not offered: {NOT_OFFERED}")
        )

    @router.api_route("/captcha/{rest:path}", methods=METHODS, include_in_schema=False)
    @router.api_route("/captcha", methods=METHODS, include_in_schema=False)
    async def other(request: HttpRequest) -> Response:
        if request.url.path in PATHS:
            return await turn_down(request, WrongMethod(got=request.method, allowed="POST"))
        message = f"there is no {shown(request.url.path)}; there are: {', '.join(PATHS)}"
        return await turn_down(request, NotFound(message))

    async def recognize(request: HttpRequest, model: type[B], to_task: Callable[[B], Task]) -> Response:
        ask, key = await desk.receive(request), bearer_key(request.headers)
        top_left = False

        def parse(types: Types) -> Request:
            nonlocal top_left
            body = ask.body.parse(model)
            top_left = body.top_left
            return types.request(to_task(body), names=convert.NAMES)

        def render(answer: Answer, receipt: Receipt) -> bytes:
            moment = convert.Moment(receipt.trace_id, receipt.started_at, receipt.finished_at)
            return to_json(convert.success(answer, moment, top_left=top_left))

        if not _is_async(ask, model):
            return await desk.answer(WORDS, ask, key, parse, render)
        started = await desk.start(WORDS, ask, key, parse, render)
        if isinstance(started, Response):
            return started
        created = {"success": True, "task_id": started, "trace_id": ask.trace_id}
        return Response(to_json(created), media_type="application/json")

    async def turn_down(request: HttpRequest, refusal: Refusal) -> Response:
        ask = await desk.receive(request)
        return await desk.turn_down(WORDS, ask, [bearer_key(request.headers)], refusal)

    return router


def _is_async(ask: Ask, model: type[Recognition]) -> bool:
    """A body that is wrong is refused at once, async or not."""
    if b'"async"' not in ask.body.data:
        return False
    try:
        return bool(ask.body.parse(model).async_)
    except BadRequest:
        return False


async def _poll(desk: Desk, request: HttpRequest, ask: Ask) -> Response:
    caller = await desk.pipeline.keys.identify(bearer_key(request.headers))
    caller.check(ask.address)
    body = ask.body.parse(TaskRequest)
    task_id = body.task_id or body.id
    if not task_id:
        raise InvalidField("task_id", got="nothing", allowed=KNOWN_TASK.allowed)
    try:
        if task_id.isdecimal():  # of another dialect
            raise NotFound("there is no such task")
        reply = await desk.poll(caller.account_id, task_id)
    except NotFound:
        raise InvalidField("task_id", got=shown(task_id), allowed=KNOWN_TASK.allowed) from None
    body_then = None if reply is None else reply.body
    return Response(convert.task_state(task_id, body_then, ask.trace_id), media_type="application/json")
