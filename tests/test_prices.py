"""The price list: the vendor's four types at first, edited by administrators, felt within a second."""

from dataclasses import replace

import pytest

from legible.db.session import Database
from legible.errors import InvalidField, UnknownType
from legible.prices import PricedType, PriceList
from legible.tasks import Kind

pytestmark = pytest.mark.anyio


@pytest.fixture
def prices(database: Database) -> PriceList:
    return PriceList(database, cache_seconds=60)


async def test_the_vendors_types_are_there_at_the_vendors_prices(prices: PriceList) -> None:
    types = {row.id: (row.kind, row.name_zh, row.price_micros) for row in (await prices.all()).values()}
    assert types == types | {
        10200: (Kind.SLIDER, "通用滑块", 10_000),
        50100: (Kind.ARITHMETIC, "计算题", 5_000),
        50200: (Kind.TEXT, "通用数英", 1_000),
        10001: (Kind.TEXT, "图像识别", 50_000),
    }


async def test_every_kind_has_a_price(prices: PriceList) -> None:
    kinds = {row.kind for row in (await prices.all()).values()}
    assert kinds >= {Kind.TEXT, Kind.ARITHMETIC, Kind.SLIDER, Kind.GRID, Kind.CLICK}


@pytest.mark.parametrize("type_id", [0, -1, 50201, 10**30])
async def test_an_unknown_type_is_told_the_known_ones(prices: PriceList, type_id: int) -> None:
    with pytest.raises(
        UnknownType, match=r"allowed: 10001 \(image recognition\), 10200 \(universal slider\)"
    ):
        await prices.price(type_id)


async def test_a_changed_price_counts_at_once_here_and_soon_elsewhere(prices: PriceList) -> None:
    elsewhere = PriceList(prices.database, cache_seconds=0)
    row = await prices.find(50200)
    prices.save(replace(row, price_micros=2_000))
    assert await prices.price(50200) == await elsewhere.price(50200) == 2_000


async def test_a_disabled_type_is_unknown_to_callers_and_known_to_administrators(prices: PriceList) -> None:
    prices.save(replace(await prices.find(50200), is_enabled=False))
    with pytest.raises(UnknownType):
        await prices.price(50200)
    assert 50200 in [row.id for row in prices.rows()]


async def test_a_new_type_can_be_sold(prices: PriceList) -> None:
    prices.save(PricedType(70000, Kind.GRID, "九宫格", "grid", 20_000))
    assert (await prices.find(70000)).kind is Kind.GRID


@pytest.mark.parametrize(("type_id", "price"), [(0, 1), (2**31, 1), (5, -1), (5, 10**16)])
def test_a_type_out_of_range_is_refused(prices: PriceList, type_id: int, price: int) -> None:
    with pytest.raises(InvalidField):
        prices.save(PricedType(type_id, Kind.TEXT, "x", "x", price))
