"""Statistics over a span of days: calls, outcomes, durations, and spend by day, kind and key."""

from datetime import date, timedelta

from fastapi import APIRouter
from fastapi.responses import Response

from legible.console.charts import Chart, Series
from legible.console.formats import milliseconds, number
from legible.console.i18n import mark
from legible.console.routes.overview import daily_chart
from legible.console.statistics import Statistics, today
from legible.console.web import MemberDep, MemberVisit

router = APIRouter(prefix="/console/statistics")

SPANS = (7, 30, 90)
CALLS = mark("Calls a day")
DURATIONS = mark("Duration of answered calls")


@router.get("")
def statistics(visit: MemberDep, days: int = 30) -> Response:
    span = days if days in SPANS else 30
    last = today(visit.zone)
    with visit.console.database.read() as session:
        found = visit.console.tallies.collect(
            session, visit.person.id, last - timedelta(span - 1), last, visit.zone
        )
    keys = {key.id: key for key in visit.console.keys.list(visit.person.id)}
    return visit.page(
        "statistics.html",
        here="statistics",
        span=span,
        spans=SPANS,
        found=found,
        keys=keys,
        calls_chart=_calls(visit, found),
        durations_chart=_durations(visit, found),
        spend_chart=daily_chart(
            visit.translate("Spend a day"), visit.translate("Spend"), list(found.days.items())
        ),
    )


def _labels(days: dict[date, object]) -> list[str]:
    return [f"{day:%m-%d}" for day in days]


def _calls(visit: MemberVisit, found: Statistics) -> Chart:
    rows = found.days.values()
    series = [
        Series(visit.translate("Answered"), "", [row.answered for row in rows]),
        Series(visit.translate("Refused"), "bad", [row.refused for row in rows]),
    ]
    labels = _labels({**found.days})
    return Chart(visit.translate(CALLS), labels, series, number, empty=10, width=960)


def _durations(visit: MemberVisit, found: Statistics) -> Chart:
    rows = list(found.days.values())
    series = [
        Series("p50", "", [row.percentile(0.50) for row in rows]),
        Series("p95", "second", [row.percentile(0.95) for row in rows]),
        Series("p99", "third", [row.percentile(0.99) for row in rows]),
    ]
    return Chart(visit.translate(DURATIONS), _labels({**found.days}), series, milliseconds, empty=100)
