"""Top-up codes: made by an administrator, shown once, worth their amount once to whoever types them first."""

import hashlib
import secrets

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from legible import ledger
from legible.clock import now_ms
from legible.db.tables import TopUpCode

# Without 0 O 1 I L: people read codes to each other.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
LENGTH = 20  # 99 bits


def digest(code: str) -> bytes:
    """What of a code is kept; dashes, blanks and case do not matter."""
    return hashlib.sha256("".join(c for c in code.upper() if c.isalnum()).encode()).digest()


def create(session: Session, amount_micros: int, note: str, created_by: int, expires_ms: int | None) -> str:
    """A new code, in four groups of five."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    session.add(
        TopUpCode(
            sha256=digest(code),
            last_four=code[-4:],
            amount_micros=amount_micros,
            note=note,
            created_by=created_by,
            created_ms=now_ms(),
            expires_ms=expires_ms,
        )
    )
    return "-".join(code[start : start + 5] for start in range(0, LENGTH, 5))


def redeem(session: Session, account_id: int, code: str) -> int | None:
    """Adds the code's amount to the balance; that amount in micros, or None for a worthless one."""
    row = session.scalar(select(TopUpCode).where(TopUpCode.sha256 == digest(code)))
    if row is None:
        return None
    # Check and mark in one statement, so that two browsers cannot redeem the same code.
    taken = session.scalar(
        update(TopUpCode)
        .where(
            TopUpCode.id == row.id,
            TopUpCode.redeemed_ms.is_(None),
            (TopUpCode.expires_ms.is_(None)) | (TopUpCode.expires_ms > now_ms()),
        )
        .values(redeemed_by=account_id, redeemed_ms=now_ms())
        .returning(TopUpCode.amount_micros)
    )
    if taken is None:
        return None
    ledger.post(session, account_id, taken, "topup", f"code …{row.last_four}", row.created_by)
    return int(taken)


def cancel(session: Session, code_id: int) -> TopUpCode | None:
    """Ends a code that nobody redeemed yet; None if there is none of that id."""
    row = session.get(TopUpCode, code_id, with_for_update=True)  # nobody redeems it meanwhile
    if row is None or row.redeemed_ms is not None:
        return None
    row.expires_ms = min(row.expires_ms or now_ms(), now_ms())
    return row
