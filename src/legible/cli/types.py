"""`legible types`: the price list."""

from typing import TYPE_CHECKING, Any

from legible.cli.common import Data, DatabaseUrl, Json, open_database, print_json, print_table, settings
from legible.money import yuan

if TYPE_CHECKING:
    from legible.prices import PricedType


def types(data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the types that callers may name, and what an answered call of each costs."""
    from legible.prices import PriceList

    with open_database(data, database) as opened:
        rows = PriceList(opened, settings().key_cache_seconds).rows()
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    print_table(
        ["type>", "kind", "name", "名称", "price ¥>", "state"],
        [
            (
                row.id,
                row.kind,
                row.name_en,
                row.name_zh,
                yuan(row.price_micros),
                "offered" if row.is_enabled else "off",
            )
            for row in rows
        ],
        empty="The price list is empty.",
    )


def _as_json(row: "PricedType") -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "name": row.name_en,
        "name_zh": row.name_zh,
        "price": yuan(row.price_micros),
        "is_enabled": row.is_enabled,
    }
