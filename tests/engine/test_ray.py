"""Recognizers on a real Ray cluster of several nodes, of which one is lost under load.

Ray lives in processes of its own here: it warns about itself at import, and warnings are errors.
"""

import base64
import csv
import os
import re
import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from legible.accounts import Accounts
from legible.cli.serve import SAMPLE_PICTURE
from legible.db.session import Database
from legible.db.tables import Call
from legible.keys import KeyRing, KeyRules
from legible.recognizers.text import recognize
from legible.tasks import Kind, Task, TextOptions
from tests.commands import Serving, run, serving
from tests.faults.load import Load, assert_nothing_lost, assert_paid_once
from tests.servers import missing

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "recognizers" / "samples" / "text"
TEXT_ONLY = (sys.executable, "-m", "tests.engine.text_only")
REPLICAS = "6"  # so that some are left when two others and a whole node are gone
LOST = {"hang": "stopped", "replica": "killed", "node": "a node with [1-9] recognizers"}
FEW = 8  # without a second try it would be all that a recognizer has at once, three times
# In the words of the two dialects that the load speaks; nothing is charged for it.
OUR_FAULT = r'"code":\s*(500|504|"api_error"|"timeout")'


@dataclass(frozen=True)
class Cluster:
    """Where it is, what its nodes must know, and its process."""

    address: str
    settings: dict[str, str]
    process: "subprocess.Popen[str]"

    def do(self, word: str) -> str:
        """Has it done, and says what was done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@contextmanager
def running(nodes: int, log: Path, **settings: str) -> Iterator[Cluster]:
    if find_spec("ray") is None:
        missing("Ray")
    # Without these, Ray reports its use to its makers, and gives way to everything else on the machine.
    settings |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    command = [sys.executable, "-m", "tests.engine.ray_cluster", str(nodes)]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=os.environ | settings,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address, log.read_text()
        yield Cluster(address, {**settings, "RAY_ADDRESS": address}, process)
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes; a token is asked for."""
    log = tmp_path_factory.mktemp("ray") / "log"
    with running(2, log, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32)) as cluster:
        yield cluster


@pytest.fixture
def key(database: Database) -> str:
    account = Accounts(database, 10**9).create("ana@example.com")
    return KeyRing(database, 0).create(account.id, "load", KeyRules(rate_per_second=0)).secret


# First, while no cluster runs: Ray looks for one among the processes of the machine.
def test_without_a_cluster_it_says_how_to_join_one(tmp_path: Path) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_TMPDIR": str(tmp_path)}
    ran = run("serve", "--engine", "ray", "--data", tmp_path, folder=tmp_path, **token)
    assert (ran.code, "join one with `ray start`" in ran.err) == (1, True), ran


@pytest.mark.timeout(900)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_recognizers_hang_and_die_and_a_node_is_lost_under_load_and_nothing_is_lost(
    cluster: Cluster, database: Database, database_url: str, key: str, tmp_path: Path
) -> None:
    with two_servers(cluster, database_url, tmp_path) as (one, other):
        in_batches = assert_batches_change_no_answer(one.url, key)
        loads = [Load(server.url, key) for server in (one, other)]
        with loads[0], loads[1]:
            for what in ("hang", "replica", "node"):
                for load in loads:
                    load.wait_for(30)
                assert re.search(LOST[what], cluster.do(what))
            for load in loads:
                load.wait_for(60)
        # Lost calls go to another recognizer; whoever was refused was told so, and has an answer when he asks
        # again.
        assert sum(len(load.refused) for load in loads) <= FEW
        for load, server in zip(loads, (one, other), strict=True):
            assert load.interrupted == []
            assert [text for _, _, text in load.refused if not re.search(OUR_FAULT, text)] == []
            assert_nothing_lost(database, database_url, load, tmp_path)
            load.settle(server.url)
    paid = Load("", "", answered=in_batches | loads[0].answered | loads[1].answered)
    assert_paid_once(database, paid)
    assert results(database) == {text_of(path) for path in (SAMPLE_PICTURE, *pictures())}


@contextmanager
def two_servers(cluster: Cluster, database_url: str, folder: Path) -> Iterator[tuple[Serving, Serving]]:
    """The second finds the recognizers that the first has deployed."""
    with ExitStack() as stack:
        servers = []
        for name in ("one", "other"):
            (folder / name).mkdir()
            servers.append(
                stack.enter_context(
                    serving(
                        *("--engine", "ray", "--database", database_url),
                        folder=folder / name,
                        program=TEXT_ONLY,
                        PYTHONPATH=os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
                        LEGIBLE_RECOGNITION_TIMEOUT_SECONDS="45",
                        LEGIBLE_RAY_MIN_REPLICAS=REPLICAS,
                        LEGIBLE_RAY_MAX_REPLICAS=REPLICAS,
                        **cluster.settings,
                    )
                )
            )
        yield servers[0], servers[1]


def assert_batches_change_no_answer(url: str, key: str) -> dict[str, str]:
    """Many at once, so that they go in batches: each gets what the recognizer here reads in his picture.

    Returns the trace id of each call by its idempotency key.
    """
    asked = pictures() * 8
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client, ThreadPoolExecutor(32) as threads:

        def ask(path: Path) -> tuple[str, str, str]:
            token = f"batch-{uuid.uuid4()}"
            headers = {"authorization": f"Bearer {key}", "Idempotency-Key": token}
            body = {"image": base64.b64encode(path.read_bytes()).decode(), "confidence": 0}
            reply = client.post("/captcha/recognition/image2text", json=body, headers=headers).json()
            return token, reply["trace_id"], reply.get("text")

        answers = list(threads.map(ask, asked))
    assert [text for _, _, text in answers] == [text_of(path) for path in asked]
    return {token: trace_id for token, trace_id, _ in answers}


def pictures() -> list[Path]:
    with (SAMPLES / "labels.tsv").open(newline="") as labels:
        return [SAMPLES / row[0] for row in csv.reader(labels, delimiter="\t") if (SAMPLES / row[0]).exists()]


def text_of(picture: Path) -> str:
    return recognize(Task(Kind.TEXT, (picture.read_bytes(),), TextOptions(), 0.0)).text


def results(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.scalars(select(Call.result).where(Call.outcome == "answered")))


@pytest.mark.parametrize(
    ("nodes", "exposed", "why"),
    [
        (["10.0.0.2", "8.8.8.8"], None, "A Ray node has the public address 8.8.8.8"),
        (["10.0.0.2", "2606:4700::1"], None, "A Ray node has the public address 2606:4700::1"),
        (
            ["10.0.0.2", "100.64.0.9", "fd00::2"],
            "203.0.113.5",
            "Ray answers on the public address 203.0.113.5",
        ),
    ],
)
def test_with_a_public_address_it_does_not_start(
    nodes: list[str], exposed: str | None, why: str, tmp_path: Path
) -> None:
    """In a cluster that says it has such nodes: this machine has no public address."""
    cluster = f"""
from types import SimpleNamespace
from legible.cli import main
from legible.engine import ray as engine
engine.ray = SimpleNamespace(
    is_initialized=lambda: True,
    get_runtime_context=lambda: SimpleNamespace(gcs_address="10.0.0.1:6379"),
    nodes=lambda: [{{"Alive": True, "NodeManagerAddress": each}} for each in {nodes}],
    shutdown=lambda: print("left the cluster"),
)
engine._demands_token = lambda address: True
engine._exposed = lambda port: {exposed!r}
main()
"""
    ran = subprocess.run(
        [sys.executable, "-c", cluster, "serve", "--engine", "ray", "--data", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"RAY_AUTH_MODE": "token"},
    )
    assert (ran.returncode, ran.stdout, why in ran.stderr) == (1, "left the cluster\n", True), ran


def test_a_port_that_answers_on_a_public_address_is_noticed() -> None:
    """As if loopback were one: it is the address that leads to loopback."""
    asked = """
import socket, sys
from legible.engine import ray as engine
engine.FAR_AWAY = ("127.0.0.2",)
engine._is_private = lambda address: False
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
    found = engine._exposed(port)
print(found, engine._exposed(port))
"""
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "127.0.0.1 None\n", ran


def test_without_token_authentication_it_does_not_start(tmp_path: Path) -> None:
    ran = run("serve", "--engine", "ray", "--data", tmp_path, folder=tmp_path, RAY_AUTH_MODE="disabled")
    assert (ran.code, ran.out, "set RAY_AUTH_MODE=token" in ran.err) == (1, "", True), ran
    assert not (tmp_path / "legible.db").exists()


@pytest.mark.timeout(200)
@pytest.mark.parametrize("names_it", [True, False])
def test_a_cluster_with_another_token_is_refused_in_a_sentence(
    cluster: Cluster, names_it: bool, tmp_path: Path
) -> None:
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    # Without its address, Ray finds the cluster among the processes of the machine.
    settings |= {"RAY_ADDRESS": cluster.address} if names_it else {"RAY_TMPDIR": str(tmp_path)}
    ran = run("serve", "--engine", "ray", "--data", tmp_path, folder=tmp_path, **settings)
    assert (ran.code, "the same token" in ran.err) == (1, True), ran


def test_a_cluster_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    hangs = (
        "import sys, time; from legible.cli import main, serve; from legible.engine import ray;"
        " ray.connect = lambda: time.sleep(100); serve.RAY_SECONDS = 0.1; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", hangs, "serve", "--engine", "ray", "--data", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, "Ray did not answer within 0.1 seconds" in ran.stderr) == (1, True), ran


@pytest.mark.timeout(200)
def test_a_cluster_that_takes_anybody_is_refused_in_a_sentence(tmp_path: Path) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with running(1, tmp_path / "ray.log", RAY_AUTH_MODE="disabled") as open_cluster:
        ran = run(
            *("serve", "--engine", "ray", "--data", tmp_path),
            folder=tmp_path,
            **(open_cluster.settings | token),
        )
    assert (ran.code, "takes anybody" in ran.err) == (1, True), ran


def test_the_plain_service_does_not_load_ray() -> None:
    code = "import sys; from legible.app import build_app; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
