"""Administration: users, types and prices, top-up codes, models, the ledger check, the audit log."""

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse, Response
from sqlalchemy import func, select

from legible import ledger, model_store
from legible.clock import DAY_MS, now_ms
from legible.console import codes
from legible.console.formats import money, parse_money
from legible.console.i18n import mark
from legible.console.kinds import KINDS, known
from legible.console.routes.entrance import FIELD_ERRORS
from legible.console.web import AdminDep, Form, FormDep, MemberVisit
from legible.db.session import storable
from legible.db.tables import LEAVING, NOBODY, Account, ApiKey, AuditEvent, Call, Entry, TopUpCode
from legible.errors import InsufficientCredit, InvalidField, NotAllowed
from legible.prices import PricedType
from legible.settings import MAX_RATE
from legible.tasks import Kind

router = APIRouter(prefix="/admin")

PAGE_SIZE = 50
MAX_CODES = 100
ERRORS = {
    "amount": mark("Write an amount in yuan, like 10 or 0.5; with a minus sign it takes away."),
    "negative": mark("The balance cannot go under zero."),
    "reason": mark("Write why: the user sees it in the ledger."),
    "rate": mark("Write a whole number from 0 (no limit) to 1,000,000, or nothing."),
    "password": FIELD_ERRORS["password"],
    "email": mark("This is not an e-mail address, or it has an account already."),
    "self": mark("You cannot freeze or demote yourself."),
    "last": mark("An enabled administrator must stay."),
    "code_amount": mark("Write an amount in yuan, like 10 or 0.5."),
    "number": mark("Write a number from 1 to 100."),
    "days": mark("Write a number of days from 1 to 3,650, or nothing."),
    "id": mark("Write a whole number from 1 to 2,147,483,647."),
    "taken": mark("There is a type with this id already: change it in its own place."),
    "name": mark("Write both names, of at most 100 characters each."),
    "price": mark("Write an amount in yuan, like 0.001, with at most six decimals."),
    "kind": mark("Choose a kind."),
}
ACTIONS = {
    "add": mark("Made an account"),
    "top-up": mark("Top-up"),
    "correction": mark("Correction"),
    "freeze": mark("Froze the account"),
    "thaw": mark("Unfroze the account"),
    "limit": mark("Changed the limit"),
    "password": mark("Set a password"),
    "promote": mark("Made an administrator"),
    "demote": mark("Took administration away"),
    "codes": mark("Made top-up codes"),
    "cancel-code": mark("Cancelled a code"),
    "type": mark("Changed a type"),
    "ledger-check": mark("Checked the ledger"),
}


# What the audit log keeps beside the action, in words.
DETAILS = {
    "amount": mark("Amount"),
    "reason": mark("Reason"),
    "calls_per_second": mark("Calls a second"),
    "kind": mark("Kind"),
    "name": mark("Name"),
    "price": mark("Price"),
    "enabled": mark("Can be called"),
    "number": mark("How many"),
    "accounts": mark("Accounts"),
    "entries": mark("Entries"),
    "problems": mark("Problems"),
}


def note(visit: MemberVisit, action: str, subject: str, **detail: object) -> AuditEvent:
    """A line of the audit log, to be written with what it tells."""
    return AuditEvent(
        admin_id=visit.person.id, action=action, subject=subject, detail=detail, created_ms=now_ms()
    )


# Users


@router.get("")
def users(visit: AdminDep, search: str = "", before: int = 2**62) -> Response:
    return _users(visit, search, before)


def _users(
    visit: MemberVisit,
    search: str = "",
    before: int = 2**62,
    status: int = 200,
    error: str = "",
    form: Form | None = None,
) -> Response:
    query = (
        select(Account)
        .where(Account.id < min(before, 2**62))
        .order_by(Account.id.desc())
        .limit(PAGE_SIZE + 1)
    )
    if search.strip():
        query = query.where(Account.email.contains(storable(search).strip().lower()[:254], autoescape=True))
    with visit.console.database.read() as session:
        rows = session.scalars(query).all()
        more = len(rows) > PAGE_SIZE
        return visit.page(
            "admin/users.html",
            status,
            here="users",
            field=error,
            error=ERRORS.get(error),
            form=form or Form(),
            users=rows[:PAGE_SIZE],
            search=search,
            older=visit.link(before=rows[PAGE_SIZE - 1].id) if more else None,
            newer=visit.link(before=None) if before < 2**62 else None,
            total=session.scalar(
                select(func.count(Account.id)).where(
                    *(Account.email.not_like(gone.format("%")) for gone in (NOBODY, LEAVING))
                )
            ),
            balances=int(session.scalar(select(func.sum(Account.balance_micros))) or 0),
        )


@router.post("/users")
def add_user(visit: AdminDep, form: FormDep) -> Response:
    """An account made by hand, with the free quota."""
    try:
        event = note(visit, "add", form["email"].lower()[:254])
        account = visit.console.accounts.create(form["email"], form["password"], event=event)
    except InvalidField as refusal:
        return _users(visit, status=400, error=refusal.field, form=form)
    return _back(visit, account.id, "user-added")


@router.get("/users/{account_id}")
def one_user(visit: AdminDep, account_id: int) -> Response:
    return _user(visit, account_id)


def _user(
    visit: MemberVisit, account_id: int, error: str = "", status: int = 200, form: Form | None = None
) -> Response:
    with visit.console.database.read() as session:
        user = session.get(Account, account_id)
        if user is None:
            raise HTTPException(404)
        entries = select(Entry).where(Entry.account_id == account_id).order_by(Entry.id.desc()).limit(20)
        return visit.page(
            "admin/user.html",
            status,
            here="users",
            user=user,
            keys=session.scalars(
                select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.id.desc())
            ).all(),
            calls=session.scalar(select(func.count()).where(Call.account_id == account_id)),
            entries=session.scalars(entries).all(),
            field=error,
            error=ERRORS.get(error),
            form=form or Form(),
            now=now_ms(),
            default_rate=visit.console.settings.rate_per_second,
        )


def _known(visit: MemberVisit, account_id: int) -> Account:
    with visit.console.database.read() as session:
        user = session.get(Account, account_id)
        if user is None or user.is_deleted:  # there is nobody to give anything to
            raise HTTPException(404)
        session.expunge(user)
    return user


def _back(visit: MemberVisit, account_id: int, done: str) -> Response:
    return visit.redirect(f"/admin/users/{account_id}", done)


@router.post("/users/{account_id}/top-up")
def top_up(visit: AdminDep, form: FormDep, account_id: int) -> Response:
    """A positive amount is a top-up, a negative one a correction; either is one more entry."""
    user = _known(visit, account_id)
    is_negative = form["amount"].startswith(("-", "−"))
    micros = parse_money(form["amount"][is_negative:])
    if not micros:
        return _user(visit, account_id, "amount", 400, form)
    reason, amount = form["reason"], money(-micros if is_negative else micros)
    event = note(visit, "correction" if is_negative else "top-up", user.email, amount=amount, reason=reason)
    try:
        if is_negative:
            visit.console.accounts.correct(account_id, -micros, reason, visit.person.id, event)
        else:
            visit.console.accounts.top_up(account_id, micros, reason, visit.person.id, event)
    except InvalidField as refusal:
        return _user(visit, account_id, refusal.field, 400, form)
    except InsufficientCredit:
        return _user(visit, account_id, "negative", 400, form)
    return _back(visit, account_id, "topped-up")


@router.post("/users/{account_id}/enabled")
def freeze(visit: AdminDep, form: FormDep, account_id: int) -> Response:
    user = _known(visit, account_id)
    is_enabled = form["enabled"] == "1"
    if account_id == visit.person.id:
        return _user(visit, account_id, "self", 400)
    try:
        event = note(visit, "thaw" if is_enabled else "freeze", user.email)
        visit.console.accounts.set_enabled(account_id, is_enabled, event)
    except NotAllowed:
        return _user(visit, account_id, "last", 400)
    return _back(visit, account_id, "thawed" if is_enabled else "frozen")


@router.post("/users/{account_id}/admin")
def set_admin(visit: AdminDep, form: FormDep, account_id: int) -> Response:
    user = _known(visit, account_id)
    is_admin = form["admin"] == "1"
    if account_id == visit.person.id:
        return _user(visit, account_id, "self", 400)
    try:
        event = note(visit, "promote" if is_admin else "demote", user.email)
        visit.console.accounts.set_admin(account_id, is_admin, event)
    except NotAllowed:
        return _user(visit, account_id, "last", 400)
    return _back(visit, account_id, "saved")


@router.post("/users/{account_id}/rate")
def set_rate(visit: AdminDep, form: FormDep, account_id: int) -> Response:
    user = _known(visit, account_id)
    rate = form.number("rate", 0, MAX_RATE) if form["rate"] else None
    if form["rate"] and rate is None:
        return _user(visit, account_id, "rate", 400, form)
    most = visit.console.settings.rate_per_second if rate is None else rate
    event = note(visit, "limit", user.email, calls_per_second=rate)
    visit.console.accounts.set_rate(account_id, rate, event, most)
    return _back(visit, account_id, "saved")


@router.post("/users/{account_id}/password")
def set_password(visit: AdminDep, form: FormDep, account_id: int) -> Response:
    user = _known(visit, account_id)
    keep = visit.person.session_id if account_id == visit.person.id else None
    try:
        event = note(visit, "password", user.email)
        visit.console.accounts.set_password(account_id, form["password"], keep, event)
    except InvalidField:
        return _user(visit, account_id, "password", 400)
    return _back(visit, account_id, "password-set")


# Types and prices


@router.get("/types")
def types(visit: AdminDep) -> Response:
    return _types(visit)


def _types(visit: MemberVisit, error: str = "", status: int = 200, form: Form | None = None) -> Response:
    return visit.page(
        "admin/types.html",
        status,
        here="types",
        rows=visit.console.prices.rows(),
        kinds=list(KINDS),
        field=error,
        error=ERRORS.get(error),
        form=form or Form(),
    )


@router.post("/types")
def save_type(visit: AdminDep, form: FormDep) -> Response:
    type_id, price = form.number("id", 1, 2**31 - 1), parse_money(form["price"])
    kind = known(form["kind"])
    error = (
        "id" if type_id is None
        else "taken" if not form["row"] and any(row.id == type_id for row in visit.console.prices.rows())
        else "kind" if kind is None
        else "name" if not all(0 < len(form[name]) <= 100 for name in ("name_en", "name_zh"))
        else "price" if price is None
        else ""
    )  # fmt: skip
    if error or type_id is None or price is None or kind is None:
        return _types(visit, error, 400, form)
    is_enabled = form["enabled"] == "1"
    row = PricedType(type_id, kind, form["name_zh"], form["name_en"], price, is_enabled)
    detail = {"kind": kind.value, "name": row.name_en, "price": money(price), "enabled": is_enabled}
    visit.console.prices.save(row, note(visit, "type", str(type_id), **detail))
    return visit.redirect("/admin/types", "type-saved")


# Top-up codes


@router.get("/codes")
def code_list(visit: AdminDep, before: int = 2**62) -> Response:
    return _codes(visit, before)


def _codes(
    visit: MemberVisit,
    before: int = 2**62,
    status: int = 200,
    error: str = "",
    made: tuple[str, ...] = (),
    form: Form | None = None,
) -> Response:
    query = (
        select(TopUpCode, Account.email)
        .outerjoin(Account, Account.id == TopUpCode.redeemed_by)
        .where(TopUpCode.id < min(before, 2**62))
        .order_by(TopUpCode.id.desc())
        .limit(PAGE_SIZE + 1)
    )
    with visit.console.database.read() as session:
        rows = session.execute(query).all()
        return visit.page(
            "admin/codes.html",
            status,
            here="codes",
            rows=rows[:PAGE_SIZE],
            older=visit.link(before=rows[PAGE_SIZE - 1][0].id) if len(rows) > PAGE_SIZE else None,
            newer=visit.link(before=None) if before < 2**62 else None,
            made=made,
            field=error,
            error=ERRORS.get(error),
            form=form or Form(number="1"),
            now=now_ms(),
        )


@router.post("/codes")
def make_codes(visit: AdminDep, form: FormDep) -> Response:
    amount, number = parse_money(form["amount"]), form.number("number", 1, MAX_CODES)
    days = form.number("days", 1, 3650) if form["days"] else None
    error = (
        "code_amount" if not amount
        else "number" if number is None
        else "days" if form["days"] and days is None
        else ""
    )  # fmt: skip
    if error or not amount or number is None:
        return _codes(visit, status=400, error=error, form=form)
    expires_ms = None if days is None else now_ms() + days * DAY_MS
    with visit.console.database.write() as session:
        made = tuple(
            codes.create(session, amount, form["note"][:200], visit.person.id, expires_ms)
            for _ in range(number)
        )
        session.add(note(visit, "codes", form["note"][:200] or "–", number=number, amount=money(amount)))
    return _codes(visit, made=made)


@router.post("/codes/{code_id}/cancel")
def cancel_code(visit: AdminDep, form: FormDep, code_id: int) -> Response:
    with visit.console.database.write() as session:
        row = codes.cancel(session, code_id)
        if row is None:
            raise HTTPException(404)
        session.add(note(visit, "cancel-code", f"…{row.last_four}", amount=money(row.amount_micros)))
    return visit.redirect("/admin/codes", "code-cancelled")


# Models, ledger, audit


@router.get("/models")
def models(visit: AdminDep) -> Response:
    files = model_store.model_files()
    return visit.page(
        "admin/models.html",
        here="models",
        files=sorted(files.values(), key=lambda file: file.name),
        sizes={name: file.path.stat().st_size for name, file in files.items() if file.path.exists()},
        kinds=visit.console.engine.kinds,
        all_kinds=list(Kind),
    )


@router.get("/ledger")
def ledger_page(visit: AdminDep) -> Response:
    with visit.console.database.read() as session:
        return visit.page(
            "admin/ledger.html",
            here="ledger",
            accounts=session.scalar(select(func.count(Account.id))),
            entries=session.scalar(select(func.count(Entry.id))),
        )


@router.post("/ledger/sums")
def check_sums(visit: AdminDep, form: FormDep) -> Response:
    """One step of the check, for the page's progress bar: the sums of the next accounts after `after`."""
    after = form.number("after", 0, 2**62) or 0
    total = func.coalesce(func.sum(Entry.amount_micros), 0)
    step = select(Account.id).where(Account.id > after).order_by(Account.id).limit(500)
    query = (
        select(Account.id, Account.balance_micros, total)
        .outerjoin(Entry, Entry.account_id == Account.id)
        .where(Account.id.in_(step.scalar_subquery()))
        .group_by(Account.id)
        .order_by(Account.id)
    )
    with visit.console.database.read() as session:
        rows = session.execute(query).all()
    wrong = [
        {"account": account, "balance": money(balance), "entries": money(int(entries))}
        for account, balance, entries in rows
        if balance != entries or balance < 0
    ]
    last = rows[-1][0] if len(rows) == 500 else None
    return JSONResponse(
        {"checked": len(rows), "wrong": wrong, "next": last}, headers={"Cache-Control": "no-store"}
    )


@router.post("/ledger/calls")
def check_calls(visit: AdminDep, form: FormDep) -> Response:
    """The last step: everything at once in one snapshot, calls against entries too."""
    audit = ledger.check(visit.console.database)
    sizes = {"accounts": audit.accounts, "entries": audit.entries, "problems": len(audit.problems)}
    with visit.console.database.write() as session:
        session.add(note(visit, "ledger-check", "–", **sizes))
    return JSONResponse(
        {
            "accounts": audit.accounts,
            "entries": audit.entries,
            "calls": audit.calls,
            "problems": list(audit.problems[:200]),
        },
        headers={"Cache-Control": "no-store"},
    )


@router.get("/audit")
def audit(visit: AdminDep, before: int = 2**62) -> Response:
    query = (
        select(AuditEvent, Account.email)
        .join(Account, Account.id == AuditEvent.admin_id)
        .where(AuditEvent.id < min(before, 2**62))
        .order_by(AuditEvent.id.desc())
        .limit(PAGE_SIZE + 1)
    )
    with visit.console.database.read() as session:
        rows = session.execute(query).all()
        return visit.page(
            "admin/audit.html",
            here="audit",
            rows=rows[:PAGE_SIZE],
            actions=ACTIONS,
            details=DETAILS,
            older=visit.link(before=rows[PAGE_SIZE - 1][0].id) if len(rows) > PAGE_SIZE else None,
            newer=visit.link(before=None) if before < 2**62 else None,
        )
