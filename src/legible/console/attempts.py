"""How often somebody may try a password, a code or an example, counted by address, e-mail or account."""

from ipaddress import IPv6Network, ip_address

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

LOG_IN_BY_ADDRESS = parse("30/5 minutes")
# From one address; from all of them together many more, or whoever knows an e-mail could lock its owner out.
LOG_IN_BY_EMAIL = parse("10/15 minutes")
LOG_IN_BY_EMAIL_ANYWHERE = parse("200/15 minutes")
SIGN_UP_BY_ADDRESS = parse("10/hour")
REDEEM_BY_ACCOUNT = parse("10/10 minutes")
DEMO_BY_ADDRESS = parse("60/minute")
MOST_NAMES = 10_000  # from here on, those that have nothing counted go: `limits` keeps every name for ever


class Attempts:
    """Counts in this process, which is enough against guessing: N servers allow N times a small number."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._window = MovingWindowRateLimiter(self._storage)

    def allow(self, item: RateLimitItem, who: str) -> bool:
        """Counts one attempt; False when it is one too many."""
        if len(self._storage.events) > MOST_NAMES:
            self._forget_idle()
        return self._window.hit(item, whose(who))

    def forget(self, item: RateLimitItem, who: str) -> None:
        """A success: earlier failures no longer count."""
        self._window.clear(item, whose(who))

    def _forget_idle(self) -> None:
        for name in [name for name, attempts in self._storage.events.copy().items() if not attempts]:
            self._storage.clear(name)


def whose(who: str) -> str:
    """Of an address of IPv6 the first half: the other half is its owner's to choose."""
    try:
        address = ip_address(who)
    except ValueError:
        return who.lower()
    return str(IPv6Network((address, 64), strict=False)) if address.version == 6 else who
