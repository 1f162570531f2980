"""What malloc is told, in processes of their own: it is told once, and for good."""

import subprocess
import sys
import time

import pytest

from legible import app, memory
from tests.service import Start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is about glibc's malloc")

FAULTS = """
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from legible import memory
from legible.cli.serve import SAMPLE_PICTURE
from legible.recognizers import available
from legible.tasks import Kind, Task, TextOptions

def read(times):
    for _ in range(times):
        recognize(task)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

memory.give_large_blocks_back()
recognize = available()[Kind.TEXT]
task = Task(Kind.TEXT, (Path(SAMPLE_PICTURE).read_bytes(),), TextOptions())
with ThreadPoolExecutor(1) as thread:
    before = thread.submit(read, 20).result()
    print((thread.submit(read, 50).result() - before) / 50)
"""
SCATTERED = """
import ctypes
from pathlib import Path
from legible import memory

def occupied_mb():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1000

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
memory.give_large_blocks_back()
blocks = [libc.malloc(100_000) for _ in range(1_000)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
for place, block in enumerate(blocks):
    if place % 50:
        libc.free(block)
before = occupied_mb()
memory.trim()
print(before - occupied_mb())
"""


def printed(code: str) -> float:
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def test_reading_a_text_takes_no_memory_from_the_system_each_time() -> None:
    assert printed(FAULTS) < 10  # pages a picture; 43 when its arrays were blocks of their own


def test_pages_that_are_free_between_others_go_back() -> None:
    assert printed(SCATTERED) > 50  # of 98 MB


def test_a_server_gives_them_back_from_time_to_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[float] = []
    monkeypatch.setattr(memory, "trim", lambda: trims.append(time.monotonic()))
    monkeypatch.setattr(app, "TRIM_SECONDS", 0.01)
    start()
    deadline = time.monotonic() + 10
    while len(trims) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(trims) >= 2
