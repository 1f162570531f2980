"""What glibc's malloc is told, so that a server keeps little memory and asks the system for it seldom."""

import ctypes
import gc
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
# Over the arrays of a text picture (172 KB): a block of its own costs each call 0.2 ms in page faults.
LARGE_BYTES = 256 * 1024


def give_large_blocks_back() -> None:
    """Large blocks come from the system and go back to it. Left alone, glibc cuts ever larger ones out of its
    heaps, and what bodies of 6 MB leave behind there stays: a hundred megabytes after thirty of them."""
    with suppress(AttributeError, OSError, TypeError):
        allocator = ctypes.CDLL(None)
        allocator.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        allocator.mallopt(M_TRIM_THRESHOLD, 8 * LARGE_BYTES)


def trim() -> None:
    """Gives the free pages back that are scattered in the heaps of all threads, and that glibc keeps."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def settle() -> None:
    """What is there now, stays: a full collection then passes it over (80 ms for all modules and models)."""
    gc.collect()
    gc.freeze()
