"""The lock of a run: one process at a time, free again when that process is gone, however it went.

An advisory lock (flock) on a file that stays. A forked child closes its copy at once: a worker that
outlives its killed parent does not keep the run.

Paper: none.
"""

import errno
import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from publius.errors import StoreError
from publius.store.files import disk_error

_LOCK = "run.lock"
_BUSY = frozenset((errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES))
_PATIENCE_S = 0.5  # whoever asks `is_in_use` holds the lock for a moment
_handles: set[int] = set()


@contextmanager
def lock_run(path: Path) -> Generator[None]:
    """Hold the lock of the run directory `path` (made if absent).

    Raises:
        StoreError: Another process holds it, or the directory cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise disk_error(error, path) from error
    _handles.add(handle)
    try:
        if not _takes(handle, path / _LOCK):
            owner = os.pread(handle, 80, 0).decode("utf-8", "replace").strip() or "another process"
            todo = "wait until it ends, or give this run another directory with --out"
            raise StoreError(f"the run is in use by {owner}", where=path, todo=todo)
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}".encode(), 0)
        except OSError as error:
            raise disk_error(error, path / _LOCK) from error
        yield
    finally:
        if handle in _handles:  # a forked child has closed its own
            _handles.discard(handle)
            os.close(handle)


def is_in_use(path: Path) -> bool:
    """Return whether a process holds the run."""
    try:
        with (path / _LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno in _BUSY
    return False


def _takes(handle: int, path: Path) -> bool:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY:
                raise disk_error(error, path) from error
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        else:
            return True


def _forget() -> None:
    for handle in _handles:
        os.close(handle)
    _handles.clear()


os.register_at_fork(after_in_child=_forget)
