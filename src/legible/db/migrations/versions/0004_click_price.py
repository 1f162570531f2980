"""Objects to click have a type, so that their calls have a price."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SEED = [
    {"id": 60200, "kind": "click", "name_zh": "点选识别", "name_en": "click", "price_micros": 10_000},
]


def upgrade() -> None:
    call_type = sa.table(
        "call_type",
        sa.column("id", sa.Integer()),
        sa.column("kind", sa.String()),
        sa.column("name_zh", sa.String()),
        sa.column("name_en", sa.String()),
        sa.column("price_micros", sa.BigInteger()),
        sa.column("is_enabled", sa.Boolean()),
    )
    op.bulk_insert(call_type, [row | {"is_enabled": True} for row in SEED])


def downgrade() -> None:
    op.execute("DELETE FROM call_type WHERE id = 60200")
