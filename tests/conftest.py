"""What every test may ask for: real databases, made fresh for each test, and a real Redis."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from legible.db.session import Database, upgrade
from tests import servers

DATABASES = ("sqlite", "postgresql")


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
def postgresql_cluster() -> Iterator[str]:
    """The URL of a private cluster, with `{}` for the database, which has a migrated database `template`."""
    with servers.postgresql() as cluster:
        _create_database(cluster, "template", "template1")
        upgrade(cluster.format("template"))
        yield cluster


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A private Redis; tests keep apart by the keys they use."""
    with servers.redis_server() as url:
        yield url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'legible.db')}"


@pytest.fixture
def postgresql_url(postgresql_cluster: str, names: Iterator[str]) -> str:
    name = next(names)
    _create_database(postgresql_cluster, name, "template")
    return postgresql_cluster.format(name)


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    return (f"test_{number}" for number in itertools.count())


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


def _create_database(cluster: str, name: str, template: str) -> None:
    with psycopg.connect(cluster.format("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
