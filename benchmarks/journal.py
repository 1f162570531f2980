"""How many durable billing commits a second the journal makes, without inference.

`python benchmarks/journal.py`. For 1, 8 and 64 clients, each asking again as soon as it is answered: commits
a second, latency, and this process's CPU a call (that of a PostgreSQL server is not in it).
"""

import argparse
import asyncio
import tempfile
import time
import uuid
from pathlib import Path

from legible import ledger
from legible.accounts import Accounts, Caller
from legible.db.session import Database, upgrade
from legible.journal import Draft, Journal, Receipt
from legible.keys import KeyRing
from legible.tasks import Answer, Character, Kind, TextAnswer

CLIENTS = (1, 8, 64)
PRICE_MICROS = 1000
ANSWER = TextAnswer("7364", 0.98, tuple(Character(each, 0.99) for each in "7364"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--database", help="PostgreSQL or SQLite URL (an empty one); default: SQLite in a new folder"
    )
    parser.add_argument("--folder", type=Path, help="where the new folder is made; default: the system's")
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        url = arguments.database or f"sqlite:///{folder}/journal.db"
        upgrade(url)
        database = Database(url)
        print(f"{database.url.get_backend_name()}, {arguments.seconds:g} s each")
        print(f"{'clients':>8} {'commits/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms/call':>12}")
        for clients in CLIENTS:
            asyncio.run(measure(database, clients, arguments.seconds))
        audit = ledger.check(database)
        print(f"ledger: {audit.entries} entries, {len(audit.problems)} problems")
        database.close()


async def measure(database: Database, clients: int, seconds: float) -> None:
    """Prints one row."""
    caller = await new_caller(database)
    journal = Journal(database)
    journal.start()
    latencies: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(journal, caller, began + seconds, latencies) for _ in range(clients)))
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    await journal.stop()
    latencies.sort()
    p50, p99 = (1000 * latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    calls = len(latencies)
    print(f"{clients:>8} {calls / elapsed:>10.0f} {p50:>8.1f} {p99:>8.1f} {1000 * cpu / calls:>12.3f}")


async def client(journal: Journal, caller: Caller, until: float, latencies: list[float]) -> None:
    """One call after the other until the time is up."""
    while (began := time.perf_counter()) < until:
        draft = Draft(
            "v1", str(uuid.uuid4()), "127.0.0.1", caller, time.time_ns() // 1_000_000, (Kind.TEXT, 50200)
        )
        await journal.charge(draft, ANSWER, PRICE_MICROS, render)
        latencies.append(time.perf_counter() - began)


def render(answer: Answer, receipt: Receipt) -> bytes:
    return receipt.log_id.encode()


async def new_caller(database: Database) -> Caller:
    """A key with more credit than can be spent here."""
    account = Accounts(database, 10**12).create(f"{uuid.uuid4().hex}@example.com")
    keys = KeyRing(database, 0)
    return await keys.identify(keys.create(account.id, "benchmark").secret)


if __name__ == "__main__":
    main()
