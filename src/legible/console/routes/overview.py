"""The first page after the log-in: balance, today, spend, the last calls and what is still to be done."""

from datetime import date, timedelta

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from legible.clock import DAY_MS, now_ms
from legible.console.charts import Chart, Series
from legible.console.formats import money
from legible.console.statistics import Statistics, Sums, today
from legible.console.web import MemberDep, MemberVisit
from legible.db.tables import ApiKey, Call, Entry
from legible.money import MICROS

router = APIRouter()

SOON_MS = 7 * DAY_MS
SHOWN_CALLS = 8


@router.get("/console")
def overview(visit: MemberDep) -> Response:
    zone, account_id = visit.zone, visit.person.id
    last = today(zone)
    with visit.console.database.read() as session:
        month = visit.console.tallies.collect(session, account_id, last - timedelta(29), last, zone)
        calls = session.scalars(
            select(Call).where(Call.account_id == account_id).order_by(Call.id.desc()).limit(SHOWN_CALLS)
        ).all()
        keys = _usable_keys(session, account_id)
        return visit.page(
            "overview.html",
            here="overview",
            today=month.days[last],
            week_micros=sum(day.spent_micros for day in list(month.days.values())[-7:]),
            month=month,
            granted_micros=_granted(session, account_id),
            charts=_charts(visit, month),
            calls=calls,
            has_key=bool(keys),
            expiring=[key for key in keys if _expires_soon(key)],
            low=_is_low(visit),
        )


def _usable_keys(session: Session, account_id: int) -> list[ApiKey]:
    now = now_ms()
    keys = select(ApiKey).where(
        ApiKey.account_id == account_id, ApiKey.revoked_ms.is_(None), ApiKey.is_enabled
    )
    return [key for key in session.scalars(keys) if key.expires_ms is None or key.expires_ms > now]


def _expires_soon(key: ApiKey) -> bool:
    """Within a week; not a key that was made for an hour only."""
    if key.expires_ms is None or key.expires_ms - key.created_ms < DAY_MS:
        return False
    return key.expires_ms < now_ms() + SOON_MS


def _granted(session: Session, account_id: int) -> int:
    """What the calls have left of the free quota, an account's first entry: it is spent first."""
    first = select(Entry).where(Entry.account_id == account_id).order_by(Entry.id).limit(1)
    entry = session.scalar(first)
    spent = session.scalar(select(func.sum(ApiKey.spent_micros)).where(ApiKey.account_id == account_id)) or 0
    return max(0, entry.amount_micros - int(spent)) if entry is not None and entry.kind == "grant" else 0


def _is_low(visit: MemberVisit) -> bool:
    threshold = visit.person.low_balance_micros
    return visit.person.balance_micros < (threshold or 0) or visit.person.balance_micros == 0


def _charts(visit: MemberVisit, month: Statistics) -> list[Chart]:
    return [
        daily_chart(
            visit.translate("Spend over 7 days"), visit.translate("Spend"), list(month.days.items())[-7:]
        ),
        daily_chart(
            visit.translate("Spend over 30 days"), visit.translate("Spend"), list(month.days.items())
        ),
    ]


def daily_chart(title: str, name: str, days: list[tuple[date, Sums]]) -> Chart:
    """Spend by day."""
    labels = [f"{day:%m-%d}" for day, _ in days]
    series = [Series(name, "", [sums.spent_micros for _, sums in days])]
    return Chart(title, labels, series, lambda v: money(round(v)), empty=MICROS / 100)
