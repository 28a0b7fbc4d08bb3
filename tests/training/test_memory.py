"""Memory that a training keeps, and gives back at its end."""

import ctypes
import json
import subprocess
import sys

import pytest

from publius.training.memory import keep_freed_memory

IS_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
MEGABYTES = 64  # more than glibc keeps by itself
# in a process of its own: in one that has freed much already a block may come from what is left
PROGRAM = """
import ctypes, json, sys
from pathlib import Path

from publius.training.memory import keep_freed_memory

SIZE = int(sys.argv[1]) << 20
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]
seen = []

def use():
    block = library.malloc(ctypes.c_size_t(SIZE))
    ctypes.memset(block, 1, SIZE)
    library.free(block)

def look():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    seen.append(pages * 4096 / SIZE)

use()
look()
with keep_freed_memory():
    use()
    look()
look()
use()
look()
print(json.dumps([one - seen[0] for one in seen[1:]]))
"""


@pytest.mark.skipif(not IS_GLIBC, reason="only glibc is told to keep memory")
def test_freed_memory_is_kept_within_and_returned_after() -> None:
    command = [sys.executable, "-c", PROGRAM, str(MEGABYTES)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    within, after, later = json.loads(done.stdout)
    assert within == pytest.approx(1.0, abs=0.2)
    assert max(after, later) < 0.2


def test_an_error_passes_through() -> None:
    with pytest.raises(KeyError), keep_freed_memory():
        raise KeyError
