"""The pictures of calls, for accounts that asked to keep them; for others a picture is gone with its call."""

from collections import Counter
from collections.abc import Sequence

import structlog
from sqlalchemy import delete

from legible.clock import DAY_MS, now_ms
from legible.db.session import Database
from legible.db.tables import KeptImage

# Of an account in a day, kept by one process: unreadable calls are free, and must not fill the disk.
MOST_MIB_A_DAY = 200

log = structlog.get_logger()


class KeptImages:
    """Written after a call is in the log, so that a picture that cannot be kept never costs an answer."""

    def __init__(self, database: Database, days: int) -> None:
        self.database, self.days = database, days
        self._today, self._kept = 0, Counter[int]()

    async def keep(self, account_id: int, call_id: int, images: Sequence[bytes]) -> None:
        """Keeps the pictures; when that fails, or the account has had its share of today, they are dropped.
        The log says why."""
        if not self._has_room(account_id, sum(map(len, images))):
            log.warning("the images of a call were not kept: enough for today", account_id=account_id)
            return
        try:
            await self.database.run(lambda: self._write(call_id, images))
        except Exception:
            # The answer is paid for by now: whatever fails here must not cost it.
            log.exception("the images of a call could not be kept", call_id=call_id)

    def _has_room(self, account_id: int, size: int) -> bool:
        today = now_ms() // DAY_MS
        if today != self._today:
            self._today = today
            self._kept.clear()
        if self._kept[account_id] + size > MOST_MIB_A_DAY * 1024**2:
            return False
        self._kept[account_id] += size
        return True

    def _write(self, call_id: int, images: Sequence[bytes]) -> None:
        now = now_ms()
        with self.database.write() as session:
            session.add_all(
                KeptImage(call_id=call_id, place=place, image=image, created_ms=now)
                for place, image in enumerate(images)
            )

    def purge(self) -> int:
        """Deletes what is older than promised; returns how many. Blocks for the database."""
        with self.database.write() as session:
            old = delete(KeptImage).where(KeptImage.created_ms < now_ms() - self.days * DAY_MS)
            return session.execute(old).rowcount  # type: ignore[attr-defined, no-any-return]
