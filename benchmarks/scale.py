"""What 1, 2 and 4 workers do, where each call's CPU time goes, and what that means for many machines.

`make bench k=scale`. Starts its own PostgreSQL, Redis and servers on 127.0.0.1, first 1, 2 and 4 servers that
recognize themselves, then one server with 1, 2 and 4 recognizers on Ray. Drives each from other processes for
some seconds, checks that every answer was charged, prints the tables of docs/scale.md, and stops by itself.
Where cores are few, more workers do not do more; CPU time a call is what carries over. Linux only.
"""

import argparse
import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent)]

from tests.processes import command_line, descendants  # noqa: E402
from tests.servers import free_port  # noqa: E402

from load import LEGIBLE, TICKS, circumstances, drive, run_legible  # noqa: E402

WORKERS = (1, 2, 4)
CLIENT_PROCESSES = 2
CLIENTS = 16
WARM_UP_SECONDS = 2.0
START_SECONDS = 300
GOALS = (1_000, 100_000)
PATH = "/captcha/recognition/image2text"
PRICE_MICROS = 1000
REST = "rest of Ray"


@dataclass(frozen=True)
class Row:
    """One way to run it under load; `cpu_ms` a call by part."""

    engine: str
    workers: int
    calls: int
    calls_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: Mapping[str, float]


def main() -> None:
    arguments = read_arguments()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        site = stack.enter_context(Site.started(folder))
        rows = [measure_local(site, workers, arguments) for workers in WORKERS]
        if not arguments.without_ray:
            with ray_cluster(folder) as cluster:
                rows += [measure_ray(site, cluster, workers, arguments) for workers in WORKERS]
    report(rows)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sample = HERE.parent / "src" / "legible" / "samples" / "text.png"
    parser.add_argument("--picture", type=Path, default=sample, help="what every call sends")
    parser.add_argument("--seconds", type=float, default=5, help="of load, for each row")
    parser.add_argument("--without-ray", action="store_true", help="only servers that recognize themselves")
    return parser.parse_args()


@dataclass(frozen=True)
class Site:
    """A PostgreSQL that writes to its disk, and a Redis, with keys that are ready."""

    folder: Path
    database: str
    redis: str
    keys: Sequence[str]
    processes: Mapping[str, int]

    @classmethod
    @contextmanager
    def started(cls, folder: Path) -> Iterator["Site"]:
        port = free_port()
        redis = [shutil.which("redis-server"), "--port", port, "--save", "", "--dir", folder]
        with running(postgresql(folder), folder) as postgres, running(redis, folder) as cache:
            database = f"postgresql://legible@/postgres?host={folder}"
            until(lambda: answers(database))
            keys = [new_key(database, number) for number in range(CLIENT_PROCESSES)]
            parts = {"PostgreSQL": postgres.pid, "Redis": cache.pid}
            yield cls(folder, database, f"redis://127.0.0.1:{port}/0", keys, parts)


def postgresql(folder: Path) -> list[object]:
    """The command that starts a fresh one, as another user where we are root."""
    found = shutil.which("postgres")
    programs = Path(found).parent if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    data = folder / "postgres"
    data.mkdir()
    as_user = (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if not os.geteuid() else []
    )
    if as_user:
        shutil.chown(data, "postgres")
        shutil.chown(folder, "postgres")
    make = [
        *as_user,
        programs / "initdb",
        "-D",
        data,
        "-U",
        "legible",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
    ]
    subprocess.run([str(word) for word in make], check=True, capture_output=True)
    settings = (f"--unix_socket_directories={folder}", "--listen_addresses=", "--shared_buffers=128MB")
    return [*as_user, programs / "postgres", "-D", data, *settings]


def new_key(database: str, number: int) -> str:
    """A key whose limit is asked for in Redis and never reached, on an account that is never empty."""
    email = f"load{number}@example.com"
    if number == 0:
        run_legible("db", "upgrade", "--database", database)
    run_legible("user", "add", email, "--database", database)
    run_legible("user", "topup", email, "1000000", "--reason", "benchmark", "--database", database)
    made = run_legible(
        "key", "add", email, "--name", "load", "--rate", "100000", "--json", "--database", database
    )
    return str(json.loads(made)["key"])


def measure_local(site: Site, workers: int, arguments: argparse.Namespace) -> Row:
    """Servers that recognize themselves, each with one thread for it."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(site, LEGIBLE, LEGIBLE_WORKERS="1")) for _ in range(workers)]
        parts = {"server": [process.pid for process, _ in servers]}
        return measure("local", workers, site, [url for _, url in servers], parts, arguments)


def measure_ray(site: Site, cluster: "Ray", workers: int, arguments: argparse.Namespace) -> Row:
    """One server, and so many recognizers on Ray."""
    settings = cluster.settings | {
        "LEGIBLE_RAY_MIN_REPLICAS": f"{workers}",
        "LEGIBLE_RAY_MAX_REPLICAS": f"{workers}",
    }
    program = (sys.executable, "-m", "tests.engine.text_only")
    with serving(site, *program, "--engine", "ray", **settings) as (process, url):
        inside = list(descendants(cluster.pid))
        recognizers = [pid for pid in inside if b"ray::ServeReplica" in command_line(pid)]
        parts = {
            "server": [process.pid],
            "recognizers": recognizers,
            REST: [pid for pid in inside if pid not in recognizers],
        }
        row = measure("ray", workers, site, [url], parts, arguments)
    subprocess.run([sys.executable, "-c", FORGET], env=os.environ | settings, check=True, capture_output=True)
    return row


# Else the next server would find the recognizers that are there.
FORGET = "import ray; from ray import serve; ray.init('auto', log_to_driver=False); serve.shutdown()"


def measure(
    engine: str,
    workers: int,
    site: Site,
    urls: Sequence[str],
    parts: Mapping[str, Sequence[int]],
    arguments: argparse.Namespace,
) -> Row:
    image = base64.b64encode(arguments.picture.read_bytes()).decode()

    def load(seconds: float) -> tuple[list[float], float]:
        began = time.perf_counter()
        tasks = [
            (urls[number % len(urls)], site.keys[number % len(site.keys)])
            for number in range(max(len(urls), CLIENT_PROCESSES))
        ]
        with ThreadPoolExecutor(len(tasks)) as threads:
            driven = list(
                threads.map(
                    lambda task: drive(task[0] + PATH, task[1], image, CLIENTS // len(tasks), seconds), tasks
                )
            )
        return sorted(ms for each in driven for ms in each["milliseconds"]), time.perf_counter() - began

    paid = spent(site)
    before = len(load(WARM_UP_SECONDS)[0])
    everything = {**parts, **{name: tree(pid) for name, pid in site.processes.items()}}
    cpu = {name: cpu_seconds(pids) for name, pids in everything.items()}
    milliseconds, seconds = load(arguments.seconds)
    used = {name: cpu_seconds(pids) - cpu[name] for name, pids in everything.items()}
    calls = len(milliseconds)
    if spent(site) - paid != (before + calls) * PRICE_MICROS:
        sys.exit("Not every answer was charged, or more than the answers: that is a bug.")
    return Row(
        engine,
        workers,
        calls,
        calls / seconds,
        milliseconds[calls // 2],
        milliseconds[calls * 99 // 100],
        {name: 1000 * each / calls for name, each in used.items()},
    )


def spent(site: Site) -> int:
    with psycopg.connect(site.database) as connection:
        row = connection.execute(
            "SELECT coalesce(sum(-amount_micros), 0) FROM entry WHERE kind = 'call'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def report(rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row.cpu_ms))
    print(
        "| engine | workers | calls | calls/s | p50 ms | p99 ms | "
        + " | ".join(f"{name} ms" for name in names)
        + " |"
    )
    print("|---|---:|---:|---:|---:|---:|" + "---:|" * len(names))
    for row in rows:
        cells = [f"{row.cpu_ms[name]:.2f}" if name in row.cpu_ms else "" for name in names]
        numbers = [row.calls, f"{row.calls_per_second:.0f}", f"{row.p50_ms:.0f}", f"{row.p99_ms:.0f}"]
        print(f"| {row.engine} | {row.workers} | " + " | ".join(map(str, numbers + cells)) + " |")
    # What Ray does beside calls goes on by the second, not by the call.
    by_call = [name for name in names if name != REST]
    print("\nCores that are busy, from the CPU time a call of the first row of each engine:\n")
    print("| engine | calls/s | " + " | ".join(by_call) + " | all |")
    print("|---|---:|" + "---:|" * (len(by_call) + 1))
    for row in {row.engine: row for row in reversed(rows)}.values():
        for goal in GOALS:
            cores = [row.cpu_ms.get(name, 0.0) * goal / 1000 for name in by_call]
            print(
                f"| {row.engine} | {goal:,} | "
                + " | ".join(f"{each:,.1f}" for each in [*cores, sum(cores)])
                + " |"
            )
    for row in rows:
        if REST in row.cpu_ms:
            cores_of_rest = row.cpu_ms[REST] * row.calls_per_second / 1000
            print(f"\n{REST}, {row.workers} workers: {cores_of_rest:.3f} cores all the time", end="")
    print(f"\n\n{circumstances()}.")


@contextmanager
def serving(site: Site, *program: object, **settings: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """A server, and its address."""
    first, *rest = program
    at = rest.index("--engine") if "--engine" in rest else len(rest)
    words = [
        first,
        *rest[:at],
        "serve",
        *rest[at:],
        "--port",
        "0",
        "--database",
        site.database,
        "--redis",
        site.redis,
    ]
    said = site.folder / f"{secrets.token_hex(4)}.said"
    environment = os.environ | settings | {"PYTHONPATH": str(HERE.parent), "LEGIBLE_LOG_LEVEL": "warning"}
    with running(words, site.folder, said, environment) as process:
        found: list[str] = []

        def is_ready() -> bool:
            if process.poll() is not None:
                sys.exit(f"A server did not start; its log is {site.folder}.")
            found[:] = re.findall(r"ready at (http://\S+)", said.read_text())
            return bool(found) and httpx.get(f"{found[0]}/readyz", timeout=60).status_code == 200

        until(is_ready)
        yield process, found[0]


@dataclass(frozen=True)
class Ray:
    settings: dict[str, str]
    pid: int


@contextmanager
def ray_cluster(folder: Path) -> Iterator[Ray]:
    """One node of Ray, as the tests start it."""
    settings = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }
    command = [sys.executable, "-m", "tests.engine.ray_cluster", "1"]
    environment = os.environ | settings | {"PYTHONPATH": str(HERE.parent)}
    with (folder / "ray.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        yield Ray(settings | {"RAY_ADDRESS": address}, process.pid)
    finally:
        process.stdin.close()
        process.wait(60)


@contextmanager
def running(
    words: Sequence[object],
    folder: Path,
    said: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    said = said or folder / f"{secrets.token_hex(4)}.log"
    with said.open("wb") as out, said.with_suffix(".err").open("wb") as err:
        process = subprocess.Popen([str(word) for word in words], stdout=out, stderr=err, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            sys.exit(f"Something did not start within {START_SECONDS} seconds.")
        time.sleep(0.1)


def answers(database: str) -> bool:
    try:
        psycopg.connect(database).close()
    except psycopg.OperationalError:
        return False
    return True


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time, with that of children that have ended."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def tree(pid: int) -> list[int]:
    return [pid, *descendants(pid)]


if __name__ == "__main__":
    main()
