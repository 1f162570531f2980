"""The server is killed in the middle of load, again and again: nobody paid twice or for nothing."""

import random
import time

import pytest

from legible.db.session import Database
from tests.commands import serving
from tests.faults.conftest import Extent, Note
from tests.faults.load import CLIENTS, Load, answered_rows, assert_nothing_lost, assert_paid_once
from tests.money import assert_books_balance

LONGEST_SECONDS = 1.5


@pytest.mark.timeout(3600)
def test_nothing_is_lost_or_charged_twice_when_the_server_is_killed(
    database: Database, database_url: str, key: str, extent: Extent, note: Note, tmp_path
) -> None:
    moments = random.Random(7)
    everything = Load("", key)
    cut_off = unheard = 0
    for _ in range(extent.rounds):
        before = len(answered_rows(database))
        with serving("--database", database_url, folder=tmp_path) as server:
            with Load(server.url, key) as load:
                load.wait_for(1)
                time.sleep(moments.uniform(0, LONGEST_SECONDS))
                server.process.kill()
                server.process.wait()
            unheard += len(answered_rows(database)) - before - len(load.answered)
        assert load.refused == []
        assert len(load.interrupted) == CLIENTS
        assert_books_balance(database)
        cut_off += len(load.interrupted)
        everything.answered |= load.answered
        everything.interrupted += load.interrupted
        everything.tasks |= load.tasks
    assert 0 <= unheard <= cut_off
    assert_nothing_lost(database, database_url, everything, tmp_path)
    heard = len(everything.answered)
    with serving("--database", database_url, folder=tmp_path) as server:
        everything.settle(server.url)
    assert_paid_once(database, everything)
    note(
        f"{extent.rounds} kills, {heard} calls answered before them, {cut_off} cut off, {unheard} of those "
        f"charged and not heard; asked again, {len(everything.answered)} answers and as many charges"
    )
