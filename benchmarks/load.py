"""The service under a bounded load on 127.0.0.1: CPU a billed call, calls a second, latency, start, memory.

`make bench k=load args="--peer-python /path/to/python"`. Starts a server of its own on a fresh database and
drives it from another process, checks that every answer was charged, prints a table and the rows for the
page of benchmarks, and stops by itself in about two minutes. The peer is ddddocr behind a minimal FastAPI,
in an environment of its own: `pip install ddddocr==1.6.1 fastapi uvicorn[standard]`. Linux only: it reads
/proc.
"""

import argparse
import base64
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
LEGIBLE = Path(sys.executable).parent / "legible"
CLIENTS = (1, 8, 64)
WARM_UP_SECONDS = 1.0
START_SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")

screen = Console(width=None if sys.stdout.isatty() else 140)


@dataclass(frozen=True)
class Server:
    """A server that is up; `ready_seconds` is from its start until /readyz agrees, models loaded."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    ready_seconds: float

    @property
    def cpu_seconds(self) -> float:
        """User and system time of the process, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory_mb(self) -> float:
        """What it occupies now, in millions of bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


@dataclass(frozen=True)
class Row:
    """One server under one number of clients."""

    server: str
    clients: int
    calls: int
    calls_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    memory_mb: float

    def cells(self) -> list[str]:
        return [
            self.server,
            str(self.clients),
            str(self.calls),
            f"{self.calls_per_second:.0f}",
            f"{self.p50_ms:.1f}",
            f"{self.p99_ms:.1f}",
            f"{self.cpu_ms:.2f}",
            f"{self.memory_mb:.0f}",
        ]


COLUMNS = ("server", "clients", "calls", "calls/s", "p50 ms", "p99 ms", "CPU ms/call", "memory MB")


def main() -> None:
    arguments = read_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows, ready_seconds = measure_legible(Path(folder), arguments)
        if arguments.peer_python:
            rows += measure_peer(Path(folder), arguments)
    report(rows, ready_seconds, measure_commits(arguments))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sample = HERE.parent / "src" / "legible" / "samples" / "text.png"
    parser.add_argument("--picture", type=Path, default=sample, help="what every call sends")
    parser.add_argument("--seconds", type=float, default=5, help="of load, for each number of clients")
    parser.add_argument(
        "--folder", type=Path, help="where the database's folder is made; default: the system's"
    )
    parser.add_argument(
        "--peer-python", help="the Python of an environment with ddddocr, fastapi and uvicorn"
    )
    return parser.parse_args()


def measure_legible(folder: Path, arguments: argparse.Namespace) -> tuple[list[Row], float]:
    """The rows of our own service, and its seconds to ready on a database that is there."""
    command = [LEGIBLE, "serve", "--port", "0", "--data", folder]
    with running("Legible", command, folder):
        key = new_key(folder)
    with running("Legible", command, folder) as server:
        rows = [charged(server, key, clients, arguments) for clients in CLIENTS]
        return rows, server.ready_seconds


def charged(server: Server, key: str, clients: int, arguments: argparse.Namespace) -> Row:
    """A row whose calls are compared with what the balance went down by."""
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"}) as client:
        prices = {row["id"]: Decimal(row["price"]) for row in client.get("/v1/types").json()["types"]}
        before = balance(client)
        row, answered = measure(server, "/captcha/recognition/image2text", key, clients, arguments)
        paid = (before - balance(client)) / prices[50200]
    if paid != answered:
        sys.exit(f"{answered} calls were answered, but {paid} were charged: that is a bug.")
    return row


def balance(client: httpx.Client) -> Decimal:
    return Decimal(client.get("/v1/balance").json()["balance"])


def new_key(folder: Path) -> str:
    """A key without a rate limit, on an account that the load cannot empty."""
    email = "load@example.com"
    run_legible("user", "add", email, "--data", folder)
    run_legible("user", "topup", email, "1000000", "--reason", "benchmark", "--data", folder)
    made = run_legible("key", "add", email, "--name", "load", "--rate", "0", "--json", "--data", folder)
    return str(json.loads(made)["key"])


def run_legible(*words: object) -> str:
    done = subprocess.run([str(word) for word in (LEGIBLE, *words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def measure_peer(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    command = [arguments.peer_python, "-P", HERE / "peer.py"]
    with running("ddddocr", command, folder) as server:
        return [measure(server, "/", "none", clients, arguments)[0] for clients in CLIENTS]


def measure_commits(arguments: argparse.Namespace) -> str:
    """What `journal.py` prints: durable billing commits, without inference."""
    command = [sys.executable, "-P", HERE / "journal.py", "--seconds", str(arguments.seconds)]
    if arguments.folder:
        command += ["--folder", arguments.folder]
    with screen.status("Durable billing commits, without inference"):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def running(name: str, command: Sequence[object], folder: Path) -> Iterator[Server]:
    """The server of that command, which says "ready at URL" when it listens, ended afterwards."""
    said, log = folder / f"{name}.said", folder / f"{name}.log"
    with said.open("wb") as out, log.open("wb") as err, screen.status(f"Starting {name}"):
        began = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err)
    try:
        url = until_ready(process, said, log)
        yield Server(name, url, process, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(30)


def until_ready(process: subprocess.Popen[bytes], said: Path, log: Path) -> str:
    deadline = time.perf_counter() + START_SECONDS
    while process.poll() is None and time.perf_counter() < deadline:
        found = re.search(r"ready at (http://\S+)", said.read_text())
        if found and httpx.get(f"{found[1]}/readyz", timeout=30).status_code == 200:
            return found[1]
        time.sleep(0.01)
    sys.exit(f"A server did not start: {log.read_text()[-2000:]}")


def measure(
    server: Server, path: str, key: str, clients: int, arguments: argparse.Namespace
) -> tuple[Row, int]:
    """The row, and how many calls were answered with the warm-up's."""
    image = base64.b64encode(arguments.picture.read_bytes()).decode()
    with screen.status(f"{server.name}, {clients} clients"):
        warm_up = drive(server.url + path, key, image, clients, WARM_UP_SECONDS)
        cpu = server.cpu_seconds
        driven = drive(server.url + path, key, image, clients, arguments.seconds)
        cpu = server.cpu_seconds - cpu
    milliseconds = sorted(driven["milliseconds"])
    calls = len(milliseconds)
    row = Row(
        server=server.name,
        clients=clients,
        calls=calls,
        calls_per_second=calls / driven["seconds"],
        p50_ms=milliseconds[calls // 2],
        p99_ms=milliseconds[calls * 99 // 100],
        cpu_ms=1000 * cpu / calls,
        memory_mb=server.memory_mb,
    )
    return row, calls + len(warm_up["milliseconds"])


def drive(url: str, key: str, image: str, clients: int, seconds: float) -> dict[str, object]:
    """What `client.py`, as a process of its own, has measured."""
    asked = {"url": url, "key": key, "image": image, "clients": clients, "seconds": seconds}
    command = [sys.executable, "-P", str(HERE / "client.py")]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"The client failed: {done.stderr[-2000:]}")
    driven: dict[str, object] = json.loads(done.stdout)
    return driven


def report(rows: Sequence[Row], ready_seconds: float, commits: str) -> None:
    table = Table(title="Text, one picture a call, every call charged and committed")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "server" else "right")
    for row in rows:
        table.add_row(*row.cells())
    screen.print(table)
    screen.print(f"Ready after {ready_seconds:.2f} s.\n\n{commits}", highlight=False)
    print("For docs/benchmarks.md:\n")
    print(f"| {' | '.join(COLUMNS)} |\n|---|{'---:|' * (len(COLUMNS) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row.cells())} |")
    print(f"\n{circumstances()}; ready after {ready_seconds:.2f} s.")


def circumstances() -> str:
    """When, of which commit and on what machine: a number without them stays at home."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if "model name" in line), platform.machine()
    )
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {os.cpu_count()} cores of {model}, "
        f"Python {platform.python_version()}, load average {load:.1f} at the end"
    )


if __name__ == "__main__":
    main()
