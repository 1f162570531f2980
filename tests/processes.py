"""The processes of this machine, as Linux tells of them."""

from collections.abc import Iterator
from pathlib import Path


def descendants(root: int) -> Iterator[int]:
    """The children of a process, and theirs."""
    for child in children(root):
        yield child
        yield from descendants(child)


def children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []  # it has just ended


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
