"""Build a result beside its place and move it there when it is whole.

Everything a training run writes goes to `OUT.work`, a sibling of the result `OUT` on the same disk, so
that the last step is a rename: `OUT` is complete or it is not there. The work directory is removed at
success and left where a run was killed, for a run that can go on from it.

Paper: none.
"""

import os
import shutil
from pathlib import Path

from publius.errors import StoreError

_KEY_FILE = "key"


def open_workroom(out: Path, *, key: str) -> Path:
    """Return the work directory of `out`: what an interrupted run with this `key` left, or an empty one.

    `key` names everything the result depends on; what was left under another key is of no use and goes.

    Raises:
        StoreError: The directory cannot be written.
    """
    work = out.with_name(out.name + ".work")
    try:
        if _read_key(work) != key:
            _remove(work)
            work.mkdir(parents=True)
            write_durably(work / _KEY_FILE, key)
    except OSError as error:
        raise StoreError(f"cannot write the training files: {error.strerror or error}", where=work) from error
    return work


def publish(built: Path, *, out: Path, work: Path) -> None:
    """Move the finished directory `built` (inside `work`) to `out` and remove `work`.

    A result that was at `out` is replaced; it stays readable until then.

    Raises:
        StoreError: `out` cannot be written.
    """
    try:
        if out.exists():
            shutil.rmtree(work / "replaced", ignore_errors=True)
            out.rename(work / "replaced")
        built.rename(out)
        _sync_directory(out.parent)
        _remove(work)
    except OSError as error:
        raise StoreError(f"cannot put the model in place: {error.strerror or error}", where=out) from error


def write_durably(path: Path, text: str) -> None:
    """Write a small text file so that it is there whole after a power cut, or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def _remove(work: Path) -> None:
    """Remove a work directory, its key first: nobody goes on from what is half removed."""
    if _read_key(work) is not None:
        (work / _KEY_FILE).unlink()
        _sync_directory(work)
    shutil.rmtree(work, ignore_errors=True)


def _read_key(work: Path) -> str | None:
    file = work / _KEY_FILE
    return file.read_text(encoding="utf-8") if file.exists() else None


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
