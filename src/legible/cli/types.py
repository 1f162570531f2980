"""`legible types`: the price list."""

from dataclasses import asdict

from legible.cli.common import Data, DatabaseUrl, Json, open_database, print_json, print_table, settings, yuan


def types(data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the types that callers may name, and what an answered call of each costs."""
    from legible.prices import PriceList

    with open_database(data, database) as opened:
        rows = PriceList(opened, settings().key_cache_seconds).rows()
    if as_json:
        print_json([asdict(row) for row in rows])
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
