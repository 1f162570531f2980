"""The schema, on one page. Amounts are integer micros (1e-6 yuan); times are integer milliseconds since 1970,
UTC, so that SQLite, PostgreSQL and the drivers underneath read and write the same numbers."""

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite counts up by itself only in a column that is spelled INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# The address of an account of that id that was deleted; and until all that its calls said is forgotten.
NOBODY, LEAVING = "deleted-{}@invalid", "deleting-{}@invalid"


class Account(Base):
    """A user and their prepaid balance: the sum of the account's entries, always, and never negative."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("balance_micros >= 0", name="balance_not_negative"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)  # lower case
    password_hash: Mapped[str | None]
    is_admin: Mapped[bool] = mapped_column(default=False)
    is_enabled: Mapped[bool] = mapped_column(default=True)
    balance_micros: Mapped[int] = mapped_column(BigInteger, default=0)
    rate_per_second: Mapped[int | None]  # None: the setting's default; 0: no limit
    created_ms: Mapped[int] = mapped_column(BigInteger)

    @property
    def is_deleted(self) -> bool:
        return self.email in (NOBODY.format(self.id), LEAVING.format(self.id))


class ApiKey(Base):
    """A key to the API: only its SHA-256 is kept, and its first and last characters to know it by."""

    __tablename__ = "api_key"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    name: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    prefix: Mapped[str]  # "lg_AbCd"
    last_four: Mapped[str]
    is_enabled: Mapped[bool] = mapped_column(default=True)
    revoked_ms: Mapped[int | None] = mapped_column(BigInteger)
    expires_ms: Mapped[int | None] = mapped_column(BigInteger)
    spend_cap_micros: Mapped[int | None] = mapped_column(BigInteger)
    spent_micros: Mapped[int] = mapped_column(BigInteger, default=0)
    kinds: Mapped[list[str] | None] = mapped_column(JSON)  # None: all
    addresses: Mapped[list[str] | None] = mapped_column(JSON)  # IP networks, None: all
    rate_per_second: Mapped[int | None]  # None: the account's; 0: no limit
    threshold: Mapped[float | None]  # 0-1: what is answered less surely is refused; None: the recognizers'
    created_ms: Mapped[int] = mapped_column(BigInteger)
    last_used_ms: Mapped[int | None] = mapped_column(BigInteger)


class CallType(Base):
    """A row of the price list: the `type` of captchaapi's clients. Administrators edit it."""

    __tablename__ = "call_type"
    __table_args__ = (CheckConstraint("price_micros >= 0", name="price_not_negative"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kind: Mapped[str]
    name_zh: Mapped[str]
    name_en: Mapped[str]
    price_micros: Mapped[int] = mapped_column(BigInteger)
    is_enabled: Mapped[bool] = mapped_column(default=True)


class Call(Base):
    """One request that carried a known key, answered or refused."""

    __tablename__ = "call"
    __table_args__ = (
        Index(None, "account_id", "id"),
        CheckConstraint("cost_micros >= 0", name="cost_not_negative"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    log_id: Mapped[str] = mapped_column(unique=True)  # LOG + yyyymmdd + the id in six digits or more
    trace_id: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    key_id: Mapped[int] = mapped_column(ForeignKey("api_key.id"), index=True)
    dialect: Mapped[str]  # acedata, captchaapi, createtask, v1
    kind: Mapped[str | None]  # None: refused before the kind was known
    type_id: Mapped[int | None]
    outcome: Mapped[str]  # "answered", or the code of the refusal
    status: Mapped[int]  # HTTP status of the reply
    result: Mapped[str | None]  # what was read, or the sentence of the refusal
    detail: Mapped[dict[str, object] | None] = mapped_column(JSON)  # the whole answer
    confidence: Mapped[float | None]
    cost_micros: Mapped[int] = mapped_column(BigInteger, default=0)
    balance_micros: Mapped[int] = mapped_column(BigInteger)  # after the call
    duration_ms: Mapped[int]
    address: Mapped[str | None]
    created_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class Entry(Base):
    """The ledger: every change of a balance. Rows are only added; a mistake is mended by another row."""

    __tablename__ = "entry"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    amount_micros: Mapped[int] = mapped_column(BigInteger)  # positive: grant or top-up; negative: a call
    balance_micros: Mapped[int] = mapped_column(BigInteger)  # after the entry
    kind: Mapped[str]  # "grant", "topup", "call", "correction"
    reason: Mapped[str]
    call_id: Mapped[int | None] = mapped_column(ForeignKey("call.id"), unique=True)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    created_ms: Mapped[int] = mapped_column(BigInteger)


TASK = "task:"


class StoredReply(Base):
    """A reply that is kept 24 hours: a charged one for replay byte for byte, or that of a task for polling.

    `token` is "idempotency:<key>" or "task:<id>"; `body` is None while an asynchronous task is still running.
    """

    __tablename__ = "stored_reply"
    __table_args__ = (UniqueConstraint("account_id", "token"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    token: Mapped[str]
    request_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    call_id: Mapped[int | None] = mapped_column(ForeignKey("call.id"))
    status: Mapped[int | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class WebSession(Base):
    """A browser that is logged in to the console; only the SHA-256 of its cookie is kept."""

    __tablename__ = "web_session"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    address: Mapped[str | None]
    browser: Mapped[str]  # its User-Agent
    created_ms: Mapped[int] = mapped_column(BigInteger)
    seen_ms: Mapped[int] = mapped_column(BigInteger)


class Preference(Base):
    """What an account chose in the console; without a row, the defaults hold."""

    __tablename__ = "preference"

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True, autoincrement=False)
    language: Mapped[str | None]
    time_zone: Mapped[str | None]
    low_balance_micros: Mapped[int | None] = mapped_column(BigInteger)
    keeps_images: Mapped[bool] = mapped_column(default=False)


class TopUpCode(Base):
    """A code that is worth credit once; only its SHA-256 is kept, and its last characters to know it by."""

    __tablename__ = "top_up_code"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    last_four: Mapped[str]
    amount_micros: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str]
    created_by: Mapped[int] = mapped_column(ForeignKey("account.id"))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int | None] = mapped_column(BigInteger)
    redeemed_by: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    redeemed_ms: Mapped[int | None] = mapped_column(BigInteger)


class AuditEvent(Base):
    """What an administrator did in the console, when and to whom. Rows are only added."""

    __tablename__ = "audit_event"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    admin_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    action: Mapped[str]  # "top-up", "freeze", ...
    subject: Mapped[str]  # the user's e-mail, the type's id, ...
    detail: Mapped[dict[str, object]] = mapped_column(JSON)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class WrongAnswer(Base):
    """A user's word that an answer was wrong, and what it should have been."""

    __tablename__ = "wrong_answer"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("call.id"), unique=True)
    expected: Mapped[str] = mapped_column(default="")
    created_ms: Mapped[int] = mapped_column(BigInteger)


class KeptImage(Base):
    """A picture of a call, kept only for accounts that asked for it, and only as long as the setting says."""

    __tablename__ = "kept_image"
    __table_args__ = (UniqueConstraint("call_id", "place"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("call.id"))
    place: Mapped[int]  # 0 for the first picture of the call
    image: Mapped[bytes] = mapped_column(LargeBinary)
    created_ms: Mapped[int] = mapped_column(BigInteger, index=True)
