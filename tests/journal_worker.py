"""A journal of its own: `python -m tests.journal_worker URL KEY CLIENTS CALLS` prints what it answers."""

import asyncio
import sys

from legible.db.session import Database
from legible.errors import InsufficientCredit
from legible.keys import KeyRing
from tests.money import charge, running


async def main(url: str, key: str, clients: int, calls: int) -> None:
    """Each client calls so many times; a line with the log id for each answer, as soon as there is one."""
    database = Database(url)
    caller = await KeyRing(database, 0).identify(key)

    async def client() -> None:
        for _ in range(calls):
            try:
                reply = await charge(journal, caller)
            except InsufficientCredit:
                return
            if reply.receipt is not None:
                print(reply.receipt.log_id, flush=True)

    async with running(database) as journal:
        await asyncio.gather(*(client() for _ in range(clients)))
    database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
