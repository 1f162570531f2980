"""API keys: make one (shown once), limit it, disable, rotate, delete; see what each was used for."""

import re
from collections.abc import Collection
from datetime import date, timedelta

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse, Response
from sqlalchemy import func, select

from legible.clock import DAY_MS, now_ms
from legible.console.formats import moment, parse_money
from legible.console.i18n import mark
from legible.console.kinds import known
from legible.console.statistics import day_start_ms
from legible.console.web import Form, FormDep, MemberDep, MemberVisit
from legible.db.tables import ApiKey, Call
from legible.errors import InvalidField, NotFound
from legible.keys import KeyRules, NewKey
from legible.money import yuan
from legible.settings import MAX_RATE
from legible.tasks import Kind

router = APIRouter(prefix="/console/keys")

SHARE = re.compile(r"0?\.\d{1,6}|0|1(\.0{0,6})?")
TRIAL_MS = 3_600_000
TRIAL_CAP_MICROS = 500_000
ERRORS = {
    "name": mark("Give the key a name of 1 to 100 characters."),
    "expires": mark("The day must be in the future."),
    "spend_cap": mark("Write an amount in yuan, like 10 or 0.5."),
    "rate": mark("Write a whole number of at least 1 and at most the account's limit, or nothing."),
    "threshold": mark("Write a number from 0 to 1, like 0.9, or nothing."),
    "kinds": mark("Choose at least one kind."),
    "addresses": mark("Write IP addresses or networks like 203.0.113.0/24, one a line."),
}


class Invalid(Exception):  # noqa: N818 - shown beside its field
    """A field of the form that cannot be used."""

    def __init__(self, field: str) -> None:
        self.field = field


def _rules(visit: MemberVisit, form: Form, key: ApiKey | None = None) -> KeyRules:
    """The rules of a form, which for a `key` keeps the moment of an expiry whose day was left as it was,
    and a rate that was. Raises `Invalid`."""
    before = Form() if key is None else as_form(visit, key)
    is_same_day = key is not None and form["expires"] == before["expires"]
    # A rate that the command line gave may be more than the owner may choose.
    is_same_rate = key is not None and form["rate"] == before["rate"]
    return KeyRules(
        expires_ms=key.expires_ms if key is not None and is_same_day else _expiry(visit, form["expires"]),
        spend_cap_micros=_cap(form["spend_cap"]),
        kinds=_kinds(form),
        addresses=[line.strip() for line in form["addresses"].split() if line.strip()] or None,
        rate_per_second=key.rate_per_second if key is not None and is_same_rate else _rate(visit, form),
        threshold=_threshold(form["threshold"]),
    )


def _expiry(visit: MemberVisit, text: str) -> int | None:
    """The end of the chosen day, in the user's zone."""
    if not text:
        return None
    try:
        expires_ms = day_start_ms(date.fromisoformat(text) + timedelta(1), visit.zone)
    except (ValueError, OverflowError):
        raise Invalid("expires") from None
    if expires_ms <= now_ms():
        raise Invalid("expires")
    return expires_ms


def _cap(text: str) -> int | None:
    if not text:
        return None
    micros = parse_money(text)
    if micros is None:
        raise Invalid("spend_cap")
    return micros


def account_rate(visit: MemberVisit) -> int:
    """Calls a second that the keys of the account may make together; 0 is no limit."""
    own = visit.console.accounts.get(visit.person.id).rate_per_second
    return visit.console.settings.rate_per_second if own is None else own


def _rate(visit: MemberVisit, form: Form) -> int | None:
    """A key's own rate can only be lower than the account's, which is the administrator's to raise."""
    if not form["rate"]:
        return None
    rate = form.number("rate", 1, account_rate(visit) or MAX_RATE)
    if rate is None:
        raise Invalid("rate")
    return rate


def _threshold(text: str) -> float | None:
    if not text:
        return None
    if not SHARE.fullmatch(text):
        raise Invalid("threshold")
    return float(text)


def _in_order(kinds: Collection[Kind]) -> list[Kind]:
    return [kind for kind in Kind if kind in kinds]


def _kinds(form: Form) -> list[Kind] | None:
    if form["which_kinds"] != "some":
        return None
    kinds = [kind for text in form["kinds[]"].split(",") if (kind := known(text))]
    if not kinds:
        raise Invalid("kinds")
    return kinds


def as_form(visit: MemberVisit, key: ApiKey) -> Form:
    """The form that would make this key."""
    expires = moment(key.expires_ms - 1).astimezone(visit.zone).date().isoformat() if key.expires_ms else ""
    return Form(
        {
            "name": key.name,
            "expires": expires,
            "spend_cap": "" if key.spend_cap_micros is None else yuan(key.spend_cap_micros),
            "which_kinds": "all" if key.kinds is None else "some",
            "kinds[]": ",".join(key.kinds or []),
            "addresses": "\n".join(key.addresses or []),
            "rate": "" if key.rate_per_second is None else str(key.rate_per_second),
            "threshold": "" if key.threshold is None else f"{key.threshold:g}",
        }
    )


@router.get("")
def key_list(visit: MemberDep) -> Response:
    return _list(visit, Form())


def _list(
    visit: MemberVisit,
    form: Form,
    status: int = 200,
    error: str = "",
    made: NewKey | None = None,
    name: str = "",
) -> Response:
    keys = visit.console.keys.list(visit.person.id)
    shows_old = visit.request.query_params.get("old") == "1"
    now = now_ms()
    live = [
        key for key in keys if key.revoked_ms is None and (key.expires_ms is None or key.expires_ms > now)
    ]
    return visit.page(
        "keys.html",
        status,
        here="keys",
        keys=keys if shows_old else live,
        hidden=0 if shows_old else len(keys) - len(live),
        calls=_calls_by_key(visit),
        form=form,
        field=error,
        error=ERRORS.get(error),
        made=made,
        made_name=name,
        now=now,
        kinds=_in_order(visit.console.engine.kinds),
        account_rate=account_rate(visit),
        tomorrow=moment(now + DAY_MS).astimezone(visit.zone).date().isoformat(),
    )


def _calls_by_key(visit: MemberVisit) -> dict[int, int]:
    query = select(Call.key_id, func.count()).where(Call.account_id == visit.person.id).group_by(Call.key_id)
    with visit.console.database.read() as session:
        return {key_id: calls for key_id, calls in session.execute(query)}  # noqa: C416 - typed rows


@router.post("")
def create_key(visit: MemberDep, form: FormDep) -> Response:
    """The page that follows shows the key, this once; it is kept nowhere, not even in the browser's cache."""
    try:
        made = visit.console.keys.create(visit.person.id, form["name"], _rules(visit, form))
    except (Invalid, InvalidField) as refusal:
        return _list(visit, form, 400, refusal.field)
    return _list(visit, Form(), made=made, name=form["name"])


@router.post("/trial")
def trial_key(visit: MemberDep, form: FormDep) -> Response:
    """A key for "Try it": one hour, half a yuan."""
    name = f"{visit.translate(mark('Try it'))} {moment(now_ms()).astimezone(visit.zone):%m-%d %H:%M}"
    rules = KeyRules(expires_ms=now_ms() + TRIAL_MS, spend_cap_micros=TRIAL_CAP_MICROS)
    made = visit.console.keys.create(visit.person.id, name, rules)
    return JSONResponse(
        {"id": made.id, "name": name, "key": made.secret}, headers={"Cache-Control": "no-store"}
    )


def _own(visit: MemberVisit, key_id: int) -> ApiKey:
    try:
        return visit.console.keys.get(key_id, visit.person.id)
    except NotFound:
        raise HTTPException(404) from None


@router.get("/{key_id}")
def one_key(visit: MemberDep, key_id: int) -> Response:
    key = _own(visit, key_id)
    return _one(visit, key, as_form(visit, key))


def _one(visit: MemberVisit, key: ApiKey, form: Form, status: int = 200, error: str = "") -> Response:
    tomorrow = moment(now_ms() + DAY_MS).astimezone(visit.zone).date().isoformat()
    return visit.page(
        "key.html",
        status,
        here="keys",
        key=key,
        calls=_calls_by_key(visit).get(key.id, 0),
        form=form,
        field=error,
        error=ERRORS.get(error),
        now=now_ms(),
        kinds=_in_order({*visit.console.engine.kinds, *(Kind(kind) for kind in key.kinds or [])}),
        account_rate=account_rate(visit),
        tomorrow=min(tomorrow, as_form(visit, key)["expires"] or tomorrow),
    )


@router.post("/{key_id}")
def save_key(visit: MemberDep, form: FormDep, key_id: int) -> Response:
    key = _own(visit, key_id)
    try:
        rules = _rules(visit, form, key)
        visit.console.keys.update(key_id, form["name"], rules, visit.person.id)
    except (Invalid, InvalidField) as refusal:
        return _one(visit, key, form, 400, refusal.field)
    return visit.redirect(f"/console/keys/{key_id}", "key-saved")


@router.post("/{key_id}/enabled")
def set_enabled(visit: MemberDep, form: FormDep, key_id: int) -> Response:
    _own(visit, key_id)
    is_enabled = form["enabled"] == "1"
    visit.console.keys.set_enabled(key_id, is_enabled, visit.person.id)
    return visit.redirect("/console/keys", "key-enabled" if is_enabled else "key-disabled")


@router.post("/{key_id}/rotate")
def rotate(visit: MemberDep, form: FormDep, key_id: int) -> Response:
    """A new key with the same rules; the old one goes on for as long as was chosen."""
    key, hours = _own(visit, key_id), form.number("overlap", 0, 24 * 30) or 0
    try:
        made = visit.console.keys.rotate(key_id, hours * 3_600_000, visit.person.id)
    except NotFound:
        raise HTTPException(404) from None
    return _list(visit, Form(), made=made, name=key.name)


@router.post("/{key_id}/delete")
def delete(visit: MemberDep, form: FormDep, key_id: int) -> Response:
    """Its calls stay in the log, so its row stays too; it can never be used again."""
    _own(visit, key_id)
    visit.console.keys.revoke(key_id, visit.person.id)
    return visit.redirect("/console/keys", "key-deleted")
