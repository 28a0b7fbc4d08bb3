"""A run directory: one process at a time, stages that are done or not, manifests written last.

A stage is done when its manifest names the same inputs that it would get now and every file that the
manifest lists is there in its size. Inputs include the hashes of the files that the stages before it
made. So running again does what is missing, and a change upstream makes exactly the stages below it
run again (their model calls still come from the journal where they are the same).

Paper: none.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from publius.engines.protocol import Engine
from publius.errors import StoreError
from publius.records import decode
from publius.store.calls import JournaledEngine, OnProgress
from publius.store.files import disk_error, file_hash, read_json, write_json
from publius.store.journal import Journal

JOURNAL = "journal.sqlite"
MANIFEST = "manifest.json"
_STARTED = "inputs.json"
_LOCK = "run.lock"
_LEAST_FREE_BYTES = 200 * 2**20


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage reports: how many rows it made, and figures (JSON) for the status and the report."""

    rows: int
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FileProof:
    """A file's size in bytes and `sha256:…` of its content."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StageManifest:
    """Proof that a stage is done: from what (`inputs`), with what result, into which files.

    `recipe` is the hash of the recipe for which it was last found to be up to date. `calls` counts the
    stage's model calls in the journal.
    """

    name: str
    inputs: str
    recipe: str
    seconds: float
    rows: int
    calls: int
    finished_at: str
    figures: Any
    files: dict[str, FileProof]


@dataclass(frozen=True)
class StageStore:
    """What a stage may touch: its own folder, the journal, the run's seed, and the progress line."""

    name: str
    path: Path
    journal: Journal
    seed: int
    on_progress: Callable[[str, int, int], None]

    def ask(self, engine: Engine, step: str) -> JournaledEngine:
        """Return `engine` behind the journal; its calls are kept under `stage/step`."""
        return JournaledEngine(
            engine, self.journal, step=f"{self.name}/{step}", on_progress=self.progress(step)
        )

    def progress(self, step: str) -> OnProgress:
        """Return a callback (done, total) for one step of this stage."""
        return lambda done, total: self.on_progress(step, done, total)


class Run:
    """An open, locked run directory."""

    def __init__(self, path: Path, journal: Journal, lock: IO[str]) -> None:
        self.path = path
        self.journal = journal
        self._lock = lock

    def stage_path(self, name: str) -> Path:
        """Return the folder of a stage."""
        return self.path / "stages" / name

    def manifest(self, name: str) -> StageManifest | None:
        """Return a stage's manifest, or None if the stage is not done."""
        return read_manifest(self.stage_path(name))

    def finished(self, name: str, inputs: str) -> StageManifest | None:
        """Return the stage's manifest if it is done for exactly these inputs, else None."""
        manifest = self.manifest(name)
        if manifest is None or manifest.inputs != inputs:
            return None
        folder = self.stage_path(name)
        whole = all(_size(folder / file) == proof.size for file, proof in manifest.files.items())
        return manifest if whole else None

    def confirm(self, manifest: StageManifest, recipe: str) -> StageManifest:
        """Return the manifest of a kept stage, noted as up to date for this recipe."""
        if manifest.recipe == recipe:
            return manifest
        confirmed = replace(manifest, recipe=recipe)
        write_json(self.stage_path(manifest.name) / MANIFEST, confirmed)
        return confirmed

    def begin(self, name: str, inputs: str) -> Path:
        """Return a stage's folder for these inputs, with what an interrupted try left in it.

        A folder of other inputs is put aside as `previous/NAME`, one a stage, and comes back when its
        inputs do; so trying a setting does not cost the models of the setting before.
        """
        folder, aside = self.stage_path(name), self.path / "previous" / name
        if folder.exists() and _started_from(folder) != inputs:
            back = aside.with_name(f".{name}.swap")
            shutil.rmtree(back, ignore_errors=True)
            aside.parent.mkdir(exist_ok=True)
            if aside.exists():
                aside.rename(back)
            folder.rename(aside)
            if back.exists() and _started_from(back) == inputs:
                back.rename(folder)
            shutil.rmtree(back, ignore_errors=True)
        write_json(folder / _STARTED, inputs)
        return folder

    def finish(
        self, name: str, inputs: str, *, recipe: str, result: StageResult, seconds: float
    ) -> StageManifest:
        """Write the stage's manifest, last of all, and return it."""
        folder = self.stage_path(name)
        files = {
            str(file.relative_to(folder)): FileProof(_size(file), file_hash(file))
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name != MANIFEST
        }
        manifest = StageManifest(
            name=name,
            inputs=inputs,
            recipe=recipe,
            seconds=round(seconds, 3),
            rows=result.rows,
            calls=self.journal.count(f"{name}/"),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            figures=result.figures,
            files=files,
        )
        write_json(folder / MANIFEST, manifest)
        return manifest

    def close(self) -> None:
        """Close the journal and give the run free for another process."""
        self.journal.close()
        self._lock.close()


@contextmanager
def open_run(path: Path) -> Generator[Run]:
    """Open a run directory (made if absent) for this process alone.

    Raises:
        StoreError: Another process works on the run, or the disk is (nearly) full or read-only.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / _LOCK).open("a+")
    except OSError as error:
        raise disk_error(error, path) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            todo = "wait until it ends, or give this run another directory with --out"
            raise StoreError(f"the run is in use by {owner}", where=path, todo=todo) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        free = shutil.disk_usage(path).free
        if free < _LEAST_FREE_BYTES:
            todo = "free some space and run the same command again"
            raise StoreError(f"only {free // 2**20} MB are free on this disk", where=path, todo=todo)
        run = Run(path, Journal(path / JOURNAL), lock)
        try:
            yield run
        finally:
            run.close()


def is_in_use(path: Path) -> bool:
    """Return whether a process holds the run."""
    try:
        with (path / _LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def read_manifest(folder: Path) -> StageManifest | None:
    """Return the manifest in a stage's folder, or None if the stage is not done."""
    path = folder / MANIFEST
    return decode(StageManifest, read_json(path)) if path.exists() else None


def _started_from(folder: Path) -> str | None:
    started = folder / _STARTED
    return read_json(started) if started.exists() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1
