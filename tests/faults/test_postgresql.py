"""PostgreSQL is killed and started again under load: clear refusals, no charge without its answer."""

import random
import time
from collections.abc import Iterator

import httpx
import pytest

from legible import ledger
from legible.db.session import Database, upgrade
from tests import servers
from tests.commands import serving
from tests.faults.conftest import Extent, Note, account_with_key
from tests.faults.load import HONEST, Load, assert_nothing_lost, assert_paid_once
from tests.service import base64_of, draw

LONGEST_UP_SECONDS = 1.0
LONGEST_DOWN_SECONDS = 1.5


@pytest.fixture
def cluster() -> Iterator[servers.Server]:
    with servers.postgresql_server() as server:
        upgrade(server.url)
        yield server


@pytest.mark.timeout(3600)
def test_the_service_outlives_its_postgresql(
    cluster: servers.Server, extent: Extent, note: Note, tmp_path
) -> None:
    database = Database(cluster.url)
    key = account_with_key(database)
    moments = random.Random(7)
    recoveries = []
    with serving("--database", cluster.url, folder=tmp_path) as server:
        with Load(server.url, key, pause_seconds=0.05) as load:
            for _ in range(extent.rounds):
                load.wait_for(20)
                time.sleep(moments.uniform(0, LONGEST_UP_SECONDS))
                cluster.kill()
                time.sleep(moments.uniform(0.2, LONGEST_DOWN_SECONDS))
                cluster.start()
                began = time.monotonic()
                load.wait_for(1, seconds=60)
                recoveries.append(time.monotonic() - began)
            load.wait_for(20)
        assert load.interrupted == []
        assert set(load.outcomes()) == {500}  # both dialects say so for what is our fault
        assert [text for _, _, text in load.refused if not any(each in text for each in HONEST)] == []
        assert_nothing_lost(database, cluster.url, load, tmp_path)
        heard, refused = len(load.answered), len(load.refused)
        in_doubt = sum("not known yet" in text or "暂时无法确认" in text for _, _, text in load.refused)
        load.settle(server.url)
        assert server.process.poll() is None
    assert_paid_once(database, load)
    database.close()
    note(
        f"{extent.rounds} kills of PostgreSQL under one server: {heard} calls answered, {refused} refused "
        f"({in_doubt} in doubt), first answer at most {max(recoveries):.2f} s after PostgreSQL was back; "
        f"asked again, {len(load.answered)} answers and as many charges"
    )


def test_a_postgresql_that_hangs_is_an_error_and_holds_nothing_up(
    cluster: servers.Server, note: Note, tmp_path
) -> None:
    database = Database(cluster.url)
    key = account_with_key(database)
    body, headers = {"image": base64_of(draw())}, {"authorization": f"Bearer {key}"}
    with (
        serving("--database", cluster.url, folder=tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        assert client.get("/readyz").status_code == 200
        before = client.post("/captcha/recognition/image2text", json=body, headers=headers).status_code
        cluster.hang()
        try:
            began = time.monotonic()
            assert client.get("/readyz").status_code == 503
            ready_seconds = time.monotonic() - began
            began = time.monotonic()
            refused = client.post("/captcha/recognition/image2text", json=body, headers=headers)
            call_seconds = time.monotonic() - began
            assert refused.status_code == 500
            assert "did not answer in" in refused.text
            server.process.terminate()
            began = time.monotonic()
            server.process.wait(60)
            stop_seconds = time.monotonic() - began
        finally:
            cluster.go_on()
    assert before in (200, 400)
    assert (ready_seconds < 10, call_seconds < 45, stop_seconds < 45) == (True, True, True)
    assert ledger.check(database).problems == ()
    database.close()
    note(
        f"PostgreSQL hangs: /readyz says so after {ready_seconds:.1f} s, a call is refused after "
        f"{call_seconds:.1f} s, SIGTERM ends the server after {stop_seconds:.1f} s"
    )
