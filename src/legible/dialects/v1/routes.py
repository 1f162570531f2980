"""Our own URLs: a neutral recognition, the balance, the price list, the call log."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse

from legible.accounts import Caller
from legible.calls import CallLog
from legible.db.session import Database
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
from legible.dialects.edge import bearer_key, client_address, header, refusal_headers, shown, to_json
from legible.dialects.v1 import convert
from legible.dialects.v1.schemas import Balance, Call, Calls, Problem, Recognition, RecognitionRequest
from legible.dialects.v1.schemas import Types as TypesReply
from legible.errors import InvalidField, NotFound, Refusal, Unauthenticated, WrongMethod
from legible.journal import Receipt
from legible.money import yuan
from legible.pipeline import Request
from legible.tasks import Answer, Kind

Endpoint = Callable[[HttpRequest], Awaitable[Response]]

NAME = "v1"
TITLE = "Legible's own API"
ABOUT = (
    "Send the key as `Authorization: Bearer <key>` or in the header X-API-Key. "
    "Errors are problem documents (RFC 9457). "
    "Only a successful recognition is charged; everything else is free."
)
SECURITY_SCHEMES: dict[str, dict[str, Any]] = {
    "Bearer": {"type": "http", "scheme": "bearer"},
    "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
PATHS = {
    "/v1/recognitions": "POST",
    "/v1/balance": "GET, HEAD",
    "/v1/types": "GET, HEAD",
    "/v1/calls": "GET, HEAD",
    "/v1/calls/{id}": "GET, HEAD",
}
PROBLEM = "application/problem+json"
PAGE_SIZE = 50
SECURITY: dict[str, Any] = {"security": [{"Bearer": []}, {"X-API-Key": []}]}
TRACE_ID = "2cf86e86-22a4-46e1-ac2f-032c0f2a4e89"


def _failure(refusal: Refusal, ask: Ask, receipt: Receipt | None) -> bytes:
    return to_json(convert.problem(refusal, ask.trace_id, None if receipt is None else receipt.log_id))


WORDS = Dialect(NAME, convert.status_of, _failure, refusal_type=PROBLEM)


def problem(request: HttpRequest, refusal: Refusal) -> Response:
    """The reply to a request that is refused outside of the recognition road."""
    body = to_json(convert.problem(refusal, request.state.trace_id))
    return Response(body, convert.status_of(refusal), refusal_headers(refusal), PROBLEM)


async def refused(request: HttpRequest, refusal: Refusal) -> Response:
    """For routes that raise."""
    return problem(request, refusal)


def key_of(request: HttpRequest) -> str | None:
    """Raises `Unauthenticated` when the two headers name different keys."""
    bearer, other = keys_of(request)
    if bearer and other and bearer != other:
        raise Unauthenticated("conflicting", "Authorization and X-API-Key name different keys")
    return bearer or other


def keys_of(request: HttpRequest) -> tuple[str | None, str | None]:
    """The keys of the two headers, either of which may be missing."""
    return bearer_key(request.headers), header(request.headers, "x-api-key")


def _errors(*words: Refusal) -> dict[int | str, dict[str, Any]]:
    return refusals(words, convert.status_of, partial(convert.problem, trace_id=TRACE_ID), Problem, PROBLEM)


def _parameter(name: str, about: str, where: str = "query", **schema: Any) -> dict[str, Any]:
    said = {"type": "string"} | schema
    return {"name": name, "in": where, "required": where == "path", "description": about, "schema": said}


FILTER_PARAMETERS = (
    _parameter("since", "ISO 8601; calls from this moment on"),
    _parameter("until", "ISO 8601; calls before this moment"),
    _parameter("kind", "text, arithmetic, slider, grid or click", enum=list(Kind)),
    _parameter("outcome", "answered, replayed, refused (all that are neither), or the code of one refusal"),
    _parameter("dialect", "acedata, captchaapi, createtask or v1"),
    _parameter("key_id", "the number of a key", type="integer", minimum=1),
    _parameter("log_id", "one log id"),
    _parameter("trace_id", "one trace id"),
    _parameter("limit", "calls a page, 1 to 500; 50 if left out", type="integer", minimum=1, maximum=500),
    _parameter("cursor", "next_cursor of the page before"),
    _parameter(
        "format", "json, or csv for the whole log as a file (also: Accept: text/csv)", enum=["json", "csv"]
    ),
)
BAD_FILTER = InvalidField("kind", got="'words'", allowed="text, arithmetic, slider, grid, click")
NO_CALL = NotFound("there is no such call in your log")


def build_router(desk: Desk, database: Database) -> APIRouter:
    """Everything under /v1."""
    router = APIRouter(generate_unique_id_function=lambda route: f"{NAME}_{route.name}")
    log = CallLog(database)
    limits, most = desk.settings.image_limits, desk.settings.max_queries

    @router.post(
        "/v1/recognitions",
        summary="Recognize a picture of any kind",
        openapi_extra=request_body(RecognitionRequest, IDEMPOTENCY_KEY) | SECURITY,
        responses={200: {"model": Recognition}, **_errors(*RECOGNITION)},
    )
    async def recognize(request: HttpRequest) -> Response:
        ask = await desk.receive(request)
        understood: list[Request] = []

        def parse(types: Types) -> Request:
            body = ask.body.parse(RecognitionRequest)
            row = None if body.type is None else types.pick(body.type)
            task = convert.task_of(body, limits, most)
            if row is not None and row.kind is not task.kind:
                raise InvalidField(
                    "type", got=f"{row.id}, which is for {row.kind}", allowed=f"a type for {task.kind}"
                )
            understood.append(types.request(task, row, convert.names_of(body)))
            return understood[0]

        def render(answer: Answer, receipt: Receipt) -> bytes:
            asked = understood[0]
            return to_json(convert.recognition(answer, asked.task.kind, asked.type_id, receipt))

        try:
            key = key_of(request)
        except Unauthenticated as refusal:
            return await desk.turn_down(WORDS, ask, keys_of(request), refusal)
        return await desk.answer(WORDS, ask, key, parse, render)

    async def told(request: HttpRequest, reply: Callable[[Caller], Awaitable[Response]]) -> Response:
        """What is free; in the log only when it is refused."""
        try:
            caller = await desk.pipeline.keys.identify(key_of(request))
            caller.check(client_address(request))
            return await reply(caller)
        except Refusal as refusal:
            return await turn_down(request, refusal)

    async def turn_down(request: HttpRequest, refusal: Refusal) -> Response:
        ask = await desk.receive(request)
        return await desk.turn_down(WORDS, ask, keys_of(request), refusal)

    def get(path: str, **described: Any) -> Callable[[Endpoint], Endpoint]:
        """A route that answers HEAD too, which the reference does not list."""

        def add(endpoint: Endpoint) -> Endpoint:
            router.add_api_route(path, endpoint, methods=["GET"], **described)
            router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
            return endpoint

        return add

    @get(
        "/v1/balance",
        summary="The balance",
        openapi_extra=SECURITY,
        responses={200: {"model": Balance}, **_errors(UNAUTHENTICATED, BROKEN)},
    )
    async def balance(request: HttpRequest) -> Response:
        async def reply(caller: Caller) -> Response:
            micros = await database.run(partial(log.balance, caller.account_id))
            return _json({"balance": yuan(micros), "currency": "CNY"})

        return await told(request, reply)

    @get(
        "/v1/types",
        summary="The price list",
        openapi_extra=SECURITY,
        responses={200: {"model": TypesReply}, **_errors(UNAUTHENTICATED, BROKEN)},
    )
    async def types(request: HttpRequest) -> Response:
        async def reply(_: Caller) -> Response:
            rows, kinds = await desk.pipeline.prices.all(), desk.pipeline.engine.kinds
            return _json({"types": [convert.type_fields(row, row.kind in kinds) for row in rows.values()]})

        return await told(request, reply)

    @get(
        "/v1/calls",
        summary="The call log, newest first",
        openapi_extra={"parameters": list(FILTER_PARAMETERS)} | SECURITY,
        responses={
            200: {"model": Calls, "content": {"text/csv": {"schema": {"type": "string"}}}},
            **_errors(BAD_FILTER, UNAUTHENTICATED, BROKEN),
        },
    )
    async def calls(request: HttpRequest) -> Response:
        async def reply(caller: Caller) -> Response:
            query = _query(request)
            which = convert.filter_of(query)
            if _wants_csv(request, query):
                return _csv(database, log.csv(caller.account_id, which))
            size = convert.number_of("limit", query.get("limit"), most=500) or PAGE_SIZE
            page = await database.run(partial(log.page, caller.account_id, which, query.get("cursor"), size))
            rows = [convert.call_fields(call) for call in page.calls]
            return _json({"calls": rows, "next_cursor": page.next_cursor})

        return await told(request, reply)

    @get(
        "/v1/calls/{id}",
        summary="One call, by its log id or trace id",
        openapi_extra={"parameters": [_parameter("id", "a log id or a trace id", "path")]} | SECURITY,
        responses={200: {"model": Call}, **_errors(UNAUTHENTICATED, NO_CALL, BROKEN)},
    )
    async def call(request: HttpRequest) -> Response:
        async def reply(caller: Caller) -> Response:
            found = await database.run(partial(log.find, caller.account_id, request.path_params["id"]))
            return _json(convert.call_fields(found))

        return await told(request, reply)

    @router.api_route("/v1/{rest:path}", methods=METHODS, include_in_schema=False)
    @router.api_route("/v1", methods=METHODS, include_in_schema=False)
    async def other(request: HttpRequest) -> Response:
        path = request.url.path
        allowed = PATHS.get("/v1/calls/{id}" if path.startswith("/v1/calls/") else path)
        refusal: Refusal = NotFound(f"there is no {shown(path)}; see /docs")
        if allowed is not None and request.method not in allowed.split(", "):
            refusal = WrongMethod(got=request.method, allowed=allowed)
        return await turn_down(request, refusal)

    return router


def _json(value: object) -> Response:
    return Response(to_json(value), media_type="application/json")


def _query(request: HttpRequest) -> Mapping[str, str]:
    """Raises `InvalidField` for what no database can hold."""
    query = dict(request.query_params)
    for name, value in query.items():
        if not value.isprintable():
            raise InvalidField(shown(name), got=shown(value), allowed="printable characters")
    return query


def _wants_csv(request: HttpRequest, query: Mapping[str, str]) -> bool:
    asked = query.get("format")
    if asked is None:
        return "text/csv" in request.headers.get("accept", "")
    if asked not in ("json", "csv"):
        raise InvalidField("format", got=shown(asked), allowed="json, csv")
    return asked == "csv"


def _csv(database: Database, lines: Iterator[str]) -> Response:
    async def chunks() -> AsyncIterator[str]:
        while (chunk := await database.run(partial(next, lines, None))) is not None:
            yield chunk

    name = {"Content-Disposition": 'attachment; filename="calls.csv"'}
    return StreamingResponse(chunks(), media_type="text/csv; charset=utf-8", headers=name)
