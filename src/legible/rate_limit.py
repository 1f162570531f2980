"""How often an account may call: a moving second, counted in memory or, for several servers, in Redis."""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from limits import RateLimitItemPerSecond, WindowStats
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter as SharedWindow
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter as LocalWindow

from legible.accounts import Caller
from legible.errors import RateLimited

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

REDIS_TIMEOUT_SECONDS = 0.5
REDIS_PAUSE_SECONDS = 2.0
CLOCK_STEP_SECONDS = 0.1
# By so much may the clock of another server be ahead. What Redis has from later than that is from before this
# server's clock was set back.
CLOCK_AHEAD_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Allowance:
    """`limit` calls a second, of which `remaining` are left; the window is free again in `reset_seconds`."""

    limit: int
    remaining: int
    reset_seconds: float


@dataclass(frozen=True, slots=True)
class Window:
    """Who is counted together, and how many calls a second that allows."""

    name: str
    limit: int

    @property
    def item(self) -> RateLimitItemPerSecond:
        return RateLimitItemPerSecond(self.limit)


class RateLimiter:
    """Counts the calls of an account, those of all its keys together. Without Redis, or while it is down,
    each process counts for itself."""

    def __init__(self, default_per_second: int, redis_url: str | None = None) -> None:
        self.default_per_second = default_per_second
        self.local = LocalWindow(MemoryStorage())
        self._pool = None if redis_url is None else _connections(redis_url)
        self.shared = None if self._pool is None else SharedWindow(_storage(self._pool))
        self._shared_again, self._is_alone = 0.0, False
        self._clock = _wall_clock()

    async def check(self, caller: Caller) -> None:
        """Counts a call. Raises `RateLimited` when it is one too many (which then does not count)."""
        for window in self.windows(caller):
            if not await self._hit(window.item, window.name):
                allowance = await self._left(window)
                raise RateLimited(limit=window.limit, retry_after=allowance.reset_seconds)

    async def allowance(self, caller: Caller) -> Allowance | None:
        """What is left where least is; None for a caller without a limit."""
        left = [await self._left(window) for window in self.windows(caller)]
        return min(left, key=lambda each: each.remaining, default=None)

    def windows(self, caller: Caller) -> list[Window]:
        """Where a call of this key counts: with its account's, and in its own where it has a lower rate. A
        higher one, or none (0), is the operator's to give, and counts apart."""
        account_rate = caller.account_rate_per_second
        account = Window(
            f"account {caller.account_id}", self.default_per_second if account_rate is None else account_rate
        )
        if caller.rate_per_second is None:
            counted = [account]
        else:
            own = Window(f"key {caller.key_id}", caller.rate_per_second)
            is_higher = account.limit > 0 and not 0 < own.limit <= account.limit
            counted = [own] if is_higher else [own, account]
        return [window for window in counted if window.limit > 0]

    async def _left(self, window: Window) -> Allowance:
        stats = await self._stats(window.item, window.name)
        reset_seconds = min(1.0, max(0.001, stats.reset_time - time.time()))
        return Allowance(window.limit, max(0, stats.remaining), reset_seconds)

    async def _hit(self, item: RateLimitItemPerSecond, key: str) -> bool:
        if self.shared is not None and time.monotonic() >= self._shared_again:
            try:
                is_allowed = await self.shared.hit(item, key)
                is_misdated = not is_allowed and await self._is_misdated(self.shared, item, key)
            except _redis_errors() as error:
                await self._pause(error)
            else:
                self._resume()
                if not is_misdated:
                    return is_allowed
        self._follow_clock()
        return self.local.hit(item, key)

    async def _is_misdated(self, shared: SharedWindow, item: RateLimitItemPerSecond, key: str) -> bool:
        """Whether calls to come fill the shared window: then this server counts for itself."""
        stats = await shared.get_window_stats(item, key)
        return stats.reset_time - time.time() > item.get_expiry() + CLOCK_AHEAD_SECONDS

    async def _stats(self, item: RateLimitItemPerSecond, key: str) -> WindowStats:
        if self.shared is not None and time.monotonic() >= self._shared_again:
            try:
                return await self.shared.get_window_stats(item, key)
            except _redis_errors() as error:
                await self._pause(error)
        return self.local.get_window_stats(item, key)

    async def _pause(self, error: Exception) -> None:
        """Redis is asked again only after a while, so that its timeouts are not paid by every call, and on
        new connections: those that idle belong to a server that is gone."""
        self._shared_again = time.monotonic() + REDIS_PAUSE_SECONDS
        if not self._is_alone:
            log.warning("Redis does not answer; each process counts its own rate limits", error=str(error))
        self._is_alone = True
        if self._pool is not None:
            with suppress(*_redis_errors()):
                await self._pool.disconnect(inuse_connections=False)

    def _resume(self) -> None:
        if self._is_alone:
            log.info("Redis answers again; rate limits are counted together")
        self._is_alone = False

    def _follow_clock(self) -> None:
        """After a clock was set back, past calls look like calls to come, and would fill the window."""
        clock = _wall_clock()
        if clock < self._clock - CLOCK_STEP_SECONDS:
            self.local.storage.reset()
        self._clock = clock

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()


def _wall_clock() -> float:
    """How far the clock on the wall is ahead of the one that nobody can set."""
    return time.time() - time.monotonic()


def _connections(url: str) -> "ConnectionPool":
    from redis.asyncio import ConnectionPool

    return ConnectionPool.from_url(
        url, socket_timeout=REDIS_TIMEOUT_SECONDS, socket_connect_timeout=REDIS_TIMEOUT_SECONDS
    )


def _storage(pool: "ConnectionPool") -> RedisStorage:
    return RedisStorage(
        "async+redis://localhost:6379",  # must be said, and is not used: where it is, the pool knows
        implementation="redispy",
        key_prefix="legible",
        connection_pool=pool,  # type: ignore[arg-type]  # documented, but missing in its types
    )


def _redis_errors() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return RedisError, OSError
