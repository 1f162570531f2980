"""Who is logged in: a random cookie whose SHA-256 is a row, so that users can see and end their log-ins."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from legible.clock import now_ms
from legible.db.tables import Account, Preference, WebSession

COOKIE = "legible_session"
VISIT_COOKIE = "legible_visit"
LIFETIME_MS = 30 * 24 * 3600 * 1000
SEEN_EVERY_MS = 5 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Person:
    """The logged-in account, as of the start of the request. Amounts in micros."""

    id: int
    session_id: int
    email: str
    is_admin: bool
    balance_micros: int
    created_ms: int
    language: str | None
    time_zone: str | None
    low_balance_micros: int | None
    keeps_images: bool


def new_cookie() -> str:
    """A secret that cannot be guessed: 32 random bytes."""
    return secrets.token_urlsafe(32)


def digest(cookie: str) -> bytes:
    """What of a cookie is kept."""
    return hashlib.sha256(cookie.encode()).digest()


def csrf_token(cookie: str) -> str:
    """The token that a form of this browser must carry; it tells nothing about the cookie."""
    return hmac.new(cookie.encode(), b"csrf", "sha256").hexdigest()


def start(session: Session, account_id: int, *, address: str, browser: str) -> str:
    """Logs a browser in; the cookie's value."""
    cookie = new_cookie()
    now = now_ms()
    session.execute(delete(WebSession).where(WebSession.created_ms < now - LIFETIME_MS))
    session.add(
        WebSession(
            account_id=account_id,
            sha256=digest(cookie),
            address=address,
            browser=browser[:300],
            created_ms=now,
            seen_ms=now,
        )
    )
    return cookie


def is_alive() -> ColumnElement[bool]:
    """That a session has not ended by its age: its row may still be there."""
    return WebSession.created_ms > now_ms() - LIFETIME_MS


def find(session: Session, cookie: str) -> tuple[Person, int] | None:
    """Who has this cookie, and when they were last seen; None for an ended session or a disabled account."""
    row = session.execute(
        select(WebSession, Account, Preference)
        .join(Account, Account.id == WebSession.account_id)
        .outerjoin(Preference, Preference.account_id == Account.id)
        .where(
            WebSession.sha256 == digest(cookie),
            is_alive(),
            Account.is_enabled,
        )
    ).one_or_none()
    if row is None:
        return None
    web_session, account, preference = row
    person = Person(
        id=account.id,
        session_id=web_session.id,
        email=account.email,
        is_admin=account.is_admin,
        balance_micros=account.balance_micros,
        created_ms=account.created_ms,
        language=preference.language if preference else None,
        time_zone=preference.time_zone if preference else None,
        low_balance_micros=preference.low_balance_micros if preference else None,
        keeps_images=bool(preference and preference.keeps_images),
    )
    return person, web_session.seen_ms


def touch(session: Session, session_id: int) -> None:
    """Notes that the browser was seen just now."""
    session.execute(update(WebSession).where(WebSession.id == session_id).values(seen_ms=now_ms()))


def end(session: Session, account_id: int, session_id: int) -> None:
    """Logs one browser of the account out."""
    session.execute(
        delete(WebSession).where(WebSession.id == session_id, WebSession.account_id == account_id)
    )


def end_all(session: Session, account_id: int) -> None:
    """Logs all browsers of the account out."""
    session.execute(delete(WebSession).where(WebSession.account_id == account_id))
