"""Memory that a training keeps, and gives back at its end."""

import ctypes
import sys
from pathlib import Path

import pytest

from publius.training.memory import keep_freed_memory

BLOCK = 64 << 20  # bytes; above what glibc keeps by itself
IS_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def write_and_free() -> None:
    """Take a block from the C library, write into all of it, and free it."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.free.argtypes = [ctypes.c_void_p]
    block = library.malloc(ctypes.c_size_t(BLOCK))
    ctypes.memset(block, 1, BLOCK)
    library.free(block)


@pytest.mark.skipif(not IS_GLIBC, reason="only glibc is told to keep memory")
def test_freed_memory_is_kept_within_and_returned_after() -> None:
    write_and_free()
    before = resident()
    with keep_freed_memory():
        write_and_free()
        assert resident() - before > BLOCK // 2
    assert resident() - before < BLOCK // 2
    write_and_free()
    assert resident() - before < BLOCK // 2


def test_an_error_passes_through() -> None:
    with pytest.raises(KeyError), keep_freed_memory():
        raise KeyError
