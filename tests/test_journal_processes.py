"""Money with several processes over one database, and with one that is killed in the middle of its work."""

import subprocess
import sys
import time

import pytest
from sqlalchemy import select

from legible.db.session import Database
from legible.db.tables import Call
from tests.money import PRICE, assert_books_balance, charged, new_key

CLIENTS = 8


def start(url: str, key: str, calls: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.journal_worker", url, key, str(CLIENTS), str(calls)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def logged(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Call.log_id).where(Call.outcome == "answered")))


def settled(database: Database) -> list[str]:
    """PostgreSQL may still commit what a server had sent when it was killed."""
    for _ in range(100):
        rows = logged(database)
        if charged(database) == len(rows):
            break
        time.sleep(0.1)
    return rows


def test_three_servers_answer_exactly_what_the_credit_is_for(database: Database, database_url: str) -> None:
    key = new_key(database, 100 * PRICE)
    servers = [start(database_url, key, 10) for _ in range(3)]  # 240 calls in all
    answered = [line for server in servers for line in server.communicate()[0].split()]
    assert [server.returncode for server in servers] == [0, 0, 0]
    assert len(answered) == 100
    assert sorted(answered) == sorted(logged(database))
    assert charged(database) == 100
    assert_books_balance(database)


@pytest.mark.parametrize("calls_before", [1, 60])
def test_a_server_that_is_killed_has_charged_nobody_twice_or_in_vain(
    database: Database, database_url: str, calls_before: int
) -> None:
    key = new_key(database, 1_000_000 * PRICE)
    victim, witness = start(database_url, key, 100_000), start(database_url, key, 5)
    assert victim.stdout is not None
    answered = [victim.stdout.readline().strip() for _ in range(calls_before)]
    victim.kill()
    answered += victim.communicate()[0].split()
    answered += witness.communicate()[0].split()
    rows = settled(database)
    assert set(answered) <= set(rows)
    # What was committed when the end came, and could not be said any more, is at most what was under way.
    assert len(rows) - len(answered) <= CLIENTS
    assert charged(database) == len(rows) == len(set(rows))
    assert_books_balance(database)
    assert len(start(database_url, key, 2).communicate()[0].split()) == 2 * CLIENTS
    assert_books_balance(database)
