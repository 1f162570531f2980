"""Language, time zone, password, browsers, kept images, "download my data" and "delete my account"."""

import json
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from legible.calls import CallLog
from legible.clock import now_ms
from legible.console import sessions
from legible.console.attempts import LOG_IN_BY_EMAIL
from legible.console.formats import moment, zone_names
from legible.console.i18n import LANGUAGES, mark
from legible.console.routes.calls import as_json
from legible.console.routes.entrance import FIELD_ERRORS, TOO_OFTEN, prefer
from legible.console.web import FormDep, MemberDep, MemberVisit
from legible.db.tables import (
    ApiKey,
    Call,
    Entry,
    KeptImage,
    WebSession,
    WrongAnswer,
)
from legible.errors import InvalidField, NotAllowed, Unauthenticated

router = APIRouter(prefix="/console/settings")

ENTRY_COLUMNS = ("id", "amount_micros", "balance_micros", "kind", "reason", "call_id", "created_ms")
WRONG_PASSWORD = mark("This is not your password.")
LAST_ADMINISTRATOR = mark("You are the only administrator. Make another one first.")


@router.get("")
def settings_page(visit: MemberDep) -> Response:
    return _page(visit)


def _page(visit: MemberVisit, status: int = 200, field: str = "", error: str = "") -> Response:
    mine = (
        select(WebSession)
        .where(WebSession.account_id == visit.person.id, sessions.is_alive())
        .order_by(WebSession.seen_ms.desc())
    )
    kept = (
        select(func.count())
        .join(Call, Call.id == KeptImage.call_id)
        .where(Call.account_id == visit.person.id)
    )
    with visit.console.database.read() as session:
        return visit.page(
            "settings.html",
            status,
            here="settings",
            field=field,
            error=error,
            zones=zone_names(),
            names=LANGUAGES,
            browsers=session.scalars(mine).all(),
            kept_images=session.scalar(kept.select_from(KeptImage)) or 0,
            image_days=visit.console.settings.image_days,
        )


@router.post("/preferences")
def save_preferences(visit: MemberDep, form: FormDep) -> Response:
    language = form["language"] if form["language"] in LANGUAGES else None
    time_zone = form["time_zone"] if form["time_zone"] in zone_names() else None
    with visit.console.database.write() as session:
        prefer(session, visit.person.id, language=language, time_zone=time_zone)
    return visit.redirect("/console/settings", "saved")


@router.post("/images")
def keep_images(visit: MemberDep, form: FormDep) -> Response:
    keeps = form["keep"] == "1"
    with visit.console.database.write() as session:
        prefer(session, visit.person.id, keeps_images=keeps)
        if not keeps:
            _forget_images(session, visit.person.id)
    return visit.redirect("/console/settings", "saved" if keeps else "images-deleted")


def _forget_images(session: Session, account_id: int) -> None:
    mine = select(Call.id).where(Call.account_id == account_id)
    session.execute(delete(KeptImage).where(KeptImage.call_id.in_(mine)))


def _is_password(visit: MemberVisit, password: str) -> bool | None:
    """None: too many attempts."""
    if not visit.console.attempts.allow(LOG_IN_BY_EMAIL, f"account {visit.person.id}"):
        return None
    try:
        visit.console.accounts.verify(visit.person.email, password)
    except Unauthenticated:
        return False
    return True


@router.post("/password")
def change_password(visit: MemberDep, form: FormDep) -> Response:
    known = _is_password(visit, form["password"])
    if not known:
        return _page(visit, 400, "password", TOO_OFTEN if known is None else WRONG_PASSWORD)
    try:
        visit.console.accounts.set_password(visit.person.id, form["new_password"], visit.person.session_id)
    except InvalidField:
        return _page(visit, 400, "new_password", FIELD_ERRORS["password"])
    return visit.redirect("/console/settings", "password-changed")


@router.post("/browsers/{session_id}/end")
def end_browser(visit: MemberDep, form: FormDep, session_id: int) -> Response:
    with visit.console.database.write() as session:
        sessions.end(session, visit.person.id, session_id)
    return visit.redirect("/console/settings", "session-ended")


@router.get("/data.json")
def download_data(visit: MemberDep) -> Response:
    """All that is kept about the account, but for secrets, of which only hashes exist."""
    counts = [select(func.count()).where(table.account_id == visit.person.id) for table in (Call, Entry)]
    with visit.console.database.read() as session:
        total = sum(session.scalar(each) or 0 for each in counts)
    headers = {
        "Content-Disposition": f'attachment; filename="legible-account-{moment(now_ms()):%Y%m%d}.json"',
        "Cache-Control": "no-store",
        "X-Total-Rows": str(total),
    }
    return StreamingResponse(_everything(visit), media_type="application/json", headers=headers)


def _everything(visit: MemberVisit) -> Iterator[str]:
    yield '{"account": ' + _json(_account(visit)) + ',\n"keys": ' + _json(_keys(visit))
    yield ',\n"browsers": ' + _json(_browsers(visit)) + ',\n"wrong_answers": ' + _json(_reports(visit))
    yield ',\n"calls": [\n'
    yield from _joined(_calls(visit))
    yield '],\n"entries": [\n'
    yield from _joined(_entries(visit))
    yield "]}\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _joined(rows: Iterator[dict[str, object]]) -> Iterator[str]:
    comma = ""
    for row in rows:
        yield comma + _json(row)
        comma = ",\n"


def _account(visit: MemberVisit) -> dict[str, object]:
    person = visit.person
    return {
        "email": person.email,
        "created_at": moment(person.created_ms).isoformat(),
        "balance_micros": person.balance_micros,
        "language": person.language,
        "time_zone": person.time_zone,
        "low_balance_micros": person.low_balance_micros,
        "keeps_images": person.keeps_images,
    }


def _keys(visit: MemberVisit) -> list[dict[str, object]]:
    hidden = {"sha256", "account_id"}
    columns = [column.name for column in ApiKey.__table__.columns if column.name not in hidden]
    return [
        {name: getattr(key, name) for name in columns} for key in visit.console.keys.list(visit.person.id)
    ]


def _browsers(visit: MemberVisit) -> list[dict[str, object]]:
    mine = select(WebSession).where(WebSession.account_id == visit.person.id).order_by(WebSession.id)
    names = ("address", "browser", "created_ms", "seen_ms")
    with visit.console.database.read() as session:
        return [{name: getattr(row, name) for name in names} for row in session.scalars(mine)]


def _reports(visit: MemberVisit) -> list[dict[str, object]]:
    mine = (
        select(WrongAnswer, Call.log_id)
        .join(Call, Call.id == WrongAnswer.call_id)
        .where(Call.account_id == visit.person.id)
        .order_by(WrongAnswer.id)
    )
    with visit.console.database.read() as session:
        return [
            {"log_id": log_id, "expected": row.expected, "created_ms": row.created_ms}
            for row, log_id in session.execute(mine)
        ]


def _calls(visit: MemberVisit) -> Iterator[dict[str, object]]:
    log, cursor = CallLog(visit.console.database), None
    while True:
        page = log.page(visit.person.id, cursor=cursor, size=500)
        yield from (as_json(call) for call in page.calls)
        cursor = page.next_cursor
        if cursor is None:
            return


def _entries(visit: MemberVisit) -> Iterator[dict[str, object]]:
    after = 0
    while True:
        query = (
            select(Entry)
            .where(Entry.account_id == visit.person.id, Entry.id > after)
            .order_by(Entry.id)
            .limit(500)
        )
        with visit.console.database.read() as session:
            rows = [
                {name: getattr(entry, name) for name in ENTRY_COLUMNS} for entry in session.scalars(query)
            ]
        if not rows:
            return
        yield from rows
        after = rows[-1]["id"]


@router.post("/delete")
def delete_account(visit: MemberDep, form: FormDep) -> Response:
    known = _is_password(visit, form["password"])
    if not known:
        return _page(visit, 400, "delete", TOO_OFTEN if known is None else WRONG_PASSWORD)
    try:
        visit.console.accounts.delete(visit.person.id)
    except NotAllowed:
        return _page(visit, 400, "delete", LAST_ADMINISTRATOR)
    visit.console.keys.forget()
    response = visit.redirect("/")
    response.background = BackgroundTask(visit.console.accounts.forget, visit.person.id)
    response.delete_cookie(sessions.COOKIE, path="/")
    return response
