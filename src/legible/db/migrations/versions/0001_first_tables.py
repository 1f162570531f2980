"""The first tables, and the four types that captchaapi's clients send, at that vendor's prices."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SEED = [
    {
        "id": 10200,
        "kind": "slider",
        "name_zh": "通用滑块",
        "name_en": "universal slider",
        "price_micros": 10_000,
    },
    {"id": 50100, "kind": "arithmetic", "name_zh": "计算题", "name_en": "arithmetic", "price_micros": 5_000},
    {
        "id": 50200,
        "kind": "text",
        "name_zh": "通用数英",
        "name_en": "general letters and digits",
        "price_micros": 1_000,
    },
    {
        "id": 10001,
        "kind": "text",
        "name_zh": "图像识别",
        "name_en": "image recognition",
        "price_micros": 50_000,
    },
]


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("balance_micros", sa.BigInteger(), nullable=False),
        sa.Column("rate_per_second", sa.Integer(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("balance_micros >= 0", name=op.f("ck_account_balance_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("email", name=op.f("uq_account_email")),
    )
    call_type = op.create_table(
        "call_type",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name_zh", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.CheckConstraint("price_micros >= 0", name=op.f("ck_call_type_price_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_type")),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("last_four", sa.String(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("spend_cap_micros", sa.BigInteger(), nullable=True),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=True),
        sa.Column("addresses", sa.JSON(), nullable=True),
        sa.Column("rate_per_second", sa.Integer(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_used_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_api_key_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_key_sha256")),
    )
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_key_account_id"), ["account_id"], unique=False)

    op.create_table(
        "call",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("log_id", sa.String(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("dialect", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("type_id", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("result", sa.String(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("balance_micros", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("cost_micros >= 0", name=op.f("ck_call_cost_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_call_account_id_account")),
        sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=op.f("fk_call_key_id_api_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call")),
        sa.UniqueConstraint("log_id", name=op.f("uq_call_log_id")),
        sa.UniqueConstraint("trace_id", name=op.f("uq_call_trace_id")),
    )
    with op.batch_alter_table("call", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_call_account_id_id"), ["account_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_call_created_ms"), ["created_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_call_key_id"), ["key_id"], unique=False)

    op.create_table(
        "entry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("balance_micros", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("call_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("created_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_entry_account_id_account")),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name=op.f("fk_entry_call_id_call")),
        sa.ForeignKeyConstraint(["created_by"], ["account.id"], name=op.f("fk_entry_created_by_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
        sa.UniqueConstraint("call_id", name=op.f("uq_entry_call_id")),
    )
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_entry_account_id_id"), ["account_id", "id"], unique=False)

    op.create_table(
        "stored_reply",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("call_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_stored_reply_account_id_account")
        ),
        sa.ForeignKeyConstraint(["call_id"], ["call.id"], name=op.f("fk_stored_reply_call_id_call")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_reply")),
        sa.UniqueConstraint("account_id", "token", name=op.f("uq_stored_reply_account_id_token")),
    )
    with op.batch_alter_table("stored_reply", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stored_reply_created_ms"), ["created_ms"], unique=False)

    op.bulk_insert(call_type, [{**row, "is_enabled": True} for row in SEED])


def downgrade() -> None:
    with op.batch_alter_table("stored_reply", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_stored_reply_created_ms"))

    op.drop_table("stored_reply")
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_entry_account_id_id"))

    op.drop_table("entry")
    with op.batch_alter_table("call", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_call_key_id"))
        batch_op.drop_index(batch_op.f("ix_call_created_ms"))
        batch_op.drop_index(batch_op.f("ix_call_account_id_id"))

    op.drop_table("call")
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_key_account_id"))

    op.drop_table("api_key")
    op.drop_table("call_type")
    op.drop_table("account")
