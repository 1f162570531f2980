"""Sign up, log in, log out; language and theme, which need no account."""

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from legible.console import sessions
from legible.console.attempts import (
    LOG_IN_BY_ADDRESS,
    LOG_IN_BY_EMAIL,
    LOG_IN_BY_EMAIL_ANYWHERE,
    SIGN_UP_BY_ADDRESS,
    whose,
)
from legible.console.formats import zone_names
from legible.console.i18n import LANGUAGES, mark
from legible.console.web import (
    LANGUAGE_COOKIE,
    THEME_COOKIE,
    YEAR_SECONDS,
    Form,
    FormDep,
    Visit,
    VisitDep,
    is_local,
)
from legible.db.session import upsert
from legible.db.tables import Preference
from legible.errors import InvalidField, Unauthenticated

router = APIRouter()

WRONG = mark("The e-mail address or the password is wrong.")
FROZEN = mark("This account is frozen. Ask your administrator.")
ENDED = mark("You were logged out before that was sent, and nothing was changed. Log in, and send it again.")
TOO_OFTEN = mark("Too many attempts. Try again in a few minutes.")
FIELD_ERRORS = {
    "email": mark("This is not an e-mail address, or it has an account already. Log in instead?"),
    "password": mark("The password needs 8 to 1,024 characters."),
}


def _next(target: str, otherwise: str = "/console") -> str:
    return target if is_local(target) else otherwise


@router.get("/login")
def log_in_page(visit: VisitDep, next: str = "", ended: str = "") -> Response:
    if visit.person:
        return visit.redirect(_next(next))
    return visit.page("login.html", next=next, email="", error=ENDED if ended else None)


@router.post("/login")
def log_in(visit: VisitDep, form: FormDep) -> Response:
    error = _too_often(visit, form["email"])
    if error is None:
        try:
            account = visit.console.accounts.verify(form["email"], form["password"])
        except Unauthenticated as refusal:
            error = FROZEN if refusal.reason == "account_disabled" else WRONG
        else:
            visit.console.attempts.forget(LOG_IN_BY_EMAIL, _from_there(visit, form["email"]))
            return _enter(visit, form, account.id)
    status = 429 if error == TOO_OFTEN else 400
    return visit.page("login.html", status, next=form["next"], email=form["email"], error=error)


def _too_often(visit: Visit, email: str) -> str | None:
    limits = (
        (LOG_IN_BY_ADDRESS, visit.address),
        (LOG_IN_BY_EMAIL, _from_there(visit, email)),
        (LOG_IN_BY_EMAIL_ANYWHERE, email[:254]),
    )
    # One that is over its limit stops the count of those after it.
    return None if all(visit.console.attempts.allow(*limit) for limit in limits) else TOO_OFTEN


def _from_there(visit: Visit, email: str) -> str:
    return f"{email[:254]} from {whose(visit.address)}"


def _enter(visit: Visit, form: Form, account_id: int, done: str | None = None) -> Response:
    """A fresh cookie at every log-in, so that one planted before is worth nothing. Who has chosen no time
    zone has the browser's."""
    browser = visit.request.headers.get("user-agent", "")
    chosen = select(Preference.time_zone).where(Preference.account_id == account_id)
    with visit.console.database.write() as session:
        cookie = sessions.start(session, account_id, address=visit.address, browser=browser)
        if form["time_zone"] in zone_names() and session.scalar(chosen) is None:
            prefer(session, account_id, time_zone=form["time_zone"])
    response = visit.redirect(_next(form["next"]), done)
    visit.set_cookie(response, sessions.COOKIE, cookie, sessions.LIFETIME_MS // 1000)
    response.delete_cookie(sessions.VISIT_COOKIE, path="/")
    return response


@router.get("/signup")
def sign_up_page(visit: VisitDep, next: str = "") -> Response:
    if visit.person:
        return visit.redirect(_next(next))
    return _sign_up_form(visit, Form(next=next))


def _sign_up_form(visit: Visit, form: Form, status: int = 200, field: str = "", error: str = "") -> Response:
    return visit.page(
        "signup.html",
        status,
        next=form["next"],
        email=form["email"],
        field=field,
        error=error,
        free_quota=visit.console.settings.free_quota_micros,
    )


@router.post("/signup")
def sign_up(visit: VisitDep, form: FormDep) -> Response:
    if not visit.console.settings.sign_up:
        raise HTTPException(404)
    if not visit.console.attempts.allow(SIGN_UP_BY_ADDRESS, visit.address):
        return _sign_up_form(visit, form, 429, error=TOO_OFTEN)
    try:
        account = visit.console.accounts.create(form["email"], form["password"])
    except InvalidField as refusal:
        return _sign_up_form(visit, form, 400, refusal.field, FIELD_ERRORS[refusal.field])
    with visit.console.database.write() as session:
        prefer(session, account.id, language=visit.language)
    welcome = "welcome" if visit.console.settings.free_quota_micros else "welcome-empty"
    return _enter(visit, form, account.id, welcome)


def prefer(session: Session, account_id: int, **values: object) -> None:
    """Keeps what an account chose."""
    upsert(session, Preference, {"account_id": account_id}, values)


@router.post("/logout")
def log_out(visit: VisitDep, form: FormDep) -> Response:
    if visit.person:
        with visit.console.database.write() as session:
            sessions.end(session, visit.person.id, visit.person.session_id)
    response = visit.redirect("/")
    response.delete_cookie(sessions.COOKIE, path="/")
    return response


@router.get("/language/{code}")
def set_language(visit: VisitDep, code: str, next: str = "/") -> Response:
    if code not in LANGUAGES:
        raise HTTPException(404)
    if visit.person:
        with visit.console.database.write() as session:
            prefer(session, visit.person.id, language=code)
    response = visit.redirect(_next(next, "/"))
    visit.set_cookie(response, LANGUAGE_COOKIE, code, YEAR_SECONDS)
    return response


@router.get("/theme/{name}")
def set_theme(visit: VisitDep, name: str, next: str = "/") -> Response:
    if name not in ("light", "dark"):
        raise HTTPException(404)
    response = visit.redirect(_next(next, "/"))
    visit.set_cookie(response, THEME_COOKIE, name, YEAR_SECONDS)
    return response
