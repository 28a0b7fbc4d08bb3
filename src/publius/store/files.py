"""Files that are whole or absent: temporary sibling, fsync, rename, fsync of the directory.

Paper: none.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from publius.errors import DataError, StoreError
from publius.records import canonical_json, decode, encode

R = TypeVar("R")


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part.

    Raises:
        StoreError: The disk is full or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, path) from error


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
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise StoreError("the file is missing", where=path, todo="run the stage that writes it") from error
    except (ValueError, OSError) as error:
        todo = "delete the file and run the same command again"
        raise StoreError(f"the file is damaged ({error})", where=path, todo=todo) from error


def write_records(path: Path, records: Iterable[object]) -> int:
    """Write records as JSON lines, atomically, and return how many."""
    lines = [canonical_json(encode(record)) for record in records]
    write_atomic(path, "".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))
    return len(lines)


def read_records(path: Path, kind: type[R]) -> tuple[R, ...]:
    """Return the records of type `kind` in a JSON-lines file.

    Raises:
        StoreError: The file is missing or a line is not such a record; file and line are named.
    """
    try:
        # not splitlines(): U+2028 and the like may stand inside a text
        lines = path.read_bytes().decode("utf-8", "surrogatepass").split("\n")
    except FileNotFoundError as error:
        raise StoreError("the file is missing", where=path, todo="run the stage that writes it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the file cannot be read ({error})", where=path) from error
    records: list[R] = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            records.append(decode(kind, json.loads(line)))
        except (ValueError, DataError) as error:
            todo = "delete the stage's folder and run the same command again"
            raise StoreError(f"damaged record ({error})", where=f"{path}:{number}", todo=todo) from error
    return tuple(records)


def file_hash(path: Path) -> str:
    """Return `sha256:` and the digest of a file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
