"""Private PostgreSQL and Redis servers for the tests, on sockets and ports of their own, gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import redis

NOBODY = "postgres"  # whom PostgreSQL runs as when we are root, which it refuses to be


class Server:
    """A server process of ours, which a test may kill and start again."""

    def __init__(
        self, url: str, command: Sequence[object], folder: Path, answers: Callable[[], bool], user: str | None
    ) -> None:
        self.url, self.command, self.folder, self.answers, self.user = url, command, folder, answers, user
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it answers. What a killed PostgreSQL left running may keep a new one away for a moment."""
        deadline = time.monotonic() + 30
        while not self.answers():
            if time.monotonic() > deadline:
                pytest.fail("a server that the tests need did not start within 30 seconds", pytrace=False)
            if self.process is None or self.process.poll() is not None:
                self._spawn()
            time.sleep(0.05)

    def _spawn(self) -> None:
        with (self.folder / "log").open("ab") as log:
            words = [str(word) for word in self.command]
            self.process = subprocess.Popen(words, stdout=log, stderr=log, user=self.user, cwd=self.folder)

    def kill(self) -> None:
        """As the kernel does when there is no memory left."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        """All of its processes stand still, with their connections open, until `go_on`."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self.process is not None
        for pid in (self.process.pid, *_children(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)  # at once, whoever is still connected
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of the empty database of a fresh cluster."""
    with postgresql_server() as server:
        yield server.url


@contextmanager
def postgresql_server() -> Iterator[Server]:
    """A fresh cluster with an empty database."""
    bin_dir = _postgresql_bin()
    user = NOBODY if os.geteuid() == 0 else None
    with _folder(user) as folder:
        data = folder / "data"
        initdb = [
            bin_dir / "initdb",
            "-D",
            data,
            "-U",
            "legible",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
        # The tests end processes, not the machine: without fsync nothing that they look at changes.
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": folder,
            "fsync": "off",
            "shared_buffers": "32MB",
        }
        command = [
            bin_dir / "postgres",
            "-D",
            data,
            *(f"--{name}={value}" for name, value in settings.items()),
        ]
        url = f"postgresql://legible@/postgres?host={folder}"
        with _started(Server(url, command, folder, lambda: _postgresql_answers(folder), user)) as server:
            yield server


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a fresh Redis that keeps nothing on disk."""
    with redis_process() as server:
        yield server.url


@contextmanager
def redis_process() -> Iterator[Server]:
    """A fresh Redis that keeps nothing on disk."""
    binary = shutil.which("redis-server") or missing("redis-server")
    port = free_port()
    with _folder(None) as folder:
        options = {"--port": port, "--bind": "127.0.0.1", "--save": "", "--appendonly": "no", "--dir": folder}
        command = [binary, *(str(word) for option in options.items() for word in option)]
        url = f"redis://127.0.0.1:{port}/0"
        with _started(Server(url, command, folder, lambda: _redis_answers(port), None)) as server:
            yield server


@contextmanager
def _started(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _children(parent: int) -> list[int]:
    """The processes that it started."""
    stats = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended since
            stats.append(path.read_text())
    fields = [(stat.partition(" ")[0], stat.rpartition(")")[2].split()[1]) for stat in stats]
    return [int(pid) for pid, started_by in fields if int(started_by) == parent]


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgresql_bin() -> Path:
    found = shutil.which("postgres")
    candidates = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not candidates:
        missing("PostgreSQL")
    return candidates[-1]


def missing(what: str) -> str:
    """Skips at home; fails in CI, where a test that did not run must not look green."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed", pytrace=False)
    pytest.skip(f"{what} is not installed")


@contextmanager
def _folder(user: str | None) -> Iterator[Path]:
    """A folder with a path short enough for a unix socket, owned by the user."""
    folder = Path(tempfile.mkdtemp(prefix="legible-"))
    if user is not None:
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgresql_answers(folder: Path) -> bool:
    try:
        psycopg.connect(host=str(folder), user="legible", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _redis_answers(port: int) -> bool:
    client = redis.Redis(port=port)
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()
