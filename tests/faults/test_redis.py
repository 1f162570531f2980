"""Redis goes away under load: each server counts for itself, says so once, and comes back to it."""

import re
import time
from itertools import pairwise

import redis

from legible.db.session import Database
from tests import servers
from tests.commands import serving
from tests.faults.conftest import Note, account_with_key
from tests.faults.load import Load, assert_nothing_lost

RATE = 30


def test_rate_limits_outlive_redis(sqlite_url: str, note: Note, tmp_path) -> None:
    database = Database(sqlite_url)
    key = account_with_key(database, rate_per_second=RATE)
    with (
        servers.redis_process() as shared,
        serving("--database", sqlite_url, "--redis", shared.url, folder=tmp_path) as server,
    ):
        with Load(server.url, key) as load:
            load.wait_for(10)
            until_counted(shared)
            before = len(load.answered)
            shared.kill()
            load.wait_for(2 * RATE)
            during = len(load.answered) - before
            shared.start()
            until_counted(shared)
            load.wait_for(10)
        assert load.interrupted == []
        assert set(load.outcomes()) <= {429}
        assert_nothing_lost(database, sqlite_url, load, tmp_path)
    log = (tmp_path / "log").read_text()
    # On a machine that stands still for half a second, Redis may seem to be gone another time.
    told = re.findall("Redis does not answer|Redis answers again", log)
    assert told[:2] == ["Redis does not answer", "Redis answers again"]
    assert all(one != other for one, other in pairwise(told))
    database.close()
    note(
        f"{len(load.answered)} calls answered, {during} of them without Redis; {len(load.refused)} refused, "
        "all by the rate limit; one warning, one line when it was back"
    )


def until_counted(server: servers.Server) -> None:
    """The keys live for a second, and a server that missed an answer counts alone for two."""
    deadline = time.monotonic() + 30
    while not counters(server):
        assert time.monotonic() < deadline, "nobody counts in Redis"
        time.sleep(0.05)


def counters(server: servers.Server) -> int:
    """How many keys are counted in Redis at the moment."""
    with redis.Redis.from_url(server.url) as client:
        return len(client.keys("legible*"))
