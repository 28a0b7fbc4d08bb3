"""Write a directory so that it appears whole or not at all.

Paper: none.
"""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from publius.errors import StoreError


@contextmanager
def appearing_whole(out: Path) -> Generator[Path]:
    """Give a temporary sibling directory that becomes `out` when the block ends without an error.

    A directory that was at `out` before is replaced.

    Raises:
        StoreError: The disk is full or `out` cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            yield made
            _swap(made, out)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"cannot write this directory: {error.strerror or error}", where=out) from error


def check_disk(directory: Path, *, n_bytes: int, purpose: str) -> None:
    """Make `directory` if need be and check that its disk has room for `n_bytes`.

    Raises:
        StoreError: There is less room.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror or error}", where=directory) from error
    if free < n_bytes:
        raise StoreError(
            f"{purpose} needs about {n_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
            where=directory,
            todo="free some space, or set PUBLIUS_CACHE to a directory on a larger disk",
        )


def _swap(made: Path, out: Path) -> None:
    for file in made.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    made.chmod(0o755)  # mkdtemp makes it private
    try:
        made.rename(out)
    except OSError:
        if not out.is_dir():
            raise
        old = Path(mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
        out.rename(old)
        made.rename(out)
        shutil.rmtree(old, ignore_errors=True)
