"""Sums over an account's calls by day, kind, key and outcome, and exact percentiles of their durations."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from legible.db.tables import Call

# Every time zone of today is some quarters of an hour off UTC, so quarters add up to anybody's days.
QUARTER_MS = 15 * 60 * 1000
ANSWERED = "answered"
GOOD = ("answered", "replayed")


@dataclass
class Sums:
    """Calls, of which `answered` (replays count), what they cost, and how often each duration in ms came."""

    calls: int = 0
    answered: int = 0
    spent_micros: int = 0
    durations: Counter[int] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        return self.calls - self.answered

    def add(self, calls: int, spent_micros: int, *, is_answered: bool) -> None:
        self.calls += calls
        self.answered += calls if is_answered else 0
        self.spent_micros += spent_micros

    def percentile(self, share: float) -> int | None:
        """The duration in ms that `share` (0-1) of the answered calls did not exceed; None without calls."""
        return percentile(self.durations, share)


def percentile(durations: Mapping[int, int], share: float) -> int | None:
    """Nearest rank: always a duration that really was."""
    remaining = share * sum(durations.values())
    for duration in sorted(durations):
        remaining -= durations[duration]
        if remaining <= 1e-9:
            return duration
    return None


@dataclass
class Statistics:
    """`days` holds every day of the span, also those without calls, oldest first."""

    total: Sums
    days: dict[date, Sums]
    kinds: dict[str, Sums]
    keys: dict[int, Sums]
    outcomes: dict[str, int]


def day_start_ms(day: date, zone: tzinfo) -> int:
    """When the day begins in that zone, in milliseconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def today(zone: tzinfo) -> date:
    """The date that it is in that zone."""
    return datetime.now(zone).date()


def collect(session: Session, account_id: int, first: date, last: date, zone: tzinfo) -> Statistics:
    """The statistics of an account from the day `first` to the day `last`, both included, in its zone."""
    days = {first + timedelta(n): Sums() for n in range((last - first).days + 1)}
    found = Statistics(Sums(), days, defaultdict(Sums), defaultdict(Sums), {})
    where = [
        Call.account_id == account_id,
        Call.created_ms >= day_start_ms(first, zone),
        Call.created_ms < day_start_ms(last + timedelta(1), zone),
    ]
    _add_counts(session, found, where, zone)
    _add_durations(session, found, where, zone)
    return found


def _day(quarter: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(int(quarter) * QUARTER_MS / 1000, UTC).astimezone(zone).date()


def _add_counts(session: Session, found: Statistics, where: list[ColumnElement[bool]], zone: tzinfo) -> None:
    quarter = (Call.created_ms // QUARTER_MS).label("quarter")
    outcomes: Counter[str] = Counter()
    query = (
        select(quarter, Call.kind, Call.key_id, Call.outcome, func.count(), func.sum(Call.cost_micros))
        .where(*where)
        .group_by(quarter, Call.kind, Call.key_id, Call.outcome)
    )
    for at, kind, key_id, outcome, calls, spent in session.execute(query):
        outcomes[outcome] += calls
        for sums in (found.total, found.days[_day(at, zone)], found.kinds[kind or ""], found.keys[key_id]):
            sums.add(calls, int(spent), is_answered=outcome in GOOD)
    found.outcomes = dict(outcomes.most_common())


def _add_durations(
    session: Session, found: Statistics, where: list[ColumnElement[bool]], zone: tzinfo
) -> None:
    quarter = (Call.created_ms // QUARTER_MS).label("quarter")
    query = (
        select(quarter, Call.kind, Call.duration_ms, func.count())
        .where(*where, Call.outcome == ANSWERED)
        .group_by(quarter, Call.kind, Call.duration_ms)
    )
    for at, kind, duration, calls in session.execute(query):
        for sums in (found.total, found.days[_day(at, zone)], found.kinds[kind or ""]):
            sums.durations[duration] += calls
