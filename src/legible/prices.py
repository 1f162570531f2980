"""The price list: the types that callers may name, with kind and price, edited by administrators."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from legible.db.session import Database, upsert
from legible.db.tables import AuditEvent, CallType
from legible.errors import InvalidField, UnknownType
from legible.money import LARGEST_MICROS
from legible.tasks import Kind

TYPE_IDS = range(1, 2**31)


@dataclass(frozen=True, slots=True)
class PricedType:
    """A row of the price list; `price_micros` is what one answered call costs, in millionths of a yuan."""

    id: int
    kind: Kind
    name_zh: str
    name_en: str
    price_micros: int
    is_enabled: bool = True


class PriceList:
    """`all`, `find` and `price` are for calls and answer from a copy; `rows` and `save` block."""

    def __init__(self, database: Database, cache_seconds: float) -> None:
        self.database, self.cache_seconds = database, cache_seconds
        self._known: Mapping[int, PricedType] = {}
        self._until = 0.0

    async def all(self) -> Mapping[int, PricedType]:
        """The enabled types by id, at most `cache_seconds` old."""
        now = time.monotonic()
        if now >= self._until:
            rows = await self.database.run(self.rows)
            self._known = {row.id: row for row in rows if row.is_enabled}
            self._until = now + self.cache_seconds
        return self._known

    async def find(self, type_id: int) -> PricedType:
        """Raises `UnknownType`, which lists the known ones."""
        return pick(await self.all(), type_id)

    async def price(self, type_id: int) -> int:
        """What an answered call costs, in micros. Raises `UnknownType`."""
        return (await self.find(type_id)).price_micros

    def rows(self) -> list[PricedType]:
        """Every type, disabled ones too, by id."""
        with self.database.read() as session:
            rows = session.scalars(select(CallType).order_by(CallType.id)).all()
        return [
            PricedType(row.id, Kind(row.kind), row.name_zh, row.name_en, row.price_micros, row.is_enabled)
            for row in rows
        ]

    def save(self, row: PricedType, audit: AuditEvent | None = None) -> None:
        """Adds the type, or replaces the one of that id; `audit` is written with it.

        Raises `InvalidField`.
        """
        if row.id not in TYPE_IDS:
            raise InvalidField("type", got=str(row.id), allowed=f"1 to {TYPE_IDS.stop - 1}")
        if not 0 <= row.price_micros <= LARGEST_MICROS:
            raise InvalidField(
                "price", got=f"{row.price_micros} micros", allowed=f"0 to {LARGEST_MICROS} micros"
            )
        with self.database.write() as session:
            values = {
                "kind": row.kind.value,
                "name_zh": row.name_zh,
                "name_en": row.name_en,
                "price_micros": row.price_micros,
                "is_enabled": row.is_enabled,
            }
            upsert(session, CallType, {"id": row.id}, values)
            if audit is not None:
                session.add(audit)
        self._until = 0.0


def pick(types: Mapping[int, PricedType], type_id: int) -> PricedType:
    """The type of that id. Raises `UnknownType`, which lists the known ones."""
    if type_id not in types:
        known = ", ".join(
            f"{row.id} ({row.name_en})" for row in sorted(types.values(), key=lambda row: row.id)
        )
        raise UnknownType("type", got=str(type_id)[:20], allowed=known)
    return types[type_id]
