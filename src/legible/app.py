"""`build_app(settings)`: the one place where parts meet."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from legible import console, logs, memory, model_store, recognizers, reference
from legible.accounts import Accounts
from legible.db.session import Database
from legible.dialects.acedata import routes as acedata
from legible.dialects.captchaapi import routes as captchaapi
from legible.dialects.createtask import routes as createtask
from legible.dialects.describe import METHODS
from legible.dialects.desk import Desk
from legible.dialects.edge import shown
from legible.dialects.shortcut import Shortcut
from legible.dialects.v1 import routes as v1
from legible.engine import Engine
from legible.engine.local import LocalEngine
from legible.errors import Broken, NotFound, Refusal, Unavailable, WrongMethod
from legible.journal import Journal, StoredReplies
from legible.kept_images import KeptImages
from legible.keys import KeyRing
from legible.metrics import CONTENT_TYPE, Metrics, TimedEngine, TimedJournal
from legible.pipeline import Pipeline
from legible.prices import PriceList
from legible.rate_limit import RateLimiter
from legible.recognizers import Recognizer
from legible.settings import Settings
from legible.tasks import Kind

log = structlog.get_logger()

READY_SECONDS = 2.0  # a load balancer asks again soon
PURGE_SECONDS = 3600
TRIM_SECONDS = 60
NO_SCRIPTS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that was built once; `app.state.parts` has it, for the console and for tests."""

    settings: Settings
    database: Database
    accounts: Accounts
    keys: KeyRing
    limiter: RateLimiter
    prices: PriceList
    engine: Engine
    journal: Journal
    desk: Desk
    metrics: Metrics


def build_app(settings: Settings, recognizers: Mapping[Kind, Recognizer] | None = None) -> FastAPI:
    """The service. `recognizers` replaces the ones of this installation;
    the schema must be there (`legible db upgrade`)."""
    logs.configure(settings.log_level)
    parts = build_parts(settings, recognizers)
    chapters = [
        reference.Chapter(each.NAME, each.TITLE, each.ABOUT, router, each.SECURITY_SCHEMES)
        for each, router in (
            (acedata, acedata.build_router(parts.desk)),
            (captchaapi, captchaapi.build_router(parts.desk)),
            (createtask, createtask.build_router(parts.desk, parts.database)),
            (v1, v1.build_router(parts.desk, parts.database)),
        )
    ]
    app = Service(parts, [route for chapter in chapters for route in chapter.router.routes])
    app.state.parts = parts
    app.router.redirect_slashes = False
    for chapter in chapters:
        app.include_router(chapter.router)
    for router in (_operations(parts), _documents(chapters)):
        app.include_router(router)
        for route in router.routes:
            if isinstance(route, APIRoute):
                others = sorted({*METHODS} - {"GET", "HEAD"})
                app.add_api_route(route.path, _wrong_method, methods=others, include_in_schema=False)
    app.mount("/", _console(parts))
    app.exception_handler(Refusal)(v1.refused)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(Exception)(_broken)
    return app


class Service(FastAPI):
    """FastAPI with our own layers around all of its own, which a recognition then need not pass.

    Its telemetry is off: it asks for its settings at every request, and `LEGIBLE_OTLP_URL` is our way.
    """

    def __init__(self, parts: Parts, api_routes: Sequence[BaseRoute]) -> None:
        super().__init__(
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            lifespan=partial(_lifespan, parts),
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )
        self.spans, self.api_routes = parts.metrics.spans, api_routes

    def build_middleware_stack(self) -> ASGIApp:
        app: ASGIApp = Trace(Shortcut(super().build_middleware_stack(), self.api_routes, v1.refused))
        return Gate(app if self.spans is None else self.spans(app), self.api_routes)


def _console(parts: Parts) -> FastAPI:
    """Mounted last, since it takes every path that no router has."""
    return console.build(
        parts.settings, parts.database, parts.accounts, parts.keys, parts.prices, parts.engine, _http_error
    )


def build_parts(settings: Settings, given: Mapping[Kind, Recognizer] | None) -> Parts:
    """The parts, not started."""
    database = Database(settings.database)
    metrics = _metrics(settings)
    keys = KeyRing(database, settings.key_cache_seconds)
    redis_url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
    limiter = RateLimiter(settings.rate_per_second, redis_url)
    prices = PriceList(database, settings.key_cache_seconds)
    engine = TimedEngine(_engine(settings, given), metrics)
    used = recognizers.models_of(engine.kinds) if given is None else frozenset[str]()
    metrics.run_models([model_store.model_files()[name] for name in used])
    journal = TimedJournal(database, metrics, settings.group_commit_size, settings.reply_retention_hours)
    replies = StoredReplies(database, settings.reply_retention_hours)
    images = KeptImages(database, settings.image_days)
    timeout = settings.recognition_timeout_seconds
    pipeline = Pipeline(keys, limiter, prices, replies, engine, journal, images, timeout)
    accounts = Accounts(database, settings.free_quota_micros)
    desk = Desk(pipeline, metrics, settings)
    return Parts(settings, database, accounts, keys, limiter, prices, engine, journal, desk, metrics)


def _metrics(settings: Settings) -> Metrics:
    if settings.otlp_url is None:
        return Metrics()
    # Imported here: OpenTelemetry is an extra.
    from legible.tracing import TracedMetrics

    return TracedMetrics(settings.otlp_url)


def _engine(settings: Settings, given: Mapping[Kind, Recognizer] | None) -> Engine:
    if given is not None:
        return LocalEngine(given, settings.workers, settings.queue_limit)
    found = recognizers.available()
    if settings.engine == "ray":
        # Imported here: Ray is an extra, and takes 100 MB.
        from legible.engine.ray import RayEngine

        replicas = (settings.ray_min_replicas, settings.ray_max_replicas)
        return RayEngine(found, settings.recognition_timeout_seconds, settings.queue_limit, replicas)
    loads = tuple(partial(model_store.load, name) for name in recognizers.models_of(found))
    return LocalEngine(found, settings.workers, settings.queue_limit, loads)


@asynccontextmanager
async def _lifespan(parts: Parts, app: FastAPI) -> AsyncIterator[None]:
    parts.journal.start()
    await parts.engine.start()
    chores = [asyncio.create_task(_purge(parts)), asyncio.create_task(_trim())]
    app.state.is_ready = True
    try:
        yield
    finally:
        # In the order of the road, so that every call that is under way still reaches the journal.
        app.state.is_ready = False
        for chore in chores:
            chore.cancel()
        await parts.desk.stop()
        await parts.engine.stop()
        await parts.journal.stop()
        await parts.limiter.close()
        parts.database.close()
        await asyncio.to_thread(parts.metrics.close)


async def _purge(parts: Parts) -> None:
    """Forgets the replies and images that are older than promised, and what deleted accounts left."""
    while True:
        try:
            await asyncio.to_thread(parts.desk.replies.purge)
            await asyncio.to_thread(parts.desk.pipeline.images.purge)
            await asyncio.to_thread(parts.accounts.forget_deleted)
        except Unavailable as refusal:
            log.warning("old replies could not be deleted", reason=refusal.message)
        except Exception:
            log.exception("old replies could not be deleted")  # a bug of ours: told, and tried again
        await asyncio.sleep(PURGE_SECONDS)


async def _trim() -> None:
    """Keeps what many different pictures leave behind in the heaps from growing (docs/reliability.md)."""
    while True:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.to_thread(memory.trim)


def _operations(parts: Parts) -> APIRouter:
    """What a load balancer and a monitor ask."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/healthz", methods=["GET", "HEAD"])
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    @router.api_route("/readyz", methods=["GET", "HEAD"])
    async def readyz(request: HttpRequest) -> Response:
        checks = {
            "models": getattr(request.app.state, "is_ready", False) and bool(parts.engine.kinds),
            "migrations": await _has_schema(parts),
        }
        is_ready = all(checks.values())
        body = {"status": "ready" if is_ready else "not ready", "checks": checks}
        return JSONResponse(body, 200 if is_ready else 503, NO_STORE)

    @router.api_route("/metrics", methods=["GET", "HEAD"])
    async def metrics() -> Response:
        return Response(parts.metrics.text(), headers={"Content-Type": CONTENT_TYPE} | NO_STORE)

    return router


async def _has_schema(parts: Parts) -> bool:
    try:
        async with asyncio.timeout(READY_SECONDS):
            return await parts.database.run(parts.database.serves)
    except (Unavailable, TimeoutError):
        return False


def _documents(chapters: list[reference.Chapter]) -> APIRouter:
    """The OpenAPI documents and the page drawn from them, made when they are first asked for."""
    router = APIRouter(include_in_schema=False)
    whole = cache(lambda: reference.whole_document(chapters))
    documents = cache(lambda: {chapter.name: reference.document(chapter) for chapter in chapters})
    page = cache(lambda: reference.page(documents()))

    @router.api_route("/openapi.json", methods=["GET", "HEAD"])
    async def everything() -> Response:
        return JSONResponse(await asyncio.to_thread(whole))

    @router.api_route("/openapi/{name}.json", methods=["GET", "HEAD"])
    async def one(name: str) -> Response:
        found = await asyncio.to_thread(documents)
        if name not in found:
            raise NotFound(f"there is no OpenAPI document {shown(name)}; there are: {', '.join(found)}")
        return JSONResponse(found[name])

    @router.api_route("/docs", methods=["GET", "HEAD"])
    async def docs() -> Response:
        return HTMLResponse(await asyncio.to_thread(page), headers=NO_SCRIPTS)

    return router


async def _wrong_method(request: HttpRequest) -> Response:
    return v1.problem(request, WrongMethod(got=request.method, allowed="GET, HEAD"))


async def _http_error(request: HttpRequest, error: HTTPException) -> Response:
    """What the router says by itself: no such path, no such method."""
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another one")
        return v1.problem(request, WrongMethod(got=request.method, allowed=allowed))
    return v1.problem(request, NotFound(f"there is no {shown(request.url.path)}; see /docs"))


EXPOSED_RATES = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


class Gate:
    """What every request passes first (plain ASGI): its path as it was meant, and for pages of other sites
    the APIs alone. That opens nothing: a key is in a header or a body, and never in a cookie."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self.app = app
        self.paths = frozenset(route.path for route in routes if isinstance(route, APIRoute))
        self.folders = tuple(path.partition("{")[0] for path in self.paths if "{" in path)
        self.shared = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["authorization", "content-type", "x-api-key", "idempotency-key"],
            expose_headers=["x-trace-id", "retry-after", *EXPOSED_RATES],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith("//") or path.endswith("/"):
                path = scope["path"] = self._meant(path)
            if b"origin" in dict(scope["headers"]) and (path in self.paths or path.startswith(self.folders)):
                app = self.shared
        await app(scope, receive, send)

    def _meant(self, path: str) -> str:
        """Without the slashes that a base URL with one at its end leaves, if that is one of an API."""
        meant = "/" + path.lstrip("/").removesuffix("/")
        return meant if meant in self.paths or meant.startswith(self.folders) else path


class Trace:
    """Gives every request an id and a log line, and every bug a reply without its traceback (plain ASGI)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        trace_id, started, status = str(uuid.uuid4()), time.perf_counter(), 0
        scope.setdefault("state", {})["trace_id"] = trace_id

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-trace-id", trace_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            try:
                await self.app(scope, receive, send_with_id)
            except ClientDisconnect:
                log.info("the client hung up")
            except Exception as error:
                log.exception("a request broke", path=scope["path"])
                if not status:
                    reply = await _broken(HttpRequest(scope), error)
                    await reply(scope, receive, send_with_id)
            milliseconds = round((time.perf_counter() - started) * 1000, 1)
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=milliseconds,
            )


async def _broken(request: HttpRequest, _: Exception) -> Response:
    """A bug, in the words of the dialect whose path it happened under."""
    path, trace_id = request.url.path, request.state.trace_id
    if path.startswith("/captcha"):
        return acedata.broken(trace_id)
    if path in (*createtask.PATHS, *createtask.NO_METHODS, createtask.IN_PHP, createtask.RES_PHP):
        return createtask.broken(request, trace_id)
    if path.startswith("/api/"):
        return captchaapi.broken(request.app.state.parts.settings.captchaapi_always_200, trace_id)
    return v1.problem(request, Broken())
