"""The journal's own connection: the few statements of the hot path, said to the driver directly."""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import URL, Table
from sqlalchemy.dialects import postgresql

from legible.db.session import SQLITE_PRAGMAS, connect_arguments
from legible.db.tables import Base

Token = tuple[int, str]  # account id, token


class CallRow(NamedTuple):
    """A row of `call`; `detail` is JSON."""

    id: int
    log_id: str
    trace_id: str
    account_id: int
    key_id: int
    dialect: str
    kind: str | None
    type_id: int | None
    outcome: str
    status: int
    result: str | None
    detail: str | None
    confidence: float | None
    cost_micros: int
    balance_micros: int
    duration_ms: int
    address: str | None
    created_ms: int


class EntryRow(NamedTuple):
    """A row of `entry`, for a charged call."""

    account_id: int
    amount_micros: int
    balance_micros: int
    kind: str
    reason: str
    call_id: int
    created_ms: int


class ReplyRow(NamedTuple):
    """A row of `stored_reply`."""

    account_id: int
    token: str
    request_sha256: bytes
    call_id: int
    status: int
    body: bytes
    created_ms: int


@dataclass(frozen=True, slots=True)
class KeptReply:
    """A stored reply and the call that it answered; `body` is None while a task is running."""

    request_sha256: bytes
    status: int | None
    body: bytes | None
    created_ms: int
    call: CallRow | None


@dataclass(frozen=True, slots=True)
class Held:
    """What the open transaction has read and locked: nobody else can change it before the commit.

    `balances` by account id; `keys` by key id: what was spent, and the cap; `call_ids` to be handed out.
    """

    balances: dict[int, int]
    keys: dict[int, tuple[int, int | None]]
    replies: Mapping[Token, KeptReply]
    call_ids: Iterable[int]


@dataclass(slots=True)
class Rows:
    """What one transaction writes. `charges`: micros by account id; `uses`: micros and time by key id."""

    calls: list[CallRow] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)
    replies: list[ReplyRow] = field(default_factory=list)
    charges: dict[int, int] = field(default_factory=dict)
    uses: dict[int, tuple[int, int]] = field(default_factory=dict)


class Book(ABC):
    """One connection, opened when it is needed and again after it broke. For one thread at a time."""

    down: ClassVar[
        tuple[type[Exception], ...]
    ]  # what the driver raises when nothing can be written at the moment

    @abstractmethod
    def hold(
        self, accounts: Collection[int], keys: Collection[int], tokens: Collection[Token], calls: int
    ) -> Held:
        """Begins a transaction that keeps those rows to itself, and allots ids for that many calls."""

    @abstractmethod
    def write(self, rows: Rows) -> None: ...

    @abstractmethod
    def commit(self) -> None:
        """When this returns, the rows are on the disk."""

    @abstractmethod
    def rollback(self) -> None: ...

    @abstractmethod
    def has_call(self, trace_id: str) -> bool: ...

    @abstractmethod
    def close(self) -> None: ...


def open_book(url: URL) -> Book:
    return SqliteBook(url) if url.get_backend_name() == "sqlite" else PostgresBook(url)


def _table(row: type[CallRow] | type[EntryRow] | type[ReplyRow]) -> Table:
    return Base.metadata.tables[{CallRow: "call", EntryRow: "entry", ReplyRow: "stored_reply"}[row]]


REPLACE = (
    " ON CONFLICT (account_id, token) DO UPDATE SET request_sha256 = excluded.request_sha256,"
    " call_id = excluded.call_id, status = excluded.status, body = excluded.body, created_ms = excluded.created_ms"
)
KEPT = (
    "SELECT r.account_id, r.token, r.request_sha256, r.status, r.body, r.created_ms, "
    + ", ".join(f"c.{name}" for name in CallRow._fields)
    + ' FROM stored_reply r LEFT JOIN "call" c ON c.id = r.call_id WHERE '
)


def _kept(rows: Iterable[Sequence[Any]]) -> dict[Token, KeptReply]:
    return {
        (row[0], row[1]): KeptReply(*row[2:6], None if row[6] is None else CallRow(*row[6:])) for row in rows
    }


class SqliteBook(Book):
    """The write lock of the file is what holds everything."""

    down = (sqlite3.OperationalError,)

    def __init__(self, url: URL) -> None:
        self.url = url
        self._connection: sqlite3.Connection | None = None

    def _run(self, statement: str, arguments: Sequence[Any] = ()) -> list[Any]:
        if self._connection is None:
            self._connection = self._open()
        return self._connection.execute(statement, arguments).fetchall()

    def _open(self) -> sqlite3.Connection:
        # mode=rw: a file that went away is an error, and not a new and empty database.
        connection = sqlite3.connect(
            f"file:{self.url.database}?mode=rw", uri=True, cached_statements=64, **connect_arguments(self.url)
        )
        for pragma in SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def hold(
        self, accounts: Collection[int], keys: Collection[int], tokens: Collection[Token], calls: int
    ) -> Held:
        self._run("BEGIN IMMEDIATE")
        balances = self._run(
            "SELECT id, balance_micros FROM account WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(accounts)),),
        )
        spent = self._run(
            "SELECT id, spent_micros, spend_cap_micros FROM api_key WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(keys)),),
        )
        replies = [
            row for token in tokens for row in self._run(KEPT + "r.account_id = ? AND r.token = ?", token)
        ]
        [(last,)] = self._run('SELECT coalesce(max(id), 0) FROM "call"')
        return Held(
            dict(balances),
            {id_: (used, cap) for id_, used, cap in spent},
            _kept(replies),
            range(last + 1, last + 1 + calls),
        )

    def write(self, rows: Rows) -> None:
        self._insert(CallRow, rows.calls)
        self._insert(EntryRow, rows.entries)
        self._insert(ReplyRow, rows.replies, REPLACE)
        self._update(
            "UPDATE account SET balance_micros = balance_micros - ?1 WHERE id = ?2 AND balance_micros >= ?1",
            [(amount, id_) for id_, amount in rows.charges.items()],
        )
        self._update(
            "UPDATE api_key SET spent_micros = spent_micros + ?1, last_used_ms = max(coalesce(last_used_ms, 0), ?2)"
            " WHERE id = ?3 AND (?1 = 0 OR spend_cap_micros IS NULL OR spent_micros + ?1 <= spend_cap_micros)",
            [(amount, used_ms, id_) for id_, (amount, used_ms) in rows.uses.items()],
        )

    def _insert(
        self, row: type[CallRow] | type[EntryRow] | type[ReplyRow], rows: Sequence[Any], also: str = ""
    ) -> None:
        if rows and self._connection is not None:
            values = ", ".join("?" * len(row._fields))
            names = ", ".join(row._fields)
            self._connection.executemany(
                f'INSERT INTO "{_table(row).name}" ({names}) VALUES ({values}){also}', rows
            )

    def _update(self, statement: str, rows: Sequence[Any]) -> None:
        if rows and self._connection is not None:
            _all_of(len(rows), self._connection.executemany(statement, rows).rowcount)

    def commit(self) -> None:
        self._run("COMMIT")

    def rollback(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._run("ROLLBACK")

    def has_call(self, trace_id: str) -> bool:
        return bool(self._run('SELECT 1 FROM "call" WHERE trace_id = ?', (trace_id,)))

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


class PostgresBook(Book):
    """Row locks, always taken in the order of their ids, so that two servers cannot wait for each other for ever."""

    def __init__(self, url: URL) -> None:
        import psycopg

        self.down = (psycopg.OperationalError, psycopg.InterfaceError)  # type: ignore[misc]
        self.url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.arguments = connect_arguments(url)
        self._connect = psycopg.connect
        self._connection: psycopg.Connection[Any] | None = None

    def _run(self, statement: str, arguments: Sequence[Any] = ()) -> Any:
        if self._connection is None:
            self._connection = self._connect(self.url, **self.arguments)
        return self._connection.execute(statement, arguments)

    def hold(
        self, accounts: Collection[int], keys: Collection[int], tokens: Collection[Token], calls: int
    ) -> Held:
        balances = self._run(
            "SELECT id, balance_micros FROM account WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE",
            (list(accounts),),
        ).fetchall()
        spent = self._run(
            "SELECT id, spent_micros, spend_cap_micros FROM api_key WHERE id = ANY(%s::bigint[])"
            " ORDER BY id FOR NO KEY UPDATE",
            (list(keys),),
        ).fetchall()
        ids = self._run(
            "SELECT nextval(pg_get_serial_sequence('call', 'id')) FROM generate_series(1, %s)", (calls,)
        ).fetchall()
        return Held(
            dict(balances),
            {id_: (used, cap) for id_, used, cap in spent},
            self._replies(tokens),
            [id_ for (id_,) in ids],
        )

    def _replies(self, tokens: Collection[Token]) -> dict[Token, KeptReply]:
        # After the accounts are locked: nobody can store a reply of theirs before we commit.
        if not tokens:
            return {}
        wanted = "(r.account_id, r.token) IN (SELECT * FROM unnest(%s::bigint[], %s::varchar[]))"
        return _kept(self._run(KEPT + wanted, [list(column) for column in zip(*tokens, strict=True)]))

    def write(self, rows: Rows) -> None:
        self._insert(CallRow, rows.calls)
        self._insert(EntryRow, rows.entries)
        self._insert(ReplyRow, rows.replies, REPLACE)
        self._update(
            "UPDATE account SET balance_micros = balance_micros - d.amount"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS d (id, amount)"
            " WHERE account.id = d.id AND balance_micros >= d.amount",
            list(rows.charges.items()),
        )
        self._update(
            "UPDATE api_key SET spent_micros = spent_micros + d.amount,"
            " last_used_ms = greatest(last_used_ms, d.used_ms)"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS d (id, amount, used_ms)"
            " WHERE api_key.id = d.id AND"
            " (d.amount = 0 OR spend_cap_micros IS NULL OR spent_micros + d.amount <= spend_cap_micros)",
            [(id_, amount, used_ms) for id_, (amount, used_ms) in rows.uses.items()],
        )

    def _insert(
        self, row: type[CallRow] | type[EntryRow] | type[ReplyRow], rows: Sequence[Any], also: str = ""
    ) -> None:
        if rows:
            table = _table(row)
            arrays = ", ".join(f"%s::{_postgres_type(table, name)}[]" for name in row._fields)
            names = ", ".join(row._fields)
            self._run(
                f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({arrays}){also}',  # noqa: S608
                [list(column) for column in zip(*rows, strict=True)],
            )

    def _update(self, statement: str, rows: Sequence[Any]) -> None:
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            _all_of(len(rows), self._run(statement, columns).rowcount)

    def commit(self) -> None:
        if self._connection is not None:
            self._connection.commit()

    def rollback(self) -> None:
        if self._connection is not None:
            self._connection.rollback()

    def has_call(self, trace_id: str) -> bool:
        return bool(self._run('SELECT 1 FROM "call" WHERE trace_id = %s', (trace_id,)).fetchall())

    def close(self) -> None:
        if self._connection is not None:
            with suppress(*self.down):
                self._connection.close()
            self._connection = None


def _postgres_type(table: Table, column: str) -> str:
    return table.c[column].type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]


def _all_of(expected: int, changed: int) -> None:
    """The rows were locked and checked before; a guard in the statement that does not hold is a bug of ours."""
    if changed != expected:
        raise RuntimeError(f"{changed} of {expected} rows could be charged; nothing is written")
