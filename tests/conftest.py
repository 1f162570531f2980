"""What every test may ask for: real databases, made fresh for each test, and a real Redis."""

import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import psycopg
import pytest
import structlog

from legible.db.session import Database, upgrade
from legible.db.tables import Base
from tests import servers

# The whole service behind HTTP: `service`, `start`, `voice`, `picture`.
pytest_plugins = ("tests.service",)

DATABASES = ("sqlite", "postgresql")
TABLES = [f'"{table.name}"' for table in Base.metadata.sorted_tables]


def seeded_types() -> list[dict[str, object]]:
    """The rows of the price list that the migrations put there."""
    first = import_module("legible.db.migrations.versions.0001_first_tables")
    names = sorted(path.stem for path in Path(str(first.__file__)).parent.glob("0*.py"))
    modules = [import_module(f"legible.db.migrations.versions.{name}") for name in names]
    return [row for module in modules for row in getattr(module, "SEED", [])]


# Tracebacks in colour and with every variable cost seconds each; some tests provoke dozens.
structlog.configure([structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_migrated() -> Iterator[str]:
    """The URL of a migrated database in a private cluster."""
    with servers.postgresql() as url:
        upgrade(url)
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A private Redis; tests keep apart by the keys they use."""
    with servers.redis_server() as url:
        yield url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'legible.db')}"


@pytest.fixture
def postgresql_url(postgresql_migrated: str) -> str:
    """Emptied, which is far quicker than made anew; only the price list's first rows are there."""
    with psycopg.connect(postgresql_migrated) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")
        connection.cursor().executemany(
            "INSERT INTO call_type (id, kind, name_zh, name_en, price_micros, is_enabled)"
            " VALUES (%(id)s, %(kind)s, %(name_zh)s, %(name_en)s, %(price_micros)s, true)",
            seeded_types(),
        )
    return postgresql_migrated


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty, migrated database; the test runs once with SQLite and once with PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """That database, opened."""
    opened = Database(database_url)
    yield opened
    opened.close()
