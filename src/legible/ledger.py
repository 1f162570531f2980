"""The rules of money: entries are only added, an account's balance is their sum, and it is never negative."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Select, case, func, select, text, update
from sqlalchemy.orm import Session

from legible.clock import now_ms
from legible.db.session import Database
from legible.db.tables import Account, Call, Entry
from legible.errors import InsufficientCredit, InvalidField, NotFound
from legible.money import LARGEST_MICROS

EntryKind = Literal["grant", "topup", "correction"]
Progress = Callable[[int, int], None]


def post(
    session: Session,
    account_id: int,
    amount_micros: int,
    kind: EntryKind,
    reason: str,
    created_by: int | None = None,
) -> int:
    """Adds an entry and moves the balance with it; returns the new balance. Only the journal charges calls.

    Raises `InsufficientCredit` rather than let the balance go under zero, `NotFound` without such an account.
    """
    if abs(amount_micros) > LARGEST_MICROS:
        raise InvalidField(
            "amount", got=f"{amount_micros} micros", allowed=f"at most {LARGEST_MICROS} micros"
        )
    # Check and write in one statement, so that two writers cannot spend the same credit.
    moved = (
        update(Account)
        .where(Account.id == account_id, Account.balance_micros + amount_micros >= 0)
        .values(balance_micros=Account.balance_micros + amount_micros)
        .returning(Account.balance_micros)
    )
    balance = session.scalar(moved)
    if balance is None:
        raise _refusal(session, account_id, amount_micros)
    session.add(
        Entry(
            account_id=account_id,
            amount_micros=amount_micros,
            balance_micros=balance,
            kind=kind,
            reason=reason,
            created_by=created_by,
            created_ms=now_ms(),
        )
    )
    return balance


def _refusal(session: Session, account_id: int, amount_micros: int) -> Exception:
    balance = session.scalar(select(Account.balance_micros).where(Account.id == account_id))
    if balance is None:
        return NotFound(f"account {account_id} does not exist")
    return InsufficientCredit(balance=balance, price=-amount_micros)


@dataclass(frozen=True, slots=True)
class Audit:
    """What `check` looked at, and a sentence for everything that is wrong; none is the only good number."""

    accounts: int
    entries: int
    calls: int
    problems: tuple[str, ...]


def check(database: Database, progress: Progress = lambda done, total: None) -> Audit:
    """Whether each balance is the sum of its entries, and not negative, and calls and entries match in pairs.

    `progress` is called with (accounts done, accounts in all). Each question is one statement, so a server
    may be busy meanwhile.
    """
    with database.read() as session:
        if not database.is_sqlite:
            # It may take minutes, and disturbs nobody.
            session.execute(text("SET LOCAL statement_timeout = 0"))
        accounts = session.execute(_sums()).all()
        problems = []
        for done, (account_id, balance, total) in enumerate(accounts, 1):
            if balance != total:
                problems.append(f"account {account_id}: the balance is {balance}, its entries sum to {total}")
            if balance < 0:
                problems.append(f"account {account_id}: the balance is negative: {balance}")
            progress(done, len(accounts))
        problems += [f"call {row.id}: {row.problem}" for row in session.execute(_mismatched_calls())]
        problems += [
            f"entry {id_}: charges a call that is not in the log" for id_ in session.scalars(_orphans())
        ]
        return Audit(len(accounts), _count(session, Entry.id), _count(session, Call.id), tuple(problems))


def _sums() -> Select[int, int, int]:
    total = func.coalesce(func.sum(Entry.amount_micros), 0)
    return (
        select(Account.id, Account.balance_micros, total)
        .outerjoin(Entry, Entry.account_id == Account.id)
        .group_by(Account.id)
        .order_by(Account.id)
    )


def _mismatched_calls() -> Select[int, str | None]:
    """Answered calls without their entry, refused calls with one, and amounts or owners that differ."""
    answered = Call.outcome == "answered"
    problem = case(
        (answered & Entry.id.is_(None), "answered, but not in the ledger"),
        (~answered & Entry.id.is_not(None), "refused, but charged"),
        (Entry.amount_micros != -Call.cost_micros, "its entry has another amount"),
        (Entry.account_id != Call.account_id, "its entry is on another account"),
        else_=None,
    )
    return (
        select(Call.id, problem.label("problem"))
        .outerjoin(Entry, Entry.call_id == Call.id)
        .where(problem.is_not(None))
        .order_by(Call.id)
    )


def _orphans() -> Select[int]:
    return (
        select(Entry.id)
        .outerjoin(Call, Call.id == Entry.call_id)
        .where(Entry.kind == "call", Call.id.is_(None))
        .order_by(Entry.id)
    )


def _count(session: Session, column: object) -> int:
    return session.scalar(select(func.count(column))) or 0  # type: ignore[arg-type]
