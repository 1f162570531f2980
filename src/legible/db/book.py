"""The journal's own connection: the few statements of the hot path, said to the driver directly."""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sqlalchemy import URL

from legible.db.session import SQLITE_PRAGMAS, connect_arguments

if TYPE_CHECKING:
    import psycopg

Token = tuple[int, str]  # account id, token


class CallRow(NamedTuple):
    """A row of `call`."""

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
    detail: Any  # a JSON object, or None
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


class BooksDisagree(RuntimeError):  # noqa: N818 - a fact about the books
    """A guard of the ledger did not hold: a bug of ours, and nothing was written."""


RowType = type[CallRow] | type[EntryRow] | type[ReplyRow]


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

    @property
    @abstractmethod
    def is_broken(self) -> bool:
        """Whether the connection is gone for good (its server was started again): a new one is needed."""

    @abstractmethod
    def has_call(self, trace_id: str, account_id: int) -> bool:
        """Whether that call of the account is in the log for good; a commit that still runs is waited for."""

    @abstractmethod
    def close(self) -> None: ...


def open_book(url: URL) -> Book:
    return SqliteBook(url) if url.get_backend_name() == "sqlite" else PostgresBook(url)


TABLES: Mapping[RowType, str] = {CallRow: "call", EntryRow: "entry", ReplyRow: "stored_reply"}


# The names in these statements are our own, never a caller's.
def _insert_sqlite(row: RowType) -> str:
    places = ", ".join("?" * len(row._fields))
    return f'INSERT INTO "{TABLES[row]}" ({", ".join(row._fields)}) VALUES ({places})'  # noqa: S608  # nosec B608


def _insert_postgres(row: RowType) -> str:
    """One statement for all rows, as one JSON array: the driver's own arrays cost several times the CPU."""
    names, rows = ", ".join(row._fields), f'json_populate_recordset(NULL::"{TABLES[row]}", %s)'
    return f'INSERT INTO "{TABLES[row]}" ({names}) SELECT {names} FROM {rows}'  # noqa: S608  # nosec B608


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, default=_hex)


def _hex(data: bytes) -> str:
    """As PostgreSQL reads bytes from text."""
    return "\\x" + data.hex()


REPLACE = (
    " ON CONFLICT (account_id, token) DO UPDATE SET"
    " request_sha256 = excluded.request_sha256, call_id = excluded.call_id, status = excluded.status,"
    " body = excluded.body, created_ms = excluded.created_ms"
)
KEPT = (
    "SELECT r.account_id, r.token, r.request_sha256, r.status, r.body, r.created_ms, "  # noqa: S608  # nosec B608
    + ", ".join(f"c.{name}" for name in CallRow._fields)
    + ' FROM stored_reply r LEFT JOIN "call" c ON c.id = r.call_id WHERE '
)


def _kept(rows: Iterable[Sequence[Any]]) -> dict[Token, KeptReply]:
    kept = {}
    for account_id, token, sha256, status, body, created_ms, *call in rows:
        answered = None if call[0] is None else CallRow(*call)
        kept[account_id, token] = KeptReply(sha256, status, body, created_ms, answered)
    return kept


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
        uri = Path(str(self.url.database)).resolve().as_uri() + "?mode=rw"
        connection: sqlite3.Connection = sqlite3.connect(uri, uri=True, **connect_arguments(self.url))
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
            "SELECT id, spent_micros, spend_cap_micros FROM api_key"
            " WHERE id IN (SELECT value FROM json_each(?))",
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
        self._insert(CallRow, [row._replace(detail=_text(row.detail)) for row in rows.calls])
        self._insert(EntryRow, rows.entries)
        self._insert(ReplyRow, rows.replies, REPLACE)
        self._update(
            "UPDATE account SET balance_micros = balance_micros - ?1 WHERE id = ?2 AND balance_micros >= ?1",
            [(amount, id_) for id_, amount in rows.charges.items()],
        )
        self._update(
            "UPDATE api_key SET spent_micros = spent_micros + ?1,"
            " last_used_ms = max(coalesce(last_used_ms, 0), ?2)"
            " WHERE id = ?3 AND"
            " (?1 = 0 OR spend_cap_micros IS NULL OR spent_micros + ?1 <= spend_cap_micros)",
            [(amount, used_ms, id_) for id_, (amount, used_ms) in rows.uses.items()],
        )

    def _insert(self, row: RowType, rows: Sequence[Any], also: str = "") -> None:
        if rows and self._connection is not None:
            self._connection.executemany(_insert_sqlite(row) + also, rows)

    def _update(self, statement: str, rows: Sequence[Any]) -> None:
        if rows and self._connection is not None:
            _all_of(len(rows), self._connection.executemany(statement, rows).rowcount)

    def commit(self) -> None:
        self._run("COMMIT")

    def rollback(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._run("ROLLBACK")

    @property
    def is_broken(self) -> bool:
        return False

    def has_call(self, trace_id: str, account_id: int) -> bool:
        # Our own connection was closed, and with it all that was not committed.
        return bool(self._run('SELECT 1 FROM "call" WHERE trace_id = ?', (trace_id,)))

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


class PostgresBook(Book):
    """Row locks, always taken in the order of their ids, so that two servers never wait for each other."""

    def __init__(self, url: URL) -> None:
        import psycopg

        read_only = psycopg.errors.ReadOnlySqlTransaction
        self.down = (psycopg.OperationalError, psycopg.InterfaceError, read_only)  # type: ignore[misc]
        self.url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.arguments = connect_arguments(url)
        self._connect = psycopg.connect
        self._connection: psycopg.Connection[Any] | None = None

    def _run(self, statement: str, arguments: Sequence[Any] = ()) -> Any:
        return self._open().execute(statement, arguments)

    def _pipeline(self) -> AbstractContextManager[Any]:
        """What runs inside is sent at once, and waited for at the end."""
        return self._open().pipeline()

    def _open(self) -> "psycopg.Connection[Any]":
        if self._connection is None:
            self._connection = self._connect(self.url, **self.arguments)
        return self._connection

    def hold(
        self, accounts: Collection[int], keys: Collection[int], tokens: Collection[Token], calls: int
    ) -> Held:
        with self._pipeline():
            balances = self._run(
                "SELECT id, balance_micros FROM account WHERE id = ANY(%s::bigint[])"
                " ORDER BY id FOR NO KEY UPDATE",
                (list(accounts),),
            )
            spent = self._run(
                "SELECT id, spent_micros, spend_cap_micros FROM api_key WHERE id = ANY(%s::bigint[])"
                " ORDER BY id FOR NO KEY UPDATE",
                (list(keys),),
            )
            # After the accounts are locked: nobody can store a reply of theirs before we commit.
            replies = [
                self._run(KEPT + "r.account_id = %s AND r.token = %s", token).fetchall() for token in tokens
            ]
            ids = self._run(
                "SELECT nextval(pg_get_serial_sequence('call', 'id')) FROM generate_series(1, %s)", (calls,)
            )
        return Held(
            dict(balances),
            {id_: (used, cap) for id_, used, cap in spent},
            _kept(row for rows in replies for row in rows),
            [id_ for (id_,) in ids],
        )

    def write(self, rows: Rows) -> None:
        uses = [{"id": id_, "amount": spent, "used_ms": used} for id_, (spent, used) in rows.uses.items()]
        charges = [{"id": id_, "amount": amount} for id_, amount in rows.charges.items()]
        with self._pipeline():
            self._insert(CallRow, rows.calls)
            self._insert(EntryRow, rows.entries)
            self._insert(ReplyRow, rows.replies, REPLACE)
            charged = self._run(
                "UPDATE account SET balance_micros = balance_micros - d.amount"
                " FROM json_to_recordset(%s) AS d (id bigint, amount bigint)"
                " WHERE account.id = d.id AND balance_micros >= d.amount",
                (_json(charges),),
            )
            used = self._run(
                "UPDATE api_key SET spent_micros = spent_micros + d.amount,"
                " last_used_ms = greatest(last_used_ms, d.used_ms)"
                " FROM json_to_recordset(%s) AS d (id bigint, amount bigint, used_ms bigint)"
                " WHERE api_key.id = d.id AND"
                " (d.amount = 0 OR spend_cap_micros IS NULL OR spent_micros + d.amount <= spend_cap_micros)",
                (_json(uses),),
            )
        _all_of(len(charges), charged.rowcount)
        _all_of(len(uses), used.rowcount)

    def _insert(self, row: RowType, rows: Sequence[Any], also: str = "") -> None:
        if rows:
            self._run(_insert_postgres(row) + also, (_json([each._asdict() for each in rows]),))

    def commit(self) -> None:
        if self._connection is not None:
            self._connection.commit()

    def rollback(self) -> None:
        if self._connection is not None:
            self._connection.rollback()

    @property
    def is_broken(self) -> bool:
        return self._connection is not None and self._connection.broken

    def has_call(self, trace_id: str, account_id: int) -> bool:
        # The lock is the one that the lost transaction holds until it has ended, either way.
        self._run("SELECT 1 FROM account WHERE id = %s FOR NO KEY UPDATE", (account_id,))
        found = self._run('SELECT 1 FROM "call" WHERE trace_id = %s', (trace_id,)).fetchall()
        self.rollback()
        return bool(found)

    def close(self) -> None:
        if self._connection is not None:
            with suppress(*self.down):
                self._connection.close()
            self._connection = None


def _text(detail: Mapping[str, Any] | None) -> str | None:
    return None if detail is None else json.dumps(detail, ensure_ascii=False)


def _all_of(expected: int, changed: int) -> None:
    """The rows were locked and checked: a guard in the statement that does not hold is a bug of ours."""
    if changed != expected:
        raise BooksDisagree(f"{changed} of {expected} rows could be charged; nothing is written")
