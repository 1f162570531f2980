"""The clock is set back under load: limits let calls through, times stay sane, log ids keep their order."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy import select

from legible.db.session import Database
from legible.db.tables import Call
from tests.commands import serving
from tests.faults.conftest import Note, account_with_key
from tests.faults.load import BODY, Load, assert_nothing_lost

ROOT = Path(__file__).parents[2]
RATE = 20
DAY = 86_400


def test_a_clock_that_is_set_back_confuses_nobody(sqlite_url: str, note: Note, tmp_path) -> None:
    database = Database(sqlite_url)
    key = account_with_key(database, rate_per_second=RATE)
    clock = tmp_path / "clock"
    program = (sys.executable, "-m", "tests.faults.settable_clock", clock)
    set_clock(clock, 0)
    with serving("--database", sqlite_url, folder=tmp_path, program=program, PYTHONPATH=str(ROOT)) as server:
        with Load(server.url, key) as load:
            load.wait_for(RATE + 10)
            set_clock(clock, -2 * DAY)
            began = time.monotonic()
            load.wait_for(2 * RATE, seconds=60)
            recovered = time.monotonic() - began
        with httpx.Client(base_url=server.url, trust_env=False, headers={"X-API-Key": key}) as client:
            set_clock(clock, -3 * DAY)
            deadline = time.monotonic() + 30
            while clock.with_suffix(".followed").read_text() != str(-3 * DAY):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            first = client.post("/api/v1/captcha.php", json=BODY, headers={"Idempotency-Key": "a"})
            again = client.post("/api/v1/captcha.php", json=BODY, headers={"Idempotency-Key": "a"})
    assert load.interrupted == []
    assert set(load.outcomes()) <= {429}, [each for each in load.refused if each[1] != 429]
    assert (first.status_code, again.content) == (200, first.content)
    assert abs(datetime.now(UTC).timestamp() - 3 * DAY - first.json()["timestamp"]) < 120
    assert_nothing_lost_since(database, sqlite_url, load, tmp_path)
    with database.read() as session:
        rows = session.execute(select(Call.log_id, Call.duration_ms, Call.created_ms).order_by(Call.id)).all()
    assert [row.log_id for row in rows] == sorted({row.log_id for row in rows})
    assert all(0 <= row.duration_ms < 60_000 for row in rows)
    assert rows[-1].created_ms < rows[0].created_ms - 2 * DAY * 1000
    database.close()
    note(f"set back by 2 days: {2 * RATE} more answers within {recovered:.1f} s at {RATE} a second")


def set_clock(file: Path, wrong_seconds: int) -> None:
    """In one go: nobody reads half of it."""
    part = file.with_suffix(".part")
    part.write_text(str(wrong_seconds))
    part.replace(file)


def assert_nothing_lost_since(database: Database, url: str, load: Load, folder: Path) -> None:
    """With the one call that came after the load."""
    load.answered["last"] = newest(database)
    assert_nothing_lost(database, url, load, folder)


def newest(database: Database) -> str:
    with database.read() as session:
        return (
            session.scalars(
                select(Call.log_id).where(Call.outcome == "answered").order_by(Call.id.desc())
            ).first()
            or ""
        )
