"""The processes of this machine, as Linux tells of them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def descendants(root: int) -> Iterator[int]:
    """The children of a process, and theirs."""
    for child in children(root):
        yield child
        yield from descendants(child)


def children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # it has just ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # one of its threads has, which says nothing about the others
                found += map(int, (thread / "children").read_text().split())
    return found


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
