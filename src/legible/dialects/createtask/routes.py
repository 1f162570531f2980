"""The URLs of the createTask family."""

import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from legible.accounts import Caller
from legible.calls import CallLog
from legible.db.session import Database
from legible.dialects.createtask import convert, inphp
from legible.dialects.createtask.schemas import (
    AnyRequest,
    AnyTask,
    Balance,
    BalanceRequest,
    CreateTaskRequest,
    ErrorReply,
    Named,
    Reported,
    TaskCreated,
    TaskResult,
    TaskResultRequest,
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
from legible.dialects.edge import Body, shown
from legible.errors import BadRequest, Broken, InvalidField, NotFound, NotOffered, Refusal, WrongMethod
from legible.journal import Receipt, Reply
from legible.pipeline import Request
from legible.tasks import Answer

B = TypeVar("B", TaskResultRequest, BalanceRequest)

NAME = "createtask"
TITLE = "createTask dialect"
ABOUT = (
    "As spoken by the clients of 2Captcha, Anti-Captcha, CapMonster, CapSolver and YesCaptcha, for tasks "
    "that are pictures. Send the key in the body as clientKey. Every reply has the status 200; an errorId "
    "other than 0 tells a refusal. Only a successful recognition is charged."
)
SECURITY_SCHEMES: dict[str, dict[str, Any]] = {}
# What was read: right, or wrong. The vendors give these names to one thing, for each kind of theirs.
RIGHT = ("/reportCorrect", "/reportCorrectRecaptcha")
WRONG = ("/reportIncorrect", "/reportIncorrectImageCaptcha", "/reportIncorrectRecaptcha")
PATHS = ("/createTask", "/getTaskResult", "/getBalance", *RIGHT, *WRONG)
IN_PHP, RES_PHP = "/in.php", "/res.php"
# Methods of some of the vendors that have nothing to tell here; their clients read JSON, whatever comes.
NO_METHODS = ("/getQueueStats", "/getAppStats", "/getSpendingStats")
JSON = "application/json"
# Every number up to here is exact in every client, JavaScript's too.
TASK_IDS = 2**53 - 1


def _failure(refusal: Refusal, ask: Ask, _: Receipt | None) -> bytes:
    return convert.failure(refusal, ask.trace_id)


def broken(request: HttpRequest, trace_id: str) -> Response:
    """The reply to a request that met a bug of ours."""
    reply = _json(convert.failure(Broken(), trace_id))
    if request.url.path not in (IN_PHP, RES_PHP):
        return reply
    fields = dict(request.query_params)
    return _line(inphp.reported(bytes(reply.body), fields), fields, reply)


def _line(body: bytes, fields: inphp.Fields, reply: Response) -> Response:
    """The line that stands for a reply, with those of its headers that do not tell of its body."""
    line = Response(body, media_type=JSON if inphp.wants_json(fields) else "text/plain")
    line.headers.update({k: v for k, v in reply.headers.items() if not k.startswith("content-")})
    return line


def _json(body: bytes) -> Response:
    return Response(body, media_type=JSON)


WORDS = Dialect(NAME, convert.status_of, _failure)
SOLVED = {"errorId": 0, "status": "ready", "solution": {"text": "7364", "confidence": 0.9876}}
CREATED = SOLVED | {"errorCode": "", "errorDescription": "", "taskId": "4503599627370496"}
RESULT = SOLVED | {
    "cost": "0.001",
    "ip": "203.0.113.7",
    "createTime": 1699999999,
    "endTime": 1699999999,
    "solveCount": 1,
}
REPORTED = {"errorId": 0, "status": "success"}
NOT_OFFERED = NotOffered("task.type: got 'RecaptchaV2TaskProxyless'; it is not offered, on purpose")
NO_TASK = InvalidField("task", got="nothing", allowed="an object with the type of the task and its fields")
UNKNOWN_TASK = NotFound("there is no such task; tasks are kept for a limited time")


def _example(refusal: Refusal) -> Any:
    return json.loads(convert.failure(refusal, "2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"))


def _described(
    body: type[Any], reply: type[Any], good: dict[str, Any], *words: Refusal, parameters: Sequence[Any] = ()
) -> dict[str, Any]:
    """All replies have one status: the good one's fields and example, and each refusal with its example."""
    ((status, said),) = refusals(words, convert.status_of, _example, ErrorReply).items()
    examples = {"success": {"summary": "", "value": good}} | said["content"][JSON]["examples"]
    content = {JSON: {"examples": examples}}
    return {
        "openapi_extra": request_body(body, *parameters) | {"security": [{}]},
        "responses": {
            status: {
                "model": reply | ErrorReply,
                "description": "the answer, or an error",
                "content": content,
            }
        },
    }


def build_router(desk: Desk, database: Database) -> APIRouter:
    """Their URLs, 2Captcha's older two, and their words for another method."""
    router = APIRouter(generate_unique_id_function=lambda route: f"{NAME}_{route.name}")
    limits, most, log = desk.settings.image_limits, desk.settings.max_queries, CallLog(database)

    @router.post(
        "/createTask",
        summary="Recognize a picture",
        **_described(
            CreateTaskRequest[AnyTask],
            TaskCreated,
            CREATED,
            *RECOGNITION,
            NOT_OFFERED,
            NO_TASK,
            parameters=[IDEMPOTENCY_KEY],
        ),
    )
    async def create_task(request: HttpRequest) -> Response:
        return await create(await desk.receive(request))

    async def create(ask: Ask) -> Response:
        try:
            asked = ask.body.parse(AnyRequest[Named])
            model = convert.request_of(asked)
        except BadRequest as refusal:
            return await desk.turn_down(WORDS, ask, [ask.body.text_of("clientKey")], refusal)
        task_id = str(1 + secrets.randbelow(TASK_IDS))
        understood: list[AnyTask] = []

        def parse(types: Types) -> Request:
            task = ask.body.parse(model).task
            understood.append(task)
            return types.request(convert.task_of(task, limits, most), names=convert.NAMES[type(task)])

        def render(answer: Answer, receipt: Receipt) -> bytes:
            return convert.success(answer, convert.Asker(understood[0], task_id, ask.address), receipt)

        if not convert.polls(asked):
            reply = await desk.answer(WORDS, ask, asked.client_key, parse, render, task_id)
            short = convert.created(bytes(reply.body))
            return reply if short is None else _json(short)
        started = await desk.start(WORDS, ask, asked.client_key, parse, render, task_id)
        return started if isinstance(started, Response) else _json(convert.started(task_id))

    @router.post(
        "/getTaskResult",
        summary="Poll for the solution of a task",
        **_described(
            TaskResultRequest,
            TaskResult,
            RESULT,
            UNKNOWN_TASK,
            UNAUTHENTICATED,
            BROKEN,
        ),
    )
    async def get_task_result(request: HttpRequest) -> Response:
        return await told(await desk.receive(request), TaskResultRequest, result)

    @router.post(
        "/getBalance",
        summary="The balance",
        **_described(BalanceRequest, Balance, {"errorId": 0, "balance": 95.5}, UNAUTHENTICATED, BROKEN),
    )
    async def get_balance(request: HttpRequest) -> Response:
        return await told(await desk.receive(request), BalanceRequest, balance)

    async def report(request: HttpRequest) -> Response:
        ask = await desk.receive(request)
        return await told(ask, TaskResultRequest, wrong if ask.path in WRONG else right)

    for path in (*RIGHT, *WRONG):
        router.add_api_route(
            path,
            report,
            methods=["POST"],
            name=path[1:],
            summary=f"Say that a solution was {'right' if path in RIGHT else 'wrong'}",
            **_described(TaskResultRequest, Reported, REPORTED, UNKNOWN_TASK, UNAUTHENTICATED, BROKEN),
        )

    async def polled(caller: Caller, body: TaskResultRequest) -> Reply | None:
        if not body.task_id.isdecimal():  # of another dialect
            raise UNKNOWN_TASK
        return await desk.poll(caller.account_id, body.task_id)

    async def result(caller: Caller, body: TaskResultRequest, ask: Ask) -> bytes:
        kept = await polled(caller, body)
        return convert.task_state(None if kept is None else kept.body, ask.trace_id)

    async def balance(caller: Caller, _: BalanceRequest, __: Ask) -> bytes:
        return convert.balance(await database.run(partial(log.balance, caller.account_id)))

    async def right(caller: Caller, body: TaskResultRequest, _: Ask) -> bytes:
        await polled(caller, body)
        return convert.reported()

    async def wrong(caller: Caller, body: TaskResultRequest, ask: Ask) -> bytes:
        kept = await polled(caller, body)
        if kept is not None and kept.receipt is not None:
            await database.run(partial(log.report_wrong, kept.receipt.call_id))
        return convert.reported()

    async def told(ask: Ask, model: type[B], reply: Callable[[Caller, B, Ask], Awaitable[bytes]]) -> Response:
        """What is free; in the log only when it is refused."""
        try:
            body = ask.body.parse(model)
            caller = await desk.pipeline.keys.identify(body.client_key)
            caller.check(ask.address)
            return _json(await reply(caller, body, ask))
        except Refusal as refusal:
            return await desk.turn_down(WORDS, ask, [ask.body.text_of("clientKey")], refusal)

    async def in_php(request: HttpRequest) -> Response:
        ask, fields = await desk.receive(request), dict(request.query_params)
        try:
            fields = await inphp.fields_of(request, ask.body, desk.settings.max_body_bytes)
            ask.body = Body(inphp.task_request(fields))
            reply = await create(ask)
        except BadRequest as refusal:
            reply = await desk.turn_down(WORDS, ask, [inphp.key_of(fields)], refusal)
        return _line(inphp.submitted(bytes(reply.body), fields), fields, reply)

    async def res_php(request: HttpRequest) -> Response:
        ask, fields = await desk.receive(request), dict(request.query_params)
        try:
            fields = await inphp.fields_of(request, ask.body, desk.settings.max_body_bytes)
            ask.body = Body(inphp.asked(fields))
            match fields.get("action", "get"):
                case "get" | "get2" as action:
                    reply = await told(ask, TaskResultRequest, result)
                    with_price = action == "get2"
                    line = inphp.solved(bytes(reply.body), fields, with_price=with_price)
                    return _line(line, fields, reply)
                case "getbalance":
                    reply = await told(ask, BalanceRequest, balance)
                    return _line(inphp.balance(bytes(reply.body), fields), fields, reply)
                case "reportgood" | "reportbad" as action:
                    reply = await told(ask, TaskResultRequest, wrong if action == "reportbad" else right)
                case action:
                    raise InvalidField("action", got=shown(action), allowed=inphp.ACTIONS)
        except BadRequest as refusal:
            reply = await desk.turn_down(WORDS, ask, [inphp.key_of(fields)], refusal)
        return _line(inphp.reported(bytes(reply.body), fields), fields, reply)

    for path, endpoint in ((IN_PHP, in_php), (RES_PHP, res_php)):
        router.add_api_route(path, endpoint, methods=["GET", "POST"], include_in_schema=False)

    async def wrong_method(request: HttpRequest) -> Response:
        refusal = WrongMethod(got=request.method, allowed="POST")
        return await turn_down(await desk.receive(request), refusal)

    async def wrong_method_of_php(request: HttpRequest) -> Response:
        ask, fields = await desk.receive(request), dict(request.query_params)
        refusal = WrongMethod(got=request.method, allowed="GET, POST")
        reply = await desk.turn_down(WORDS, ask, [inphp.key_of(fields)], refusal)
        return _line(inphp.reported(bytes(reply.body), fields), fields, reply)

    async def no_such_method(request: HttpRequest) -> Response:
        ask = await desk.receive(request)
        return await turn_down(ask, InvalidField("method", got=shown(ask.path), allowed=", ".join(PATHS)))

    async def turn_down(ask: Ask, refusal: Refusal) -> Response:
        return await desk.turn_down(WORDS, ask, [ask.body.text_of("clientKey")], refusal)

    for paths, offered, refuse in (
        (PATHS, ("POST",), wrong_method),
        ((IN_PHP, RES_PHP), ("GET", "POST"), wrong_method_of_php),
    ):
        others = [each for each in METHODS if each not in offered]
        for path in paths:
            router.add_api_route(path, refuse, methods=others, include_in_schema=False)
    for path in NO_METHODS:
        router.add_api_route(path, no_such_method, methods=METHODS, include_in_schema=False)
    return router
