"""What every page stands on: who visits, in which language, with a checked form; how a page is rendered."""

import hmac
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Annotated, Any, cast
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.routing import Match

from legible.clock import now_ms
from legible.console import explain, formats, kinds, sessions
from legible.console.i18n import LANGUAGES, choose, translations
from legible.console.notices import NOTICES
from legible.console.parts import Console
from legible.console.sessions import Person
from legible.db.session import storable
from legible.errors import Unavailable
from legible.money import yuan

LANGUAGE_COOKIE = "legible_language"
THEME_COOKIE = "legible_theme"
YEAR_SECONDS = 365 * 24 * 3600
MAX_FORM_BYTES = 64 * 1024
MAX_VALUE_CHARACTERS = 4000
MAX_ID_DIGITS = 18


class SeeOther(Exception):  # noqa: N818 - a redirect, not an error
    """Ends the request with a redirect."""

    def __init__(self, url: str) -> None:
        self.url = url


def environments(folder: str) -> Mapping[str, Environment]:
    """Jinja with its catalogue, by language."""
    return {language: _environment(folder, language) for language in LANGUAGES}


def _environment(folder: str, language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    catalog = translations(language)
    cast(Any, environment).install_gettext_translations(catalog, newstyle=True)
    environment.filters.update(
        money=formats.money,
        yuan=yuan,
        ms=formats.milliseconds,
        count=formats.count,
        bytes=formats.size,
    )
    icons = cast(Any, environment.get_template("icons.html").module)
    environment.globals.update(
        language=language,
        languages=LANGUAGES,
        version=version("legible"),
        percent=formats.percent,
        kind_name=kinds.name,
        dialect_name=lambda name: kinds.DIALECTS.get(name, name),
        outcome_name=explain.name,
        icon=icons.icon,
        logo=icons.logo,
    )
    return environment


def is_local(path: str) -> bool:
    """Whether a redirect target stays with us: "//evil.example" and "/\\evil.example" do not."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return False
    return (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and not parts.netloc
        and path.isprintable()
    )


@dataclass
class Visit:
    """One request to the console."""

    request: Request
    console: Console
    person: Person | None
    cookie: str
    is_new: bool

    @cached_property
    def language(self) -> str:
        cookies = self.request.cookies
        wanted = [self.person.language if self.person else None, cookies.get(LANGUAGE_COOKIE)]
        return choose(wanted, self.request.headers.get("accept-language", ""))

    @cached_property
    def zone(self) -> Any:
        return formats.zone(self.person.time_zone if self.person else None)

    @property
    def theme(self) -> str | None:
        theme = self.request.cookies.get(THEME_COOKIE)
        return theme if theme in ("light", "dark") else None

    @property
    def address(self) -> str:
        return self.request.client.host if self.request.client else ""

    @property
    def is_https(self) -> bool:
        return self.request.url.scheme == "https"

    @property
    def base_url(self) -> str:
        return str(self.request.base_url).rstrip("/")

    def translate(self, message: str, **values: object) -> str:
        """A marked sentence in the visitor's language."""
        sentence = translations(self.language).ugettext(message)
        return sentence % values if values else sentence

    def time(self, milliseconds: int | None) -> Markup:
        return formats.time_tag(milliseconds, self.language, self.zone)

    def csrf_field(self) -> Markup:
        return Markup('<input type="hidden" name="csrf" value="{}">').format(sessions.csrf_token(self.cookie))

    def link(self, **changes: object) -> str:
        """This page's address with some of its query changed; None takes a part away."""
        query: dict[str, object] = {**self.request.query_params, **changes}
        kept = {name: value for name, value in query.items() if value not in (None, "")}
        kept.pop("done", None)
        return self._page_path() + (f"?{urlencode(kept)}" if kept else "")

    def _page_path(self) -> str:
        """Where this page can be read again: for a form's answer, the page that the form is on."""
        path = self.request.url.path
        while self.request.method != "GET" and "/" in path.strip("/") and not self._can_be_read(path):
            path = path.rpartition("/")[0]
        return path

    def _can_be_read(self, path: str) -> bool:
        scope = dict(self.request.scope) | {"path": path, "method": "GET"}
        return any(route.matches(scope)[0] is Match.FULL for route in self.request.app.routes)

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """The page, rendered for this visitor."""
        query = self.request.url.query if self.request.method == "GET" else ""
        context: dict[str, object] = {
            "account": self.person,
            "theme": self.theme,
            "path": self._page_path() + (f"?{query}" if query else ""),
            "csrf_field": self.csrf_field,
            "csrf": sessions.csrf_token(self.cookie),
            "time": self.time,
            "link": self.link,
            "base_url": self.base_url,
            "sign_up_open": self.console.settings.sign_up,
            "notice": NOTICES.get(self.request.query_params.get("done", "")),
            "here": "",
            "sidebar": False,
            "status": status,
        }
        body = self.console.templates[self.language].get_template(template).render(context | values)
        response = HTMLResponse(body, status)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Language"] = "zh-Hans" if self.language == "zh_Hans" else "en"
        if self.is_new:
            self.set_cookie(response, sessions.VISIT_COOKIE, self.cookie)
        return response

    def redirect(self, path: str, done: str | None = None) -> RedirectResponse:
        """To another page, with a notice to show there."""
        mark = "&" if "?" in path else "?"
        return RedirectResponse(f"{path}{mark}done={quote(done)}" if done else path, 303)

    def set_cookie(self, response: Response, name: str, value: str, seconds: int | None = None) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path="/", secure=self.is_https, httponly=True, samesite="lax"
        )


def visit(request: Request) -> Visit:
    """Who is here. A cookie that no row knows is treated as none."""
    console = cast(Console, request.app.state.console)
    cookie = request.cookies.get(sessions.COOKIE)
    if cookie:
        with console.database.read() as session:
            found = sessions.find(session, cookie)
        if found:
            person, seen_ms = found
            if now_ms() - seen_ms > sessions.SEEN_EVERY_MS:
                # A note, which may fail: the page is there without it.
                with suppress(Unavailable), console.database.write() as session:
                    sessions.touch(session, person.session_id)
            return Visit(request, console, person, cookie, is_new=False)
    cookie = request.cookies.get(sessions.VISIT_COOKIE)
    return Visit(request, console, None, cookie or sessions.new_cookie(), is_new=not cookie)


VisitDep = Annotated[Visit, Depends(visit)]


@dataclass
class MemberVisit(Visit):
    """A request of somebody who is logged in."""

    person: Person


def member(visit: VisitDep) -> MemberVisit:
    if visit.person is None:
        ended = {} if visit.request.method in ("GET", "HEAD") else {"ended": "1"}
        raise SeeOther(f"/login?{urlencode({'next': visit.link(), **ended})}")
    return MemberVisit(visit.request, visit.console, visit.person, visit.cookie, visit.is_new)


MemberDep = Annotated[MemberVisit, Depends(member)]


def administrator(visit: MemberDep) -> MemberVisit:
    """For other members the page is not there."""
    if not visit.person.is_admin:
        raise HTTPException(404)
    return visit


AdminDep = Annotated[MemberVisit, Depends(administrator)]


class Form(dict[str, str]):
    """A posted form: trimmed values by name, "" for what is missing."""

    def __missing__(self, name: str) -> str:
        return ""

    def number(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds, with or without separators, else None."""
        value = formats.parse_whole(self[name])
        return value if value is not None and low <= value <= high else None


async def form(request: Request, visit: VisitDep) -> Form:
    """The posted form, after its CSRF token was checked. Raises 400, 403 or 413."""
    if int(request.headers.get("content-length") or MAX_FORM_BYTES + 1) > MAX_FORM_BYTES:
        raise HTTPException(413)
    async with request.form(max_files=0, max_fields=200) as posted:
        values = {name: value for name, value in posted.multi_items() if isinstance(value, str)}
        lists = {f"{name}[]": ",".join(str(v) for v in posted.getlist(name)) for name in posted}
    # While somebody is logged in only their session counts: a neighbouring host can plant the other cookie.
    cookies = (visit.cookie, "" if visit.person else request.cookies.get(sessions.COOKIE, ""))
    token = values.pop("csrf", "") or request.headers.get("x-csrf-token", "")
    if not any(c and hmac.compare_digest(sessions.csrf_token(c).encode(), token.encode()) for c in cookies):
        raise HTTPException(403)
    if any(len(value) > MAX_VALUE_CHARACTERS for value in values.values()):
        raise HTTPException(413)
    return Form({name: storable(value.strip()) for name, value in values.items()} | lists)


FormDep = Annotated[Form, Depends(form)]


def short_ids(request: Request) -> None:
    """A number that is too long for a row's id names nothing; the databases' drivers break on it."""
    ids = [value for name, value in request.path_params.items() if name.endswith("_id")]
    if any(len(each) > MAX_ID_DIGITS for each in (*ids, request.query_params.get("before", ""))):
        raise HTTPException(404)


def trace_id(request: Request) -> str:
    """The id under which this request is in our own log."""
    known = getattr(request.state, "trace_id", None)
    return str(known) if known else str(uuid.uuid4())
