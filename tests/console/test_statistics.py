"""Days in every zone, exact percentiles, and charts that fit what they show."""

import sys
from collections import Counter
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from legible.accounts import Accounts
from legible.console.charts import Chart, Series, round_up
from legible.console.statistics import DailyTallies, day_start_ms, percentile
from legible.db.tables import Call
from legible.keys import KeyRing


@given(st.lists(st.integers(0, 50), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_the_nearest_rank(durations, share) -> None:
    ranked = sorted(durations)
    rank = max(1, -(-round(share * 100) * len(ranked) // 100))
    assert percentile(Counter(durations), share) == ranked[rank - 1]


def test_nothing_has_no_percentile() -> None:
    assert percentile({}, 0.5) is None


def calls_at(account_id: int, key_id: int, moments: list[str]) -> list[dict[str, object]]:
    """Rows of the call log: the first a refusal, the others answered in 10, 20, ... ms."""
    return [
        {"log_id": moment, "trace_id": moment, "account_id": account_id, "key_id": key_id, "dialect": "v1",
         "kind": "text" if n else None, "type_id": 1, "status": 200,
         "outcome": "answered" if n else "bad_request",
         "cost_micros": 5 if n else 0, "balance_micros": 0, "duration_ms": 10 * n,
         "created_ms": int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000)}
        for n, moment in enumerate(moments)
    ]  # fmt: skip


def test_a_call_counts_for_the_day_that_it_is_for_its_user(database) -> None:
    account = Accounts(database, 0).create("a@example.com")
    key = KeyRing(database, 0).create(account.id, "first")
    moments = ["2026-11-20T18:29:59", "2026-11-20T18:30:00", "2026-11-21T18:29:59", "2026-11-21T18:30:00"]
    with database.write() as session:
        session.execute(insert(Call), calls_at(account.id, key.id, moments))
    day, tallies = date(2026, 11, 21), DailyTallies()
    with database.read() as session:
        # In India the day begins at half past six in the evening, UTC.
        found = tallies.collect(session, account.id, day, day, ZoneInfo("Asia/Kolkata"))
        whole = tallies.collect(session, account.id, date(2026, 11, 20), day, UTC)
    assert (found.total.calls, found.total.spent_micros, found.total.percentile(1)) == (2, 10, 20)
    assert [sums.calls for sums in whole.days.values()] == [2, 2]
    assert (whole.total.refused, whole.outcomes) == (1, {"answered": 3, "bad_request": 1})
    assert {kind: sums.calls for kind, sums in whole.kinds.items()} == {"": 1, "text": 3}
    assert whole.keys[key.id].spent_micros == 15


def test_only_days_that_may_still_change_are_counted_again(database, monkeypatch) -> None:
    account = Accounts(database, 0).create("a@example.com")
    key = KeyRing(database, 0).create(account.id, "first")
    now = day_start_ms(date(2026, 11, 22), UTC) + 3_600_000
    monkeypatch.setattr(sys.modules[DailyTallies.__module__], "now_ms", lambda: now)
    tallies, first, last = DailyTallies(), date(2026, 11, 20), date(2026, 11, 22)

    def add(*moments: str) -> list[int]:
        with database.write() as session:
            session.execute(insert(Call), calls_at(account.id, key.id, list(moments)))
            found = tallies.collect(session, account.id, first, last, UTC)
        assert found.total.calls == sum(sums.calls for sums in found.days.values())
        return [sums.calls for sums in found.days.values()]

    assert add("2026-11-20T10:00", "2026-11-21T23:59", "2026-11-22T00:30") == [1, 1, 1]
    # Too late for days that are settled, which no call is; today goes on.
    assert add("2026-11-20T11:00", "2026-11-21T12:00", "2026-11-22T00:40", "2026-11-22T00:50") == [1, 1, 3]
    with database.read() as session:
        assert tallies.collect(session, account.id + 1, first, last, UTC).total.calls == 0


@given(st.floats(1e-6, 1e12))
def test_the_top_of_a_chart_is_round_and_not_far_above(value) -> None:
    assert value * 0.99 <= round_up(value) <= value * 10


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=90))
def test_bars_stay_inside_the_drawing(days) -> None:
    series = [Series("a", "", [a for a, _ in days]), Series("b", "bad", [b for _, b in days])]
    chart = Chart("calls", [str(n) for n in range(len(days))], series, str, empty=10)
    for x, y, width, height, _, _ in chart.bars():
        assert 54 <= x <= x + width <= chart.width
        assert 8.9 <= y <= y + height <= 157.2
    assert len(chart.days()) <= 8


def test_a_line_is_broken_where_nothing_was_measured() -> None:
    chart = Chart("ms", list("abcd"), [Series("p50", "", [1, None, 2, 3])], str, empty=10)
    ((_, path, dots),) = chart.lines()
    assert path.count("M") == 2
    assert len(dots) == 3


@pytest.mark.parametrize("values", [[], [0, 0]])
def test_an_empty_chart_has_a_scale_all_the_same(values) -> None:
    chart = Chart("none", ["a"] * len(values), [Series("a", "", values)], str, empty=10)
    assert chart.top == chart.peak == 10
