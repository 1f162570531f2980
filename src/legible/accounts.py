"""Who calls and with what right: accounts, passwords and credit, and the caller that a key stands for."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from threading import Semaphore

from pwdlib import PasswordHash
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from legible import ledger
from legible.clock import now_ms
from legible.db.session import Database, storable
from legible.db.tables import (
    LEAVING,
    NOBODY,
    Account,
    ApiKey,
    AuditEvent,
    Call,
    KeptImage,
    Preference,
    StoredReply,
    WebSession,
    WrongAnswer,
)
from legible.errors import InvalidField, NotAllowed, NotFound, RecognitionFailed, Unauthenticated
from legible.money import LARGEST_MICROS
from legible.tasks import Kind

EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
MAX_EMAIL = 254
PASSWORD_LENGTHS = range(8, 1025)
LAST_CALLS_MS = 5 * 60_000  # after so long no call with a revoked key is under way
FORGOTTEN_AT_ONCE = 5000  # calls of a deleted account, so that other writers get their turn

passwords = PasswordHash.recommended()
# Each takes 64 MiB while it runs: a crowd at the door waits in line.
hashing = Semaphore(2)


@dataclass(frozen=True, slots=True)
class Caller:
    """A known key and its account, as they were when looked up; `check` says whether it may call at all.

    Amounts in micros, times in milliseconds since 1970. Of the rates, `rate_per_second` is the key's own;
    None is the account's or the default, 0 no limit.
    """

    key_id: int
    account_id: int
    email: str
    is_enabled: bool
    account_is_enabled: bool
    revoked_ms: int | None
    expires_ms: int | None
    kinds: frozenset[Kind] | None
    networks: tuple[IPv4Network | IPv6Network, ...] | None
    rate_per_second: int | None
    account_rate_per_second: int | None
    balance_micros: int
    spend_cap_micros: int | None
    spent_micros: int
    threshold: float | None = None
    keeps_images: bool = False

    @property
    def is_deleted(self) -> bool:
        return self.email in (NOBODY.format(self.account_id), LEAVING.format(self.account_id))

    def check(self, address: str) -> None:
        """Raises `Unauthenticated` for a key that is revoked, expired, disabled, or used from elsewhere."""
        if self.revoked_ms is not None:
            raise Unauthenticated("revoked", "this key was revoked")
        if self.expires_ms is not None and self.expires_ms <= now_ms():
            raise Unauthenticated("expired", "this key has expired")
        if not self.is_enabled:
            raise Unauthenticated("disabled", "this key is disabled")
        if not self.account_is_enabled:
            raise Unauthenticated("account_disabled", "this account is disabled")
        if self.networks is not None and not _is_within(address, self.networks):
            raise Unauthenticated("address", f"this key may not be used from {address}")

    def check_kind(self, kind: Kind) -> None:
        """Raises `NotAllowed` when the key is not for this kind."""
        if self.kinds is not None and kind not in self.kinds:
            allowed = ", ".join(sorted(self.kinds)) or "nothing"
            raise NotAllowed(f"this key may not recognize {kind}; allowed: {allowed}")

    def check_sure(self, confidence: float) -> None:
        """Raises `RecognitionFailed` for an answer (0-1) that is less sure than the key asks for."""
        if self.threshold is not None and confidence < self.threshold:
            raise RecognitionFailed(
                f"the answer has confidence {confidence:.4g}, under this key's threshold {self.threshold:g}",
                confidence=confidence,
                threshold=self.threshold,
            )

    def can_pay(self, price_micros: int) -> bool:
        """Whether balance and spend cap allow it, as far as was known at the look-up."""
        return self.balance_micros >= price_micros and not self.is_capped(price_micros)

    def is_capped(self, price_micros: int) -> bool:
        """Whether the price would take the key over its own spend cap."""
        cap = self.spend_cap_micros
        return cap is not None and self.spent_micros + price_micros > cap


def _is_within(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)


class Accounts:
    """Makes and changes accounts. Every method blocks: in an event loop, `database.run` it."""

    def __init__(self, database: Database, free_quota_micros: int) -> None:
        self.database, self.free_quota_micros = database, free_quota_micros

    def create(
        self,
        email: str,
        password: str | None = None,
        *,
        is_admin: bool = False,
        event: AuditEvent | None = None,
    ) -> Account:
        """A new account with the free quota. Without a password nobody can sign in to it.

        Raises `InvalidField` for an address that is none or is taken, and a password too short or long.
        """
        account = Account(
            email=clean_email(email),
            password_hash=None if password is None else _hash(password),
            is_admin=is_admin,
            is_enabled=True,
            balance_micros=0,
            created_ms=now_ms(),
        )
        taken = InvalidField("email", got=account.email, allowed="an address that has no account yet")
        with self.database.write() as session:
            if session.scalar(select(Account.id).where(Account.email == account.email)) is not None:
                raise taken
            session.add(account)
            try:
                session.flush()
            except IntegrityError:
                raise taken from None  # another server was faster
            if self.free_quota_micros:
                account.balance_micros = ledger.post(
                    session, account.id, self.free_quota_micros, "grant", "free quota"
                )
            if event is not None:
                session.add(event)
        return account

    def verify(self, email: str, password: str) -> Account:
        """The account of address and password. Raises `Unauthenticated`, the same for either being wrong."""
        with self.database.read() as session:
            account = session.scalar(select(Account).where(Account.email == storable(email.strip().lower())))
        # Hash in any case: the time must not tell whether the address has an account.
        stored = account.password_hash if account and account.password_hash else _nobody()
        with hashing:
            matches = passwords.verify(password[: PASSWORD_LENGTHS.stop], stored)
        if account is None or account.password_hash is None or not matches:
            raise Unauthenticated("unknown", "the e-mail address or the password is wrong")
        if not account.is_enabled:
            raise Unauthenticated("account_disabled", "this account is disabled")
        return account

    def list(self) -> Sequence[Account]:
        """All accounts, oldest first."""
        with self.database.read() as session:
            return session.scalars(select(Account).order_by(Account.id)).all()

    def get(self, account_id: int) -> Account:
        """Raises `NotFound`."""
        with self.database.read() as session:
            account = session.get(Account, account_id)
        if account is None:
            raise NotFound(f"account {account_id} does not exist")
        return account

    def by_email(self, email: str) -> Account:
        """Raises `NotFound`."""
        with self.database.read() as session:
            account = session.scalar(select(Account).where(Account.email == email.strip().lower()))
        if account is None:
            raise NotFound(f"there is no account for {email}")
        return account

    def top_up(
        self,
        account_id: int,
        amount_micros: int,
        reason: str,
        created_by: int | None = None,
        audit: AuditEvent | None = None,
    ) -> int:
        """Adds credit, with the reason that the ledger shows; returns the new balance in micros. As with all
        changes, `audit` is written with it, or neither is."""
        if amount_micros <= 0:
            raise InvalidField("amount", got=f"{amount_micros} micros", allowed="more than 0")
        with self._writing(audit) as session:
            return ledger.post(session, account_id, amount_micros, "topup", _reason(reason), created_by)

    def correct(
        self,
        account_id: int,
        amount_micros: int,
        reason: str,
        created_by: int | None = None,
        audit: AuditEvent | None = None,
    ) -> int:
        """Mends a mistake by an entry of either sign; returns the new balance in micros."""
        with self._writing(audit) as session:
            return ledger.post(session, account_id, amount_micros, "correction", _reason(reason), created_by)

    def set_rate(
        self,
        account_id: int,
        rate_per_second: int | None,
        audit: AuditEvent | None = None,
        most: int = 0,
    ) -> None:
        """The rate of the account's keys together; None is the default, 0 no limit. A key's own
        rate over `most`, unless that is 0, goes."""
        if rate_per_second is not None and rate_per_second < 0:
            raise InvalidField("rate", got=str(rate_per_second), allowed="0 (no limit) or more")
        with self._writing(audit) as session:
            _change(session, account_id, rate_per_second=rate_per_second)
            if most:
                faster = (ApiKey.rate_per_second == 0) | (ApiKey.rate_per_second > most)
                session.execute(
                    update(ApiKey).where(ApiKey.account_id == account_id, faster).values(rate_per_second=None)
                )

    def set_enabled(self, account_id: int, is_enabled: bool, audit: AuditEvent | None = None) -> None:
        """A disabled account can neither sign in nor call. Raises `NotAllowed` for the last administrator."""
        with self._writing(audit) as session:
            if not is_enabled:
                _leave_an_administrator(session, account_id)
            _change(session, account_id, is_enabled=is_enabled)

    def set_admin(self, account_id: int, is_admin: bool, audit: AuditEvent | None = None) -> None:
        """Raises `NotAllowed` for the last administrator."""
        with self._writing(audit) as session:
            if not is_admin:
                _leave_an_administrator(session, account_id)
            _change(session, account_id, is_admin=is_admin)

    def set_password(
        self, account_id: int, password: str, keep: int | None = None, audit: AuditEvent | None = None
    ) -> None:
        """Ends all log-ins of the account, but for the session `keep`."""
        password_hash = _hash(password)
        with self._writing(audit) as session:
            _change(session, account_id, password_hash=password_hash)
            session.execute(
                delete(WebSession).where(WebSession.account_id == account_id, WebSession.id != (keep or 0))
            )

    def delete(self, account_id: int) -> None:
        """Forgets who somebody is, at once; amounts stay, nameless, since the ledger only grows. What the
        calls said goes with `forget`.

        Raises `NotFound`, and `NotAllowed` for the last administrator.
        """
        with self.database.write() as session:
            _leave_an_administrator(session, account_id)
            mine = select(Account).where(Account.id == account_id).with_for_update(key_share=True)
            account = session.scalar(mine)
            if account is None:
                raise NotFound(f"account {account_id} does not exist")
            left = account.balance_micros
            while left:  # by entries, of which each has a bound
                taken = min(left, LARGEST_MICROS)
                ledger.post(session, account_id, -taken, "correction", "account deleted", account_id)
                left -= taken
            ended = {"revoked_ms": func.coalesce(ApiKey.revoked_ms, now_ms()), "name": "-", "addresses": None}
            session.execute(update(ApiKey).where(ApiKey.account_id == account_id).values(**ended))
            for table in (StoredReply, Preference, WebSession):
                session.execute(delete(table).where(table.account_id == account_id))
            session.execute(
                update(AuditEvent)
                .where(AuditEvent.subject == account.email)
                .values(subject=NOBODY.format(account_id))
            )
            gone = LEAVING.format(account_id)
            _change(session, account_id, email=gone, password_hash=None, is_admin=False, is_enabled=False)

    def forget(self, account_id: int) -> None:
        """What the calls of a deleted account said and showed goes, a few at a time."""
        last: int | None = 0
        while last is not None:
            with self.database.write() as session:
                last = _forget_calls(session, account_id, last)

    def forget_deleted(self) -> None:
        """The same for all that were deleted a while ago: calls that were under way then are in the log now,
        and a server may have stopped in the middle."""
        with self.database.read() as session:
            leaving = session.execute(
                select(Account.id, func.max(ApiKey.revoked_ms))
                .outerjoin(ApiKey, ApiKey.account_id == Account.id)
                .where(Account.email.like(LEAVING.format("%")))
                .group_by(Account.id)
            ).all()
        for account_id, revoked_ms in leaving:
            if (revoked_ms or 0) < now_ms() - LAST_CALLS_MS:
                self.forget(account_id)
                with self.database.write() as session:
                    _change(session, account_id, email=NOBODY.format(account_id))

    @contextmanager
    def _writing(self, audit: AuditEvent | None) -> Iterator[Session]:
        with self.database.write() as session:
            yield session
            if audit is not None:
                session.add(audit)


def _change(session: Session, account_id: int, **values: object) -> None:
    changed = update(Account).where(Account.id == account_id).values(**values).returning(Account.id)
    if session.scalar(changed) is None:
        raise NotFound(f"account {account_id} does not exist")


def _leave_an_administrator(session: Session, account_id: int) -> None:
    """Locks the administrators' rows, so that two who demote each other wait in line: in the order of their
    ids, as the journal does, and only where it matters."""
    is_one = Account.is_admin & Account.is_enabled
    if not session.scalar(select(is_one).where(Account.id == account_id)):
        return
    enabled = session.scalars(
        select(Account.id).where(is_one).order_by(Account.id).with_for_update(key_share=True)
    )
    if enabled.all() == [account_id]:
        raise NotAllowed("the last administrator cannot be disabled, demoted or deleted")


def _forget_calls(session: Session, account_id: int, after: int) -> int | None:
    """What the account's next calls said and showed goes; returns the last of them, None after all."""
    first = select(Call.id).where(Call.account_id == account_id, Call.id > after).order_by(Call.id)
    ids = session.scalars(first.limit(FORGOTTEN_AT_ONCE)).all()
    if not ids:
        return None
    mine = (Call.account_id == account_id, Call.id.between(ids[0], ids[-1]))
    for table in (KeptImage, WrongAnswer):
        session.execute(delete(table).where(table.call_id.in_(select(Call.id).where(*mine))))
    session.execute(update(Call).where(*mine).values(result=None, detail=None, address=None))
    return ids[-1]


def clean_email(email: str) -> str:
    """The address in lower case. Raises `InvalidField` for what cannot be one, or is a deleted account's."""
    cleaned = email.strip().lower()
    is_nobody = cleaned.endswith(NOBODY[NOBODY.index("@") :])
    if not EMAIL.fullmatch(cleaned) or len(cleaned) > MAX_EMAIL or not cleaned.isprintable() or is_nobody:
        raise InvalidField("email", got=repr(email[:MAX_EMAIL]), allowed="an address like name@example.com")
    return cleaned


def _hash(password: str) -> str:
    if len(password) not in PASSWORD_LENGTHS:
        allowed = f"{PASSWORD_LENGTHS.start} to {PASSWORD_LENGTHS.stop - 1} characters"
        raise InvalidField("password", got=f"{len(password)} characters", allowed=allowed)
    with hashing:
        return passwords.hash(password)


@cache
def _nobody() -> str:
    with hashing:
        return passwords.hash("nobody has this password")


def _reason(reason: str) -> str:
    if not reason.strip():
        raise InvalidField("reason", got="nothing", allowed="a sentence that says why, for the ledger")
    return reason.strip()
