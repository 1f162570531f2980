"""Databases are opened, migrated and compared with the schema page."""

import asyncio
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from legible.db import session
from legible.db.session import Database, upgrade
from legible.db.tables import Base
from legible.errors import Unavailable

pytestmark = pytest.mark.anyio


def test_the_migrations_lead_exactly_to_the_schema_page(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_migrated_database_serves_and_an_empty_one_is_not(database: Database, tmp_path: Path) -> None:
    assert database.serves()
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    assert not empty.serves()
    empty.close()


def test_a_newer_schema_serves_while_servers_are_upgraded_and_an_older_one_does_not(
    database: Database,
) -> None:
    assert database.serves()
    stamp(database, "9999")
    assert database.serves()
    stamp(database, "0001")
    assert not database.serves()
    stamp(database, session.newest_migration())


def stamp(database: Database, version: str) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {session.VERSION_TABLE} SET version_num = '{version}'")


def test_the_newest_migration_is_the_one_that_alembic_leads_to() -> None:
    scripts = ScriptDirectory(str(Path(session.__file__).parent / "migrations"))
    assert scripts.get_heads() == [session.newest_migration()]


def test_upgrading_again_changes_nothing(database: Database, database_url: str) -> None:
    upgrade(database_url)
    assert database.serves()


def test_several_processes_may_upgrade_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    failures: list[Exception] = []

    def run() -> None:
        try:
            upgrade(url)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    database = Database(url)
    assert database.serves()
    database.close()


async def test_a_look_up_that_hangs_is_an_error(database: Database, monkeypatch) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    look_up = asyncio.create_task(database.run(lambda: begun.set() or goes_on.wait(60)))
    assert await asyncio.to_thread(begun.wait, 30)
    assert database.is_stuck
    look_up.cancel()
    monkeypatch.setattr(session, "HUNG_SECONDS", 0.1)
    with pytest.raises(Unavailable, match="did not answer in"):
        await database.run(lambda: goes_on.wait(60))
    goes_on.set()
    monkeypatch.undo()
    assert await database.run(lambda: 7) == 7
    for _ in range(1000):  # the thread is told a moment later
        if database.is_stuck:
            await asyncio.sleep(0.01)
    assert not database.is_stuck


def test_a_postgresql_that_takes_no_writes_is_down(postgresql_url: str) -> None:
    administrator = Database(postgresql_url)

    def say(setting: str) -> None:
        with administrator.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                f"ALTER DATABASE postgres {setting}"
            )

    say("SET default_transaction_read_only = on")
    try:
        database = Database(postgresql_url)
        assert not database.serves()
        with pytest.raises(Unavailable, match="takes no writes"), database.write() as write:
            write.execute(text("INSERT INTO call_type VALUES (7, 'text', 'a', 'a', 1, true)"))
        database.close()
    finally:
        with administrator.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("SET default_transaction_read_only = off")
            connection.exec_driver_sql("ALTER DATABASE postgres RESET default_transaction_read_only")
    again = Database(postgresql_url)
    assert again.serves()
    for each in (again, administrator):
        each.close()
