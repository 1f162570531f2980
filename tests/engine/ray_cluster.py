"""Ray's own test cluster of several nodes on this machine, as a process that obeys its standard input.

`python -m tests.engine.ray_cluster NODES` prints the address when all are there. Orders: "node" ends one as
a power cut would, "replica" kills a recognizer's process, "hang" stops one. Each says what it did.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ray.cluster_utils import Cluster

T = TypeVar("T")
# The machine has fewer cores; for Ray they are only numbers.
NODE = {"num_cpus": 4, "object_store_memory": 100_000_000}


def main(nodes: int) -> None:
    cluster = started(lambda: Cluster(True, head_node_args=NODE | {"include_dashboard": False}))
    others = [started(lambda: cluster.add_node(**NODE)) for _ in range(nodes - 1)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        match line.strip():
            case "node":
                cluster.remove_node(others.pop(), allow_graceful=False)
                print("a node is gone", flush=True)
            case "replica":
                print(f"killed {send(signal.SIGKILL)}", flush=True)
            case "hang":
                print(f"stopped {send(signal.SIGSTOP)}", flush=True)
    cluster.shutdown()


def started(start: Callable[[], T]) -> T:
    """Ray gives a node thirty seconds to start, which a busy machine may not keep."""
    for _ in range(5):
        with suppress(Exception):
            return start()
    return start()


def send(number: signal.Signals) -> int:
    """The signal, to the first recognizer of our own cluster."""
    found = min(pid for pid in descendants(os.getpid()) if b"ray::ServeReplica" in command_line(pid))
    os.kill(found, number)
    return found


def descendants(root: int) -> Iterator[int]:
    parents = {int(path.name): parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    for pid in parents:
        above: int | None = pid
        while above and above != root:
            above = parents.get(above)
        if above == root:
            yield pid


def parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0  # it has just ended


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    main(int(sys.argv[1]))
