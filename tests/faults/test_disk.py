"""The disk is full: clear refusals, nothing half written, and it goes on when there is room again."""

import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from legible.db.session import Database, upgrade
from tests.commands import Serving, serving
from tests.faults.conftest import Note, account_with_key
from tests.faults.load import HONEST, Load, assert_nothing_lost, assert_paid_once

SMALL = 24 * 1024 * 1024  # the WAL alone may take four
MakeRoom = Callable[[], None]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 24 MB, where we may mount one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(params=["full disk", "limit on files"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    if request.param == "limit on files":
        yield request.param, tmp_path
        return
    with small_disk(tmp_path) as folder:
        yield request.param, folder


def fill(kind: str, folder: Path, server: Serving) -> MakeRoom:
    """Leaves no room for the database to grow; what comes back gives the room back."""
    if kind == "limit on files":
        unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        return lambda: resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited) and None
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return ballast.unlink


@pytest.mark.timeout(600)
def test_a_full_disk_is_told_costs_nothing_and_is_over_when_there_is_room(
    place: tuple[str, Path], note: Note
) -> None:
    kind, folder = place
    url = f"sqlite:///{folder / 'legible.db'}"
    upgrade(url)
    database = Database(url)
    key = account_with_key(database)
    with serving("--database", url, folder=folder) as server:
        with Load(server.url, key, pause_seconds=0.02) as load:
            load.wait_for(5)
            make_room = fill(kind, folder, server)
            deadline = time.monotonic() + 120
            while len(load.refused) < 10:
                assert time.monotonic() < deadline, "the disk is not full"
                time.sleep(0.02)
            assert httpx.get(f"{server.url}/healthz").status_code == 200
            refused = len(load.refused)
            make_room()
            load.wait_for(20)
        assert load.interrupted == []
        assert set(load.outcomes()) == {500}
        assert [text for _, _, text in load.refused if not any(each in text for each in HONEST)] == []
        assert_nothing_lost(database, url, load, folder)
        load.settle(server.url)
        assert server.process.poll() is None
    assert_paid_once(database, load)
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]
    database.close()
    note(f"{refused} calls refused while there was no room; {len(load.answered)} answers, as many charges")
