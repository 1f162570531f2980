"""Sums over an account's calls by day, kind, key and outcome, and exact percentiles of their durations."""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from threading import Lock

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from legible.clock import now_ms
from legible.db.tables import Call

# Every time zone of today is some quarters of an hour off UTC, so quarters add up to anybody's days.
QUARTER_MS = 15 * 60 * 1000
ANSWERED = "answered"
GOOD = ("answered", "replayed")
# A call is in the log soon after it began: then nothing more is added to its day.
SETTLED_MS = 10 * 60 * 1000
REMEMBERED_DAYS = 2_000  # of all accounts; a busy one takes some 20 KB


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

    def include(self, other: "Sums") -> None:
        self.calls += other.calls
        self.answered += other.answered
        self.spent_micros += other.spent_micros
        self.durations.update(other.durations)

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
class Tally:
    """What the calls of a day, or of several, add up to."""

    total: Sums = field(default_factory=Sums)
    kinds: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    keys: dict[int, Sums] = field(default_factory=lambda: defaultdict(Sums))
    outcomes: Counter[str] = field(default_factory=Counter)

    def include(self, other: "Tally") -> None:
        self.total.include(other.total)
        for kind, sums in other.kinds.items():
            self.kinds[kind].include(sums)
        for key_id, sums in other.keys.items():
            self.keys[key_id].include(sums)
        self.outcomes.update(other.outcomes)


@dataclass
class Statistics(Tally):
    """`days` holds every day of the span, also those without calls, oldest first."""

    days: dict[date, Sums] = field(default_factory=dict)


def day_start_ms(day: date, zone: tzinfo) -> int:
    """When the day begins in that zone, in milliseconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def today(zone: tzinfo) -> date:
    """The date that it is in that zone."""
    return datetime.now(zone).date()


class DailyTallies:
    """An account's statistics; the days that are over are counted once and remembered.

    A day is known by its account and by when it begins and ends, in milliseconds since 1970.
    """

    def __init__(self) -> None:
        self._settled: OrderedDict[tuple[int, int, int], Tally] = OrderedDict()
        self._lock = Lock()

    def collect(self, session: Session, account_id: int, first: date, last: date, zone: tzinfo) -> Statistics:
        """The statistics of an account from the day `first` to the day `last`, both included, in its zone."""
        days = [first + timedelta(n) for n in range((last - first).days + 1)]
        names = {
            day: (account_id, day_start_ms(day, zone), day_start_ms(day + timedelta(1), zone)) for day in days
        }
        with self._lock:
            tallies = {day: self._settled[name] for day, name in names.items() if name in self._settled}
        missing = [day for day in days if day not in tallies]
        if missing:
            counted = _count(session, account_id, missing[0], missing[-1], zone)
            settled_ms = now_ms() - SETTLED_MS
            with self._lock:
                for day in missing:
                    tallies[day] = counted.get(day, Tally())
                    if names[day][2] < settled_ms:
                        self._settled[names[day]] = tallies[day]
                for name in names.values():
                    if name in self._settled:
                        self._settled.move_to_end(name)
                while len(self._settled) > REMEMBERED_DAYS:
                    self._settled.popitem(last=False)
        found = Statistics(days={day: tallies[day].total for day in days})
        for tally in tallies.values():
            found.include(tally)
        return found


def _count(session: Session, account_id: int, first: date, last: date, zone: tzinfo) -> dict[date, Tally]:
    """By day, from the day `first` to the day `last`; days without calls are left out."""
    tallies: dict[date, Tally] = defaultdict(Tally)
    where = [
        Call.account_id == account_id,
        Call.created_ms >= day_start_ms(first, zone),
        Call.created_ms < day_start_ms(last + timedelta(1), zone),
    ]
    quarter = (Call.created_ms // QUARTER_MS).label("quarter")
    counts = (
        select(quarter, Call.kind, Call.key_id, Call.outcome, func.count(), func.sum(Call.cost_micros))
        .where(*where)
        .group_by(quarter, Call.kind, Call.key_id, Call.outcome)
    )
    for at, kind, key_id, outcome, calls, spent in session.execute(counts):
        tally = tallies[_day(at, zone)]
        tally.outcomes[outcome] += calls
        for sums in (tally.total, tally.kinds[kind or ""], tally.keys[key_id]):
            sums.add(calls, int(spent), is_answered=outcome in GOOD)
    durations = (
        select(quarter, Call.kind, Call.duration_ms, func.count())
        .where(*where, Call.outcome == ANSWERED)
        .group_by(quarter, Call.kind, Call.duration_ms)
    )
    for at, kind, duration, calls in session.execute(durations):
        tally = tallies[_day(at, zone)]
        for sums in (tally.total, tally.kinds[kind or ""]):
            sums.durations[duration] += calls
    return tallies


def _day(quarter: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(int(quarter) * QUARTER_MS / 1000, UTC).astimezone(zone).date()
