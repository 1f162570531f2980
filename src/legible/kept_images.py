"""The pictures of calls, for accounts that asked to keep them; for others a picture is gone with its call."""

from collections.abc import Sequence

import structlog
from sqlalchemy import delete

from legible.clock import DAY_MS, now_ms
from legible.db.session import Database
from legible.db.tables import KeptImage

log = structlog.get_logger()


class KeptImages:
    """Written after a call is in the log, so that a picture that cannot be kept never costs an answer."""

    def __init__(self, database: Database, days: int) -> None:
        self.database, self.days = database, days

    async def keep(self, call_id: int, images: Sequence[bytes]) -> None:
        """Keeps the pictures; when that fails they are dropped, and the log says why."""
        try:
            await self.database.run(lambda: self._write(call_id, images))
        except Exception:
            # The answer is paid for by now: whatever fails here must not cost it.
            log.exception("the images of a call could not be kept", call_id=call_id)

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
