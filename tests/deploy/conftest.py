"""Three replicas over a real PostgreSQL and Redis, behind the real nginx as deploy/ sets it up."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from legible.db.session import Database
from tests.commands import EXECUTABLE, environment
from tests.servers import free_port, missing, postgresql

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NGINX = ("/usr/sbin/nginx", "/usr/local/sbin/nginx")
# What systemd does: the listening socket is file 3 of a process that is told so by its id.
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execve(sys.argv[2], sys.argv[2:], os.environ | {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
"""
COUNT = 3


class Replica:
    """A server that can be ended and started again on a socket that stays open meanwhile."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = int(self.listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        handle = self.listener.fileno()
        command = [sys.executable, "-c", AS_SYSTEMD, str(handle), str(EXECUTABLE), "serve", *self.options]
        with (self.folder / f"{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment(),
                pass_fds=(handle,),
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            # The socket takes connections before there is a server behind it.
            with suppress(httpx.TimeoutException), httpx.Client(trust_env=False, timeout=1) as client:
                if client.get(f"{self.url}/readyz").status_code == 200:
                    return
            time.sleep(0.05)
        pytest.fail(self.log())

    def log(self) -> str:
        return (self.folder / f"{self.port}.log").read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(40)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.listener.close()


@dataclass(frozen=True)
class Fleet:
    """The replicas and their database; nginx, with TLS and without, and a context that trusts it."""

    replicas: list[Replica]
    database: Database
    url: str
    plain_url: str
    trust: ssl.SSLContext
    access_log: Path

    def client(self, replica: int | None = None) -> httpx.Client:
        """Of one replica, or of whichever nginx picks."""
        if replica is None:
            return httpx.Client(base_url=self.url, trust_env=False, timeout=60, verify=self.trust)
        return httpx.Client(base_url=self.replicas[replica].url, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def fleet(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack:
        url = stack.enter_context(postgresql())
        replicas = [Replica(folder, "--database", url, "--redis", redis_url) for _ in range(COUNT)]
        for replica in replicas:
            stack.callback(replica.close)
            replica.start()  # all at once, on an empty database: one of them makes the tables
        for replica in replicas:
            replica.wait_until_ready()
        database = Database(url)
        stack.callback(database.close)
        yield stack.enter_context(nginx(replicas, database, folder))


@contextmanager
def nginx(replicas: list[Replica], database: Database, folder: Path) -> Iterator[Fleet]:
    """The files of deploy/nginx as they are, with ports and paths of the test."""
    binary = shutil.which("nginx") or next((path for path in NGINX if Path(path).exists()), None)
    if binary is None:
        binary = missing("nginx")
    certificate, key = certify(folder)
    plain, secure = free_port(), free_port()
    site = published("legible.conf")
    site = re.sub(r"^ *listen \[::\].*\n", "", site, flags=re.MULTILINE)  # not every machine has IPv6
    for old, new in (
        ("listen 80 default_server;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;"),
        ("/etc/legible/tls/fullchain.pem", str(certificate)),
        ("/etc/legible/tls/privkey.pem", str(key)),
        # A busy machine takes minutes where others take a second to start a replica.
        ("proxy_read_timeout 30s;", "proxy_read_timeout 280s;"),
    ):
        assert site.count(old) == 1, old
        site = site.replace(old, new)
    site = site.replace("/var/log/nginx/", f"{folder}/")
    upstream = published("upstream.conf")
    for number, replica in enumerate(replicas, 8001):
        assert upstream.count(f"127.0.0.1:{number} ") == 1
        upstream = upstream.replace(f"127.0.0.1:{number} ", f"127.0.0.1:{replica.port} ")
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration.write_text(
        f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\nworker_processes 1;\n"
        "events { worker_connections 1024; }\n"
        f"http {{\n{temporary}{upstream}\n{site}\n}}\n"
    )
    process = subprocess.Popen([binary, "-c", str(configuration), "-e", str(folder / "nginx.log")])
    try:
        wait_for(secure, folder / "nginx.log")
        yield Fleet(
            replicas,
            database,
            f"https://127.0.0.1:{secure}",
            f"http://127.0.0.1:{plain}",
            ssl.create_default_context(cafile=str(certificate)),
            folder / "access.log",
        )
    finally:
        process.terminate()
        process.wait(20)


def published(name: str) -> str:
    return (DEPLOY / "nginx" / name).read_text("utf-8")


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody else trusts."""
    openssl = shutil.which("openssl") or missing("openssl")
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    options = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *words.split(), *options], check=True, capture_output=True)
    return certificate, key


def wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(log.read_text())
