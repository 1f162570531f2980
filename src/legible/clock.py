"""The time as the tables keep it, and as programs read it."""

import time
from datetime import UTC, datetime

DAY_MS = 24 * 3_600_000


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def iso(milliseconds: int) -> str:
    """Milliseconds since 1970 as ISO 8601, UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
