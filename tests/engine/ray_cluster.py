"""Ray's own test cluster of several nodes on this machine, as a process that obeys its standard input.

`python -m tests.engine.ray_cluster NODES` prints the address when all are there. Orders: "node" ends one as
a power cut would, "replica" kills a recognizer's process, "hang" stops one. Each says what it did.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ray.cluster_utils import Cluster

from tests.processes import command_line, descendants

T = TypeVar("T")
SENT: set[int] = set()
# The machine has fewer cores; for Ray they are only numbers.
NODE = {"num_cpus": 4, "object_store_memory": 100_000_000}


def main(nodes: int) -> None:
    cluster = started(lambda: Cluster(True, head_node_args=NODE | {"include_dashboard": False}))
    others = [started(lambda: cluster.add_node(**NODE)) for _ in range(nodes - 1)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        match line.strip():
            case "node":
                node = others.pop()
                recognizers = wait_for_some(node.all_processes["raylet"][0].process.pid)
                cluster.remove_node(node, allow_graceful=False)
                print(f"a node with {recognizers} recognizers is gone", flush=True)
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
    """The signal, to the first recognizer of our own cluster that had none yet."""
    found = min(set(recognizers_of(os.getpid())) - SENT)
    SENT.add(found)
    os.kill(found, number)
    return found


def wait_for_some(raylet: int) -> int:
    """How many recognizers that node has, once it has some: those that were lost start again anywhere."""
    deadline = time.monotonic() + 60
    while not (found := len(recognizers_of(raylet))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def recognizers_of(process: int) -> list[int]:
    """Those that run under that process. While one works, its title has the end of this name and a method."""
    return [pid for pid in descendants(process) if b"-text:text" in command_line(pid)]


if __name__ == "__main__":
    main(int(sys.argv[1]))
