"""Opens the database: SQLite in a file or PostgreSQL, with the same rows, numbers and errors."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from legible.errors import Unavailable

if TYPE_CHECKING:
    from alembic.config import Config

T = TypeVar("T")

URLS = "sqlite:///path/to/file or postgresql://user@host/name"
READ_THREADS = 4
BUSY_TIMEOUT_MS = 10_000
# A server that hangs with its connections open raises nothing by itself.
HUNG_SECONDS = 12.0
READ_ONLY = "25006"  # what PostgreSQL says of a write to a standby, or to a disk without room (SQLSTATE)


def database_url(url: str) -> URL:
    """The URL with our drivers: psycopg for `postgresql://` (or `postgres://`), Python's own for `sqlite://`.

    Raises `ValueError` for any other database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not shown: there may be a password in it.
        raise ValueError(f"database URL: got text that is no URL; allowed: {URLS}") from None
    if "@" in (parsed.host or ""):
        raise ValueError("database URL: its user or password has an @ or a /: write them as %40 and %2F")
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    raise ValueError(f"database URL: got {parsed.render_as_string(hide_password=True)}; allowed: {URLS}")


def place(url: URL) -> str:
    """The URL as people write it, without its password."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    return url.render_as_string(hide_password=True)


def connect_arguments(url: URL) -> dict[str, Any]:
    """What the driver is told. A database that hangs must become an error, and soon."""
    if url.get_backend_name() == "sqlite":
        # isolation_level None: we say BEGIN ourselves, since the driver's own BEGIN comes too late to lock.
        return {"timeout": BUSY_TIMEOUT_MS / 1000, "isolation_level": None, "check_same_thread": False}
    options = "-c timezone=UTC -c lock_timeout=10s -c statement_timeout=30s"
    return {"connect_timeout": 5, "tcp_user_timeout": 10_000, "options": options}


SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


class Database:
    """One database: short transactions for everybody, from a thread; `run` is the way from an event loop."""

    def __init__(self, url: str) -> None:
        self.url = database_url(url)
        self.place = place(self.url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = open_engine(self.url)
        # SQLite must lock before the first read of such a transaction, or two of them refuse each other.
        self._writes = self.engine.execution_options(begin="BEGIN IMMEDIATE")
        self._threads = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="database")
        self._running: set[Future[Any]] = set()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads. Raises `Unavailable` when the database is down."""
        with unavailable_if_down(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that writes, committed at the end. Raises `Unavailable` when the database is down."""
        with unavailable_if_down(), Session(self._writes, expire_on_commit=False) as session, session.begin():
            yield session

    async def run(self, work: Callable[[], T]) -> T:
        """Blocking work, in one of our own few threads. Raises `Unavailable` when the database hangs."""
        try:
            async with asyncio.timeout(HUNG_SECONDS):
                future = self._threads.submit(work)
                self._running.add(future)
                future.add_done_callback(self._running.discard)
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Unavailable(f"the database did not answer in {HUNG_SECONDS:g} s") from None

    def serves(self) -> bool:
        """Whether it takes writes, and the schema has what this version needs. A newer one has, since a
        migration only adds: servers of the old version go on while the new one takes over (docs/deploy.md).
        """
        return self._applied() >= newest_migration() and not self._is_read_only()

    def _is_read_only(self) -> bool:
        if self.is_sqlite:
            return False
        with unavailable_if_down(), self.engine.connect() as connection:
            return bool(connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on")

    def is_new(self) -> bool:
        """Whether there is no schema of ours in it."""
        return not self._applied()

    def _applied(self) -> str:
        """The last migration; "" for none."""
        with unavailable_if_down(), self.engine.connect() as connection:
            if not inspect(connection).has_table(VERSION_TABLE):
                return ""
            applied = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608  # nosec B608
            return str(applied.scalar() or "")

    @property
    def is_stuck(self) -> bool:
        """Whether something waits for it at this moment; after `close`, whether it hangs."""
        return any(not each.done() for each in [*self._running])

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.engine.dispose()


@contextmanager
def unavailable_if_down() -> Iterator[None]:
    """A database that cannot be reached, is locked for too long or has no room left is an `Unavailable`."""
    try:
        yield
    except (OperationalError, InterfaceError, NoConnectionFree) as error:
        raise Unavailable("the database does not answer; nothing was charged") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("the connection to the database broke; nothing was charged") from error
        if getattr(error.orig, "sqlstate", None) == READ_ONLY:
            raise Unavailable("the database takes no writes; nothing was charged") from error
        raise


def open_engine(url: URL, **options: Any) -> Engine:
    """An engine whose SQLite connections are durable (WAL, FULL) and check foreign keys."""
    if url.get_backend_name() != "sqlite":
        options |= {"pool_pre_ping": True}
        return create_engine(url, connect_args=connect_arguments(url), hide_parameters=True, **options)
    file = Path(str(url.database))
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.touch(mode=0o600)  # it holds balances and hashes; SQLite's own files beside it get the same mode
    engine = create_engine(url, connect_args=connect_arguments(url), hide_parameters=True, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        _patiently(cursor, f"PRAGMA {pragma}")
    cursor.close()


def _patiently(cursor: DBAPICursor, statement: str) -> None:
    """SQLite does not wait by itself when a database is new and another process makes it a WAL one, too."""
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def upsert(session: Session, table: type, key: Mapping[str, object], values: Mapping[str, object]) -> None:
    """Changes the row of that key, or inserts it; two servers that do so at once are both right."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    row = dialect.insert(table).values({**key, **values})
    session.execute(row.on_conflict_do_update(index_elements=list(key), set_=dict(values)))


MIGRATION_LOCK = 0x1E61B1E
VERSION_TABLE = "alembic_version"
# alembic is imported only where a schema is changed: a server whose schema is current saves 11 MB of memory.


@cache
def newest_migration() -> str:
    """The id of the last migration, which is the number that its file name begins with."""
    versions = Path(__file__).parent / "migrations" / "versions"
    return max(path.name[:4] for path in versions.glob("[0-9]*_*.py"))


def upgrade(url: str) -> None:
    """Brings the schema up to this version. Harmless when it is, and from several processes at once."""
    from alembic import command

    parsed = database_url(url)
    engine = open_engine(parsed, poolclass=NullPool).execution_options(begin="BEGIN IMMEDIATE")
    with unavailable_if_down(), engine.connect() as connection:
        if parsed.get_backend_name() == "sqlite":
            # A table that is rebuilt in batch mode is dropped for a moment: its children must not mind.
            _outside_transaction(connection, "PRAGMA foreign_keys=OFF")
        with connection.begin():
            if parsed.get_backend_name() == "postgresql":
                # Another process's migration, and an index on a large table, may take long.
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
                connection.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
            command.upgrade(_alembic(connection), "head")


def new_migration(why: str, folder: Path) -> None:
    """Writes the migration from the last one to `tables.py`, comparing with a fresh database in `folder`."""
    from alembic import command

    url = f"sqlite:///{folder / 'new_migration.db'}"
    upgrade(url)
    engine = open_engine(database_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        command.revision(_alembic(connection), message=why, autogenerate=True)


def _outside_transaction(connection: Connection, statement: str) -> None:
    driver_connection = connection.connection.driver_connection
    if driver_connection is not None:
        driver_connection.execute(statement)


def _alembic(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "legible.db:migrations")
    config.set_main_option("path_separator", "os")
    return config


def storable(text: str) -> str:
    """The text without what PostgreSQL or UTF-8 cannot hold (a caller's nonsense is quoted in refusals)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
