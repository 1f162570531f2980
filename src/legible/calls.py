"""Reading the call log: filtered pages, one call, a CSV that is safe to open, and the balance."""

import base64
import binascii
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Select, delete, or_, select

from legible.clock import now_ms
from legible.db.session import Database, storable, upsert
from legible.db.tables import TASK, Account, Call, StoredReply, WrongAnswer
from legible.errors import InvalidField, NotFound
from legible.logs import hide_keys
from legible.tasks import Kind

PAGE_SIZES = range(1, 501)
EXPORT_PAGE = 500
MAX_ID = 2**63 - 1
# A spreadsheet takes a cell that starts with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
CSV_COLUMNS = (
    "log_id", "trace_id", "created_at", "key_id", "dialect", "kind", "type_id", "outcome", "status", "result",
    "confidence", "cost_micros", "balance_micros", "duration_ms", "address",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls: each field that is not None must match. Times: milliseconds since 1970; `until_ms` is out.

    `outcome` is "answered", "replayed", a refusal's code, or "refused" for all of those.
    """

    from_ms: int | None = None
    until_ms: int | None = None
    kind: Kind | None = None
    outcome: str | None = None
    dialect: str | None = None
    key_id: int | None = None
    log_id: str | None = None
    trace_id: str | None = None
    at_least_ms: int | None = None  # it took that long, or longer

    def conditions(self) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if self.from_ms is not None:
            conditions.append(Call.created_ms >= self.from_ms)
        if self.until_ms is not None:
            conditions.append(Call.created_ms < self.until_ms)
        if self.at_least_ms is not None:
            conditions.append(Call.duration_ms >= self.at_least_ms)
        if self.outcome == "refused":
            conditions.append(Call.outcome.not_in(("answered", "replayed")))
        elif self.outcome is not None:
            conditions.append(Call.outcome == self.outcome)
        for column, value in (
            (Call.kind, self.kind),
            (Call.dialect, self.dialect),
            (Call.key_id, self.key_id),
            (Call.log_id, self.log_id),
            (Call.trace_id, self.trace_id),
        ):
            if value is not None:
                conditions.append(column == value)
        return conditions


@dataclass(frozen=True, slots=True)
class Page:
    """Calls, newest first; `next_cursor` asks for the older ones, None when there are none."""

    calls: Sequence[Call]
    next_cursor: str | None


class CallLog:
    """Every method blocks: in an event loop, `database.run` it. No `account_id`: everybody's."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def page(
        self,
        account_id: int | None,
        which: CallFilter = CallFilter(),
        cursor: str | None = None,
        size: int = 50,
    ) -> Page:
        """Raises `InvalidField` for a cursor that is not one of ours, or a size out of range."""
        if size not in PAGE_SIZES:
            raise InvalidField("limit", got=str(size), allowed=f"{PAGE_SIZES.start} to {PAGE_SIZES.stop - 1}")
        before = MAX_ID if cursor is None else _open_cursor(cursor)
        query = (
            _of(account_id)
            .where(*which.conditions(), Call.id < before)
            .order_by(Call.id.desc())
            .limit(size + 1)
        )
        with self.database.read() as session:
            calls = session.scalars(query).all()
        more = len(calls) > size
        return Page(calls[:size], _cursor(calls[size - 1].id) if more else None)

    def find(self, account_id: int | None, reference: str) -> Call:
        """The call of that id, log id or trace id. Raises `NotFound`, for somebody else's call too."""
        reference = storable(reference)
        matches = [Call.log_id == reference, Call.trace_id == reference]
        if reference.isascii() and reference.isdecimal() and len(reference) < len(str(MAX_ID)):
            matches.append(Call.id == int(reference))
        with self.database.read() as session:
            call = session.scalars(_of(account_id).where(or_(*matches))).first()
        if call is None:
            raise NotFound("there is no such call in your log")
        return call

    def trace_of_task(self, account_id: int, task_id: str) -> str | None:
        """The trace id of the call whose reply is kept under that task, as long as it is."""
        kept = select(Call.trace_id).join(StoredReply, StoredReply.call_id == Call.id)
        whose = kept.where(StoredReply.account_id == account_id, StoredReply.token == f"{TASK}{task_id}")
        with self.database.read() as session:
            return session.scalar(whose)

    def report_wrong(self, call_id: int, expected: str = "") -> None:
        """Keeps a user's word that the answer of this call was wrong, if it had one. The last word counts."""
        with self.database.write() as session:
            call = session.get(Call, call_id)
            if call is None or call.outcome != "answered":
                return
            said = {"expected": expected[:200]} if expected else {}
            upsert(session, WrongAnswer, {"call_id": call_id}, {"created_ms": now_ms(), **said})

    def withdraw_report(self, call_id: int) -> None:
        """Forgets that word."""
        with self.database.write() as session:
            session.execute(delete(WrongAnswer).where(WrongAnswer.call_id == call_id))

    def csv(self, account_id: int | None, which: CallFilter = CallFilter()) -> Iterator[str]:
        """The lines of a CSV file, newest call first; memory stays small however long the log is."""
        yield _line(CSV_COLUMNS)
        cursor: str | None = None
        while True:
            page = self.page(account_id, which, cursor, EXPORT_PAGE)
            yield "".join(_line(_cells(call)) for call in page.calls)
            cursor = page.next_cursor
            if cursor is None:
                return

    def balance(self, account_id: int) -> int:
        """In micros. Raises `NotFound`."""
        with self.database.read() as session:
            balance = session.scalar(select(Account.balance_micros).where(Account.id == account_id))
        if balance is None:
            raise NotFound(f"account {account_id} does not exist")
        return balance


def _of(account_id: int | None) -> Select[Call]:
    calls = select(Call)
    return calls if account_id is None else calls.where(Call.account_id == account_id)


def _cursor(call_id: int) -> str:
    return base64.urlsafe_b64encode(str(call_id).encode()).decode().rstrip("=")


def _open_cursor(cursor: str) -> int:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode(
            "ascii"
        )
    except (binascii.Error, ValueError):
        text = ""
    if not text.isdecimal() or len(text) >= len(str(MAX_ID)):
        raise InvalidField("cursor", got=repr(hide_keys(cursor)[:40]), allowed="the next_cursor of a page")
    return int(text)


def _cells(call: Call) -> list[object]:
    created_at = datetime.fromtimestamp(call.created_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return [created_at if name == "created_at" else getattr(call, name) for name in CSV_COLUMNS]


def _line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_safe(cell) for cell in cells])
    return line.getvalue()


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
