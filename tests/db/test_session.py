"""Databases are opened, migrated and compared with the schema page."""

import threading
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from legible.db import session
from legible.db.session import Database, upgrade
from legible.db.tables import Base


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
