"""API keys: made, shown once, kept as a hash, and looked up again and again through a very short cache."""

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from sqlalchemy import ColumnElement, func, select, update

from legible.accounts import Caller
from legible.clock import now_ms
from legible.db.session import Database
from legible.db.tables import Account, ApiKey, Preference
from legible.errors import InsufficientCredit, InvalidField, NotFound, Unauthenticated
from legible.tasks import Kind

PREFIX = "lg_"
JOINERS = re.compile("[\u200c\u200d]")
SECRET = re.compile(r"lg_[A-Za-z0-9_-]{43}")
MAX_NAME = 100
MAX_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class KeyRules:
    """What a key may do. None is: never expires, no cap, every kind, every address, the account's rate, no
    confidence (0-1) of its own under which it is refused an answer."""

    expires_ms: int | None = None
    spend_cap_micros: int | None = None
    kinds: Sequence[Kind] | None = None
    addresses: Sequence[str] | None = None
    rate_per_second: int | None = None
    threshold: float | None = None

    def columns(self) -> dict[str, object]:
        """The values of the row. Raises `InvalidField`."""
        _not_negative("rate", self.rate_per_second)
        _not_negative("spend_cap", self.spend_cap_micros)
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InvalidField("threshold", got=str(self.threshold), allowed="a number from 0 to 1")
        return {
            "expires_ms": self.expires_ms,
            "spend_cap_micros": self.spend_cap_micros,
            "kinds": None if self.kinds is None else [kind.value for kind in self.kinds],
            "addresses": None if self.addresses is None else [_network(each) for each in self.addresses],
            "rate_per_second": self.rate_per_second,
            "threshold": self.threshold,
        }


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` is shown this once; only its hash is kept."""

    id: int
    secret: str


class KeyRing:
    """`identify` and `check_credit` are for calls; the rest blocks: in an event loop, `database.run` it."""

    def __init__(self, database: Database, cache_seconds: float) -> None:
        self.database, self.cache_seconds = database, cache_seconds
        # By hash: until when the look-up counts, and the look-up itself, which all who ask meanwhile share.
        self._cache: dict[bytes, tuple[float, asyncio.Task[Caller | None]]] = {}

    async def identify(self, key: str | None) -> Caller:
        """Who calls; also with a revoked, expired or disabled key: `Caller.check` refuses it, to be logged.

        Raises `Unauthenticated` for no key or one never heard of, `Unavailable` when the database is down.
        """
        if not key:
            raise Unauthenticated("missing", "no API key was sent")
        caller = await self._look_up(key) if SECRET.fullmatch(key) else None
        if caller is None:
            raise Unauthenticated("unknown", "this API key is not known")
        return caller

    async def check_credit(self, caller: Caller, price_micros: int) -> None:
        """Raises `InsufficientCredit` before work is done for nothing; the journal decides for good."""
        if caller.can_pay(price_micros):
            return
        fresh = await self.database.run(lambda: self._read(ApiKey.id == caller.key_id)) or caller
        if not fresh.can_pay(price_micros):
            raise InsufficientCredit(
                balance=fresh.balance_micros,
                price=price_micros,
                spend_cap=fresh.balance_micros >= price_micros,
            )

    async def _look_up(self, key: str) -> Caller | None:
        digest = _digest(key)
        until, task = self._cache.get(digest, (0.0, None))
        now = time.monotonic()
        if task is None or now >= until:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            task = asyncio.create_task(self.database.run(lambda: self._read(ApiKey.sha256 == digest)))
            self._cache[digest] = now + self.cache_seconds, task
        try:
            # The look-up is everybody's: one caller who hangs up must not take it from the others.
            return await asyncio.shield(task)
        except Exception:
            self._cache.pop(digest, None)
            raise

    def _read(self, which: ColumnElement[bool]) -> Caller | None:
        query = (
            select(ApiKey, Account, Preference.keeps_images)
            .join(Account, Account.id == ApiKey.account_id)
            .outerjoin(Preference, Preference.account_id == ApiKey.account_id)
            .where(which)
        )
        with self.database.read() as session:
            row = session.execute(query).one_or_none()
        return None if row is None else _caller(*row)

    def create(self, account_id: int, name: str, rules: KeyRules = KeyRules()) -> NewKey:
        """A new key of the account. Raises `InvalidField`, and `NotFound` without such an account."""
        secret = PREFIX + secrets.token_urlsafe(32)
        with self.database.write() as session:
            if session.get(Account, account_id) is None:
                raise NotFound(f"account {account_id} does not exist")
            row = _new(account_id, _name(name), secret, rules.columns())
            session.add(row)
            session.flush()
            return NewKey(row.id, secret)

    def list(self, account_id: int | None = None) -> Sequence[ApiKey]:
        """The keys of the account, or of everybody; newest first."""
        query = select(ApiKey).order_by(ApiKey.id.desc())
        with self.database.read() as session:
            return session.scalars(
                query if account_id is None else query.where(ApiKey.account_id == account_id)
            ).all()

    def get(self, key_id: int, account_id: int | None = None) -> ApiKey:
        """Raises `NotFound`, also for a key of another account than the one that is given."""
        with self.database.read() as session:
            row = session.scalar(select(ApiKey).where(*_owned(key_id, account_id)))
        if row is None:
            raise NotFound(f"key {key_id} does not exist")
        return row

    def update(self, key_id: int, name: str, rules: KeyRules, account_id: int | None = None) -> None:
        """Replaces name and rules. Raises as `create` and `get` do."""
        self._change(key_id, account_id, name=_name(name), **rules.columns())

    def set_enabled(self, key_id: int, is_enabled: bool, account_id: int | None = None) -> None:
        """Raises `NotFound`."""
        self._change(key_id, account_id, is_enabled=is_enabled)

    def rotate(self, key_id: int, overlap_ms: int, account_id: int | None = None) -> NewKey:
        """A new key with the same name and rules; the old one goes on for so long. What is left of its spend
        cap is the new one's, and halved while both go on: a new secret brings no new cap.

        Raises `NotFound`, also for a key that is revoked or has expired.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        with self.database.write() as session:
            old = session.scalar(
                select(ApiKey).where(*_owned(key_id, account_id)).with_for_update(key_share=True)
            )
            if old is None or old.revoked_ms is not None or (old.expires_ms or 2**62) <= now_ms():
                raise NotFound(f"key {key_id} does not exist, or has ended")
            rules = {name: getattr(old, name) for name in KeyRules().columns()}
            if old.spend_cap_micros is not None:
                left = max(0, old.spend_cap_micros - old.spent_micros)
                kept = left // 2 if overlap_ms else 0
                rules["spend_cap_micros"] = left - kept
                old.spend_cap_micros = old.spent_micros + kept
            if overlap_ms:
                old.expires_ms = min(old.expires_ms or 2**62, now_ms() + overlap_ms)
            else:
                old.revoked_ms = now_ms()
            row = _new(old.account_id, old.name, secret, rules)
            session.add(row)
            session.flush()
            made = NewKey(row.id, secret)
        self.forget()
        return made

    def revoke(self, key_id: int, account_id: int | None = None) -> None:
        """For good, felt within `cache_seconds` by every process. Raises `NotFound`."""
        self._change(key_id, account_id, revoked_ms=func.coalesce(ApiKey.revoked_ms, now_ms()))

    def forget(self) -> None:
        """Looks every key up again at its next call."""
        self._cache.clear()

    def _change(self, key_id: int, account_id: int | None, **values: object) -> None:
        change = update(ApiKey).where(*_owned(key_id, account_id)).values(**values).returning(ApiKey.id)
        with self.database.write() as session:
            if session.scalar(change) is None:
                raise NotFound(f"key {key_id} does not exist")
        self.forget()


def _new(account_id: int, name: str, secret: str, rules: Mapping[str, object]) -> ApiKey:
    return ApiKey(
        account_id=account_id,
        name=name,
        sha256=_digest(secret),
        prefix=secret[:7],
        last_four=secret[-4:],
        is_enabled=True,
        created_ms=now_ms(),
        spent_micros=0,
        **rules,
    )


def _owned(key_id: int, account_id: int | None) -> list[ColumnElement[bool]]:
    return [ApiKey.id == key_id] + ([] if account_id is None else [ApiKey.account_id == account_id])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _caller(key: ApiKey, account: Account, keeps_images: bool | None) -> Caller:
    return Caller(
        key_id=key.id,
        account_id=account.id,
        email=account.email,
        is_enabled=key.is_enabled,
        account_is_enabled=account.is_enabled,
        revoked_ms=key.revoked_ms,
        expires_ms=key.expires_ms,
        kinds=None if key.kinds is None else frozenset(Kind(kind) for kind in key.kinds),
        networks=None if key.addresses is None else tuple(ip_network(each) for each in key.addresses),
        rate_per_second=key.rate_per_second,
        account_rate_per_second=account.rate_per_second,
        balance_micros=account.balance_micros,
        spend_cap_micros=key.spend_cap_micros,
        spent_micros=key.spent_micros,
        threshold=key.threshold,
        keeps_images=bool(keeps_images),
    )


def _name(name: str) -> str:
    cleaned = name.strip()
    seen = JOINERS.sub("", cleaned)  # they show in what they join: families of emoji, Persian words
    if not seen or len(cleaned) > MAX_NAME or not seen.isprintable():
        raise InvalidField("name", got=repr(name[:MAX_NAME]), allowed=f"1 to {MAX_NAME} printable characters")
    return cleaned


def _network(address: str) -> str:
    try:
        return str(ip_network(address.strip(), strict=False))
    except ValueError:
        allowed = "an IP address or network like 203.0.113.0/24"
        raise InvalidField("addresses", got=repr(address[:MAX_NAME]), allowed=allowed) from None


def _not_negative(field: str, value: int | None) -> None:
    if value is not None and value < 0:
        raise InvalidField(field, got=str(value), allowed="0 or more")
