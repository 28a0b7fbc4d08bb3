"""vLLM's processes are to end with ours, also when ours is killed and cannot tell them.

Left alone they would live on and hold the GPU, so that the same command could not be run again. A watcher,
a process of its own, reads from a pipe of which we hold the other end; when we are gone, it ends them.

Paper: none.
"""

import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_WATCH = """
import os, signal, sys
sys.stdin.buffer.read()
for pid in map(int, sys.argv[1:]):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class Watched(NamedTuple):
    """What was started, its processes' numbers, and the watcher, if there is something to watch."""

    started: object
    pids: tuple[int, ...]
    watcher: "subprocess.Popen[bytes] | None"

    def release(self) -> None:
        """Watch no more: the processes have been ended."""
        if self.watcher is not None:
            self.watcher.kill()
            self.watcher.communicate()


def start_watched(start: Callable[[], object]) -> Watched:
    """Return what `start` returns; every process that it starts ends when this one does.

    The workers that vLLM's processes start themselves see to it that they end with those.
    """
    before = {child.pid for child in multiprocessing.active_children()}
    started = start()
    pids = tuple(
        child.pid
        for child in multiprocessing.active_children()
        if child.pid is not None and child.pid not in before
    )
    if not pids:
        return Watched(started, (), None)
    # a session of its own: what is sent to our group by Ctrl-C must not end it before us
    watcher = subprocess.Popen(
        [sys.executable, "-c", _WATCH, *map(str, pids)], stdin=subprocess.PIPE, start_new_session=True
    )
    return Watched(started, pids, watcher)
