"""Rate limits: exact within a second, by account, shared through a real Redis, and there when it is gone."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from legible.errors import RateLimited
from legible.rate_limit import RateLimiter
from tests import servers
from tests.test_accounts import CALLER

pytestmark = pytest.mark.anyio


async def allowed(limiter: RateLimiter, times: int, **change: object) -> int:
    """How many of so many calls at once are let through."""
    caller = replace(CALLER, **change)  # type: ignore[arg-type]
    passed = 0
    for _ in range(times):
        try:
            await limiter.check(caller)
        except RateLimited:
            continue
        passed += 1
    return passed


@pytest.fixture(params=["memory", "redis"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[RateLimiter]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    limiter = RateLimiter(10, url)
    if limiter.shared is not None:
        await limiter.shared.storage.reset()
    yield limiter
    await limiter.close()


async def test_the_eleventh_call_in_a_second_is_refused_and_told_when_to_come_back(
    limiter: RateLimiter,
) -> None:
    for _ in range(10):
        await limiter.check(CALLER)
    with pytest.raises(RateLimited) as refusal:
        await limiter.check(CALLER)
    assert refusal.value.limit == 10
    assert 0 < refusal.value.retry_after <= 1
    await asyncio.sleep(1.05)
    await limiter.check(CALLER)


async def test_the_keys_of_an_account_are_counted_together(limiter: RateLimiter) -> None:
    assert await allowed(limiter, 6, account_id=2, key_id=2) == 6
    assert await allowed(limiter, 6, account_id=2, key_id=3) == 4
    assert await allowed(limiter, 6, account_id=3, key_id=4) == 6


async def test_the_accounts_own_rate_is_for_all_its_keys(limiter: RateLimiter) -> None:
    assert await allowed(limiter, 30, account_id=4, key_id=5, account_rate_per_second=20) == 20
    assert await allowed(limiter, 30, account_id=4, key_id=6, account_rate_per_second=20) == 0
    assert await allowed(limiter, 50, account_id=5, key_id=7, account_rate_per_second=0) == 50


async def test_a_lower_rate_of_a_key_counts_beside_the_accounts(limiter: RateLimiter) -> None:
    assert await allowed(limiter, 8, account_id=6, key_id=8, rate_per_second=3) == 3
    assert await allowed(limiter, 20, account_id=6, key_id=9) == 7
    assert await allowed(limiter, 8, account_id=6, key_id=10, rate_per_second=3) == 0


async def test_a_higher_rate_of_a_key_or_none_counts_apart(limiter: RateLimiter) -> None:
    assert await allowed(limiter, 20, account_id=7, key_id=11) == 10
    assert await allowed(limiter, 50, account_id=7, key_id=12, rate_per_second=30) == 30
    assert await allowed(limiter, 50, account_id=7, key_id=13, rate_per_second=0) == 50
    assert await limiter.allowance(replace(CALLER, rate_per_second=0)) is None


async def test_the_allowance_says_what_is_left(limiter: RateLimiter) -> None:
    await allowed(limiter, 4, account_id=8)
    allowance = await limiter.allowance(replace(CALLER, account_id=8))
    assert allowance is not None
    assert (allowance.limit, allowance.remaining) == (10, 6)
    assert 0 < allowance.reset_seconds <= 1


async def test_two_servers_count_together_through_redis(redis_url: str) -> None:
    one, other = RateLimiter(10, redis_url), RateLimiter(10, redis_url)
    passed = [await allowed(each, 3, account_id=17) for each in (one, other, one, other)]
    assert sum(passed) == 10
    await one.close()
    await other.close()


async def test_without_redis_each_server_counts_for_itself_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warnings: list[str] = []
    # Where log lines go is set once for the whole process, by whichever test comes first.
    recorder = SimpleNamespace(
        warning=lambda event, **_: warnings.append(event), info=lambda event, **_: warnings.append(event)
    )
    monkeypatch.setattr("legible.rate_limit.log", recorder)
    monkeypatch.setattr("legible.rate_limit.REDIS_PAUSE_SECONDS", 0.2)
    with servers.redis_server() as url:
        limiter = RateLimiter(10, url)
        assert await allowed(limiter, 5, account_id=18) == 5
    assert await allowed(limiter, 20, account_id=18) == 10
    await asyncio.sleep(0.25)
    await allowed(limiter, 1, account_id=18)  # asks Redis once more, in vain
    assert [line.partition(";")[0] for line in warnings] == ["Redis does not answer"]
    await limiter.close()


@pytest.mark.parametrize("before", [12, 6], ids=["full", "in the middle of a window"])
async def test_a_clock_that_is_set_back_locks_nobody_out(
    limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    clock = time.time
    assert await allowed(limiter, before, account_id=110) == min(before, 10)
    monkeypatch.setattr(time, "time", lambda: clock() - 3600)
    assert 10 <= await allowed(limiter, 30, account_id=110) <= 14


async def test_servers_whose_clocks_differ_allow_no_more_than_each_its_own(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = 0.0
    clock = SimpleNamespace(time=lambda: time.time() - behind, monotonic=time.monotonic)
    monkeypatch.setattr("legible.rate_limit.time", clock)
    monkeypatch.setattr("limits.aio.storage.redis.redispy.time", clock)
    limiters, passed, began = [RateLimiter(10, redis_url), RateLimiter(10, redis_url)], 0, time.monotonic()
    for turn in range(120):
        behind = 3.0 * (turn % 2)
        passed += await allowed(limiters[turn % 2], 1, account_id=113)
    seconds = time.monotonic() - began
    assert 10 <= passed <= 20 * (1 + seconds)
    for each in limiters:
        await each.close()


async def test_a_server_whose_clock_is_a_little_behind_counts_what_others_counted(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, clock = RateLimiter(10, redis_url), time.time
    assert await allowed(limiter, 10, account_id=112) == 10
    monkeypatch.setattr(time, "time", lambda: clock() - 0.9)
    assert await allowed(limiter, 2, account_id=112) == 0
    await limiter.close()


async def test_a_limiter_that_lost_redis_comes_back_to_it(redis_url: str) -> None:
    limiter = RateLimiter(10, redis_url)
    await limiter._pause(ConnectionError("gone"))
    limiter._shared_again = 0
    assert await allowed(limiter, 12, account_id=19) == 10
    assert not limiter._is_alone
    other = RateLimiter(10, redis_url)
    assert await allowed(other, 1, account_id=19) == 0
    await limiter.close()
    await other.close()
