"""The console: server-rendered pages in English and Chinese, as one application that `app.py` mounts last."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from legible.accounts import Accounts
from legible.console.attempts import Attempts
from legible.console.guard import Guard
from legible.console.i18n import mark
from legible.console.parts import Console
from legible.console.routes import (
    admin,
    balance,
    calls,
    entrance,
    keys,
    overview,
    public,
    settings,
    statistics,
    try_it,
)
from legible.console.statistics import DailyTallies
from legible.console.web import SeeOther, environments, short_ids, trace_id, visit
from legible.db.session import Database
from legible.engine import Engine
from legible.errors import Refusal, Unavailable
from legible.keys import KeyRing
from legible.prices import PriceList
from legible.settings import Settings

HERE = Path(__file__).parent
PAGES = (public, entrance, overview, try_it, keys, calls, statistics, balance, settings, admin)
OtherError = Callable[[Request, StarletteHTTPException], Awaitable[Response]]

ERRORS = {
    400: (mark("That form did not arrive whole"), mark("Load the page again, then send it again.")),
    403: (
        mark("This form is too old"),
        mark("You logged in or out since it was opened, or cookies are off. Load it again, then send it."),
    ),
    404: (
        mark("There is no such page"),
        mark("The address is wrong, or what it names is not yours or is gone."),
    ),
    405: (mark("That does not work here"), mark("Go back and try it from the page's own buttons.")),
    413: (mark("That is too long"), mark("Make it shorter and send it again.")),
    429: (mark("That was too often"), mark("Wait a minute, then go on.")),
    500: (
        mark("Something broke on our side"),
        mark("Try it again. If it goes on, tell your administrator the trace id: it is in the server's log."),
    ),
    503: (mark("The database does not answer"), mark("Nothing was lost. Try it again in a few seconds.")),
}
UNSURE = mark("Wait a few seconds, then look whether it was done before you send it again.")


def build(
    options: Settings,
    database: Database,
    accounts: Accounts,
    key_ring: KeyRing,
    prices: PriceList,
    engine: Engine,
    otherwise: OtherError,
) -> FastAPI:
    """The console. `otherwise` answers programs that ask for paths which are not there."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    app.state.console = Console(
        options,
        database,
        accounts,
        key_ring,
        prices,
        engine,
        Attempts(),
        DailyTallies(),
        environments(str(HERE / "templates")),
    )
    for page in PAGES:
        for route in page.router.routes:
            if isinstance(route, APIRoute) and route.methods == {"GET"}:
                route.methods = {"GET", "HEAD"}
        app.include_router(page.router, dependencies=[Depends(short_ids)])
    app.mount("/static", StaticFiles(directory=HERE / "static"))

    async def http_error(request: Request, error: Exception) -> Response:
        if not isinstance(error, StarletteHTTPException):
            raise error
        path = request.scope["path"]
        is_lost = error.status_code == 404 and request.method in ("GET", "HEAD") and _wants_page(request)
        if is_lost and path.endswith("/") and not path.startswith("//"):
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(quote(path.rstrip("/") or "/") + query, 307)
        if not _wants_page(request):
            known = error.status_code in (404, 405)
            return await otherwise(request, error) if known else JSONResponse({}, error.status_code)
        return await run_in_threadpool(_error_page, request, error.status_code)

    app.add_exception_handler(StarletteHTTPException, http_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, _not_found)
    app.add_exception_handler(SeeOther, _see_other)
    app.add_exception_handler(Refusal, _refused)
    app.add_middleware(Guard, on_error=_error_page)
    return app


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _error_page(request: Request, status: int) -> Response:
    """The page that says what happened and what to do next; it works without the database, too."""
    try:
        visitor = visit(request)
    except Refusal:
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"cookie"]
        visitor = visit(Request(request.scope))
    heading, sentence = ERRORS.get(status, ERRORS[500])
    if status == 503 and request.method not in ("GET", "HEAD"):
        sentence = UNSURE
    return visitor.page("error.html", status, heading=heading, sentence=sentence, trace_id=trace_id(request))


async def _not_found(request: Request, error: Exception) -> Response:
    """An id that is no number, and the like."""
    return await run_in_threadpool(_error_page, request, 404)


async def _see_other(request: Request, error: Exception) -> Response:
    return RedirectResponse(getattr(error, "url", "/"), 303)


async def _refused(request: Request, error: Exception) -> Response:
    return await run_in_threadpool(_error_page, request, 503 if isinstance(error, Unavailable) else 500)
