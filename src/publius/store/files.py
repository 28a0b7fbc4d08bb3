"""Files that are whole or absent: temporary sibling, fsync, rename, fsync of the directory.

Paper: none.
"""

import errno
import hashlib
import json
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from publius.errors import DataError, StoreError
from publius.records import canonical_json, decode, encode

R = TypeVar("R")

_DISK_ERRORS = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM)
)


@contextmanager
def open_atomic(path: Path) -> Generator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends well, and vanishes when it does not.

    A reader sees the old content or the new, never a part.

    Raises:
        StoreError: The disk is full or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("wb")
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:  # of what the block did besides: a model that is not there, say
            raise
        raise disk_error(error, path) from error
    finally:
        with suppress(OSError):  # what is in the way of writing may be in the way of this too
            temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises:
        StoreError: The disk is full or cannot be written.
    """
    with open_atomic(path) as file:
        file.write(data)


def disk_error(error: OSError, path: Path) -> StoreError:
    """Return the store's error for an operating-system error, with the way out."""
    if error.errno == errno.ENOSPC:
        todo = "free some space and run the same command again: what was finished is kept"
        return StoreError("the disk is full", where=path, todo=todo)
    todo = "check the directory's permissions and run the same command again"
    return StoreError(f"cannot be written ({error.strerror})", where=path, todo=todo)


def sync_directory(path: Path) -> None:
    """Make a rename in `path` survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: object) -> None:
    """Write a record or JSON value, indented for people, atomically."""
    text = json.dumps(encode(value), ensure_ascii=False, indent=2, allow_nan=False)
    write_atomic(path, (text + "\n").encode("utf-8", "surrogatepass"))


def read_json(path: Path) -> Any:
    """Return the JSON value in `path`.

    Raises:
        StoreError: The file is missing or damaged.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    except FileNotFoundError as error:
        raise StoreError("the file is missing", where=path, todo="run the stage that writes it") from error
    except (ValueError, OSError, RecursionError) as error:
        todo = "delete the file and run the same command again"
        raise StoreError(f"the file is damaged ({error})", where=path, todo=todo) from error


def write_records(path: Path, records: Iterable[object]) -> int:
    """Write records as JSON lines, one by one as they come, and return how many; whole or not at all."""
    n = 0
    try:
        with open_atomic(path) as file:
            for record in records:
                file.write((canonical_json(encode(record)) + "\n").encode("utf-8", "surrogatepass"))
                n += 1
    finally:
        if isinstance(records, Generator):
            records.close()  # what it asked of a model is cancelled now, not when it is collected
    return n


def read_records(path: Path, kind: type[R]) -> tuple[R, ...]:
    """Return the records of type `kind` in a JSON-lines file.

    Raises:
        StoreError: The file is missing or a line is not such a record; file and line are named.
    """
    return tuple(iter_records(path, kind))


def iter_records(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of type `kind` in a JSON-lines file, one by one.

    Raises:
        StoreError: The file is missing or a line is not such a record; file and line are named.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise StoreError("the file is missing", where=path, todo="run the stage that writes it") from error
    except OSError as error:
        raise StoreError(f"the file cannot be read ({error})", where=path) from error
    with file:
        for number, line in enumerate(file, start=1):  # bytes: only a line feed ends a line
            if line == b"\n":
                continue
            try:
                yield decode(kind, json.loads(line.decode("utf-8", "surrogatepass")))
            except (ValueError, DataError) as error:
                todo = "delete the stage's folder and run the same command again"
                raise StoreError(f"damaged record ({error})", where=f"{path}:{number}", todo=todo) from error


def file_hash(path: Path) -> str:
    """Return `sha256:` and the digest of a file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
