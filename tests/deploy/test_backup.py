"""The commands of docs/deploy.md for backup and restore, as they stand there, while calls come in."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from legible.accounts import Accounts
from legible.db.session import Database
from legible.keys import KeyRing, KeyRules
from tests.commands import EXECUTABLE, serving
from tests.deploy.conftest import DEPLOY, ROOT
from tests.faults.load import BODY, Load, answered_rows
from tests.servers import missing

CREDIT = 10**9


def commands(first_word: str) -> str:
    """The block of the page that begins with that word."""
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    section = page.partition("## Backup and restore")[2].partition("\n## ")[0]
    (block,) = (
        each for each in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) if each.startswith(first_word)
    )
    return str(block)


def nightly() -> str:
    """The first command of the unit that makes dumps at night, as systemd gives it to the shell."""
    unit = (DEPLOY / "systemd" / "legible-backup.service").read_text("utf-8")
    (script,) = re.findall(r"^ExecStart=/bin/sh -euc '(.*)'$", unit, re.MULTILINE)
    return str(script).replace("$$", "$").replace("%%", "%").replace("/opt/legible/bin/", "")


def shell(script: str, folder: Path, **variables: str) -> None:
    """Runs the commands with `legible` in the path, as an administrator would."""
    path = f"{EXECUTABLE.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-u", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": path} | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def new_key(database: Database) -> str:
    account = Accounts(database, CREDIT).create("ana@example.com")
    return KeyRing(database, 0).create(account.id, "load", KeyRules(rate_per_second=0)).secret


def assert_it_serves(key: str, before: set[str], folder: Path, *options: str) -> None:
    """The copy has what was answered before it was made, and takes calls."""
    folder.mkdir()
    with (
        serving(*options, folder=folder) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        page = client.get(
            "/v1/calls", params={"limit": 500}, headers={"authorization": f"Bearer {key}"}
        ).json()
        assert before <= {row[name] for row in page["calls"] for name in ("log_id", "trace_id")}
        assert client.post("/api/v1/captcha.php", json=BODY, headers={"X-API-Key": key}).status_code == 200


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_is_dumped_and_restored(database: Database, database_url: str, tmp_path: Path) -> None:
    for program in ("pg_dump", "pg_restore", "createdb"):
        if shutil.which(program) is None:
            missing(program)
    key, restored = new_key(database), database_url.replace("/postgres?", "/legible_restored?")
    with (
        serving("--database", database_url, folder=tmp_path) as server,
        Load(server.url, key, clients=4, pause_seconds=0.2) as load,
    ):
        load.wait_for(10)
        before = set(load.answered.values())
        shell(commands("pg_dump"), tmp_path, DATABASE_URL=database_url)
        load.wait_for(5)
    shell('createdb --maintenance-db="$DATABASE_URL" legible_restored', tmp_path, DATABASE_URL=database_url)
    shell(commands("pg_restore"), tmp_path, RESTORED_URL=restored)
    copy = Database(restored)
    try:
        assert before <= answered_rows(copy)
    finally:
        copy.close()
    assert_it_serves(key, before, tmp_path / "restored", "--database", restored)
    shell(
        'dropdb --force --maintenance-db="$DATABASE_URL" legible_restored',
        tmp_path,
        DATABASE_URL=database_url,
    )


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_every_night_postgresql_is_dumped_and_the_youngest_dumps_stay(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    for program in ("pg_dump", "pg_restore"):
        if shutil.which(program) is None:
            missing(program)
    new_key(database)
    old = [tmp_path / f"legible-2026-01-{day:02}.dump" for day in range(1, 21)]
    for path in old:
        path.touch()
    shell(nightly(), tmp_path, LEGIBLE_DATABASE_URL=database_url)
    left = sorted(path for path in tmp_path.glob("*") if path.is_file())
    assert left[:-1] == old[-13:]
    shell(f"pg_restore --list {left[-1].name} | grep 'TABLE DATA .* account '", tmp_path)


def test_every_night_sqlite_is_copied(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    key = new_key(database)
    database.close()
    (tmp_path / "copies").mkdir()
    shell(nightly(), tmp_path / "copies", LEGIBLE_DATA_DIR=str(tmp_path))
    (copy,) = (tmp_path / "copies").iterdir()
    (tmp_path / "data").mkdir()
    copy.rename(tmp_path / "data" / "legible.db")
    assert_it_serves(key, set(), tmp_path / "restored", "--data", str(tmp_path / "data"))


def test_a_dump_that_fails_leaves_the_others(tmp_path: Path) -> None:
    good = tmp_path / "legible-2026-01-01.dump"
    good.touch()
    with pytest.raises(AssertionError, match="Cannot open the database"):
        shell(nightly(), tmp_path, LEGIBLE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert list(tmp_path.iterdir()) == [good]


def test_sqlite_is_copied_while_it_is_written(sqlite_url: str, tmp_path: Path) -> None:
    if shutil.which("sqlite3") is None:
        missing("sqlite3")
    data, backup = tmp_path, tmp_path / "backup"
    backup.mkdir()
    database = Database(sqlite_url)
    try:
        key = new_key(database)
    finally:
        database.close()
    with (
        serving("--data", data, folder=tmp_path) as server,
        Load(server.url, key, clients=4, pause_seconds=0.2) as load,
    ):
        load.wait_for(10)
        before = set(load.answered.values())
        shell(commands("sqlite3"), tmp_path, DATA=str(data), BACKUP=str(backup))
        load.wait_for(5)
    assert_it_serves(key, before, tmp_path / "restored", "--data", str(backup))
