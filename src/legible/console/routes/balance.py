"""The ledger with its running balance, top-up codes, and from which balance on to warn."""

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import select

from legible.console import codes
from legible.console.attempts import REDEEM_BY_ACCOUNT
from legible.console.formats import parse_money
from legible.console.i18n import mark
from legible.console.routes.entrance import TOO_OFTEN, prefer
from legible.console.web import Form, FormDep, MemberDep, MemberVisit
from legible.db.tables import Call, Entry

router = APIRouter(prefix="/console/balance")

PAGE_SIZE = 50
WORTHLESS = mark("This code is unknown, expired, cancelled or redeemed already. Check the letters.")
NO_AMOUNT = mark("Write an amount in yuan, like 10 or 0.5, or nothing.")
ENTRY_KINDS = {
    "grant": mark("Grant"),
    "topup": mark("Top-up"),
    "call": mark("Call"),
    "correction": mark("Correction"),
}


@router.get("")
def balance(visit: MemberDep, before: int | None = None) -> Response:
    return _page(visit, before)


def _page(
    visit: MemberVisit,
    before: int | None = None,
    status: int = 200,
    error: str = "",
    threshold_error: str = "",
    form: Form | None = None,
) -> Response:
    query = (
        select(Entry, Call.log_id, Call.kind)
        .outerjoin(Call, Call.id == Entry.call_id)
        .where(Entry.account_id == visit.person.id)
        .order_by(Entry.id.desc())
        .limit(PAGE_SIZE + 1)
    )
    if before is not None:
        query = query.where(Entry.id < min(before, 2**62))
    with visit.console.database.read() as session:
        rows = session.execute(query).all()
        more = len(rows) > PAGE_SIZE
        return visit.page(
            "balance.html",
            status,
            here="balance",
            rows=rows[:PAGE_SIZE],
            kinds=ENTRY_KINDS,
            older=visit.link(before=rows[PAGE_SIZE - 1][0].id) if more else None,
            newer=visit.link(before=None) if before is not None else None,
            error=error,
            threshold_error=threshold_error,
            form=form or Form(),
        )


@router.post("/redeem")
def redeem(visit: MemberDep, form: FormDep) -> Response:
    if not visit.console.attempts.allow(REDEEM_BY_ACCOUNT, str(visit.person.id)):
        return _page(visit, status=429, error=TOO_OFTEN, form=form)
    with visit.console.database.write() as session:
        amount = codes.redeem(session, visit.person.id, form["code"])
    if amount is None:
        return _page(visit, status=400, error=WORTHLESS, form=form)
    return visit.redirect("/console/balance", "redeemed")


@router.post("/threshold")
def set_threshold(visit: MemberDep, form: FormDep) -> Response:
    micros = parse_money(form["threshold"]) if form["threshold"] else None
    if form["threshold"] and micros is None:
        return _page(visit, status=400, threshold_error=NO_AMOUNT, form=form)
    with visit.console.database.write() as session:
        prefer(session, visit.person.id, low_balance_micros=micros)
    return visit.redirect("/console/balance", "saved")
