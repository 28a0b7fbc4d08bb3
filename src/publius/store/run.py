"""A run directory: one process at a time, stages that are done or not, manifests written last.

A stage is done when its manifest names the same inputs that it would get now and every file that the
manifest lists is there, unchanged. Inputs include the hashes of the files that it reads of the stages
before it. So running again does what is missing, and a change upstream makes exactly those stages run again
that read what it changed (their model calls still come from the journal where they are the same).

Names that begin with a dot are of writes that were not finished: they belong to no stage and go when the
stage begins again.

Paper: none.
"""

import os
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from publius.engines.protocol import Engine
from publius.errors import StoreError
from publius.records import content_hash, decode, encode
from publius.store.budget import Budget
from publius.store.calls import JournaledEngine, OnProgress
from publius.store.files import disk_error, read_json, write_json
from publius.store.journal import Journal
from publius.store.lock import lock_run
from publius.store.memory import peak_memory
from publius.training.digest import file_sha256

JOURNAL = "journal.sqlite"
MANIFEST = "manifest.json"
CARD = "README.md"  # tells of a model, later stages too; it is no part of what a stage made
_STARTED = "inputs.json"
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

    `recipe` is the hash of the recipe for which it was last found to be up to date. `calls` and `tokens`
    (read and written) count the stage's model calls in the journal. `peak_memory` is the most resident
    memory that the process which ended the stage had had until then, in bytes.
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
    tokens: int | None = None
    peak_memory: int | None = None


@dataclass(frozen=True)
class StageStore:
    """What a stage may touch: its own folder, the journal, the run's seed, and the progress line.

    `used` counts the answers that it got, those from the journal too; `budget` limits new ones.
    """

    name: str
    path: Path
    journal: Journal
    seed: int
    on_progress: Callable[[str, int, int], None]
    budget: Budget = field(default_factory=Budget)
    used: Budget = field(default_factory=Budget)

    def ask(self, engine: Engine, step: str) -> JournaledEngine:
        """Return `engine` behind the journal; its calls are kept under `stage/step`."""
        return JournaledEngine(
            engine,
            self.journal,
            step=f"{self.name}/{step}",
            on_progress=self.progress(step),
            budget=self.budget,
            used=self.used,
        )

    def progress(self, step: str) -> OnProgress:
        """Return a callback (done, total) for one step of this stage."""
        return lambda done, total: self.on_progress(step, done, total)


class Run:
    """An open, locked run directory."""

    def __init__(self, path: Path, journal: Journal, *, is_shared: bool = False) -> None:
        self.path = path
        self.journal = journal
        self.is_shared = is_shared
        self._proven: set[tuple[Path, FileProof]] = set()

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
        whole = all(
            self._is_whole(folder / file, proof)
            for file, proof in manifest.files.items()
            if Path(file).name != CARD
        )
        return manifest if whole else None

    def _is_whole(self, file: Path, proof: FileProof) -> bool:
        """Return whether a file is what its proof says; its bytes are read once a process."""
        if _size(file) != proof.size:
            return False
        if (file, proof) not in self._proven:
            if f"sha256:{file_sha256(file)}" != proof.sha256:
                return False
            self._proven.add((file, proof))
        return True

    def take_over(self, name: str, inputs: str, siblings: Sequence[Path]) -> StageManifest | None:
        """Take a stage over from the first of other runs in which it is done for exactly these inputs.

        The stage has begun here. Its files are linked (copied where the disk cannot), its manifest last.
        """
        folder = self.stage_path(name)
        for sibling in siblings:
            theirs = sibling / "stages" / name
            manifest = read_manifest(theirs)
            if manifest is None or manifest.inputs != inputs:
                continue
            try:
                for file in manifest.files:
                    _link(theirs / file, folder / file)
            except OSError as error:
                raise disk_error(error, folder) from error
            _write_manifest(folder, manifest)
            return self.finished(name, inputs)
        return None

    def confirm(self, manifest: StageManifest, recipe: str) -> StageManifest:
        """Return the manifest of a kept stage, noted as up to date for this recipe."""
        if manifest.recipe == recipe:
            return manifest
        confirmed = replace(manifest, recipe=recipe)
        _write_manifest(self.stage_path(manifest.name), confirmed)
        return confirmed

    def begin(self, name: str, inputs: str) -> Path:
        """Return a stage's folder for these inputs, with what an interrupted try left in it.

        A folder of other inputs is put aside as `previous/NAME`, one a stage, and comes back when its
        inputs do; so trying a setting does not cost the models of the setting before.
        """
        folder = self.stage_path(name)
        try:
            self._change_places(name, inputs)
            _clear_unfinished(folder)
        except OSError as error:
            raise disk_error(error, folder) from error
        write_json(folder / _STARTED, inputs)
        return folder

    def _change_places(self, name: str, inputs: str) -> None:
        """Put a folder of other inputs aside and take back the one of these, if it is there.

        Killed between two renames, it is as before or can be put so; what is of no further use loses its
        name before it is deleted.
        """
        folder, aside = self.stage_path(name), self.path / "previous" / name
        back, gone = aside.with_name(f".{name}.swap"), aside.with_name(f".{name}.gone")
        if back.exists() and aside.exists() and not folder.exists():  # killed: the folder was aside already
            aside.rename(folder)
        if back.exists() and not aside.exists():
            back.rename(aside)
        if folder.exists() and _started_from(folder) != inputs:
            aside.parent.mkdir(exist_ok=True)
            if aside.exists():
                aside.rename(back)
            folder.rename(aside)
        wanted = back if back.exists() else aside
        if not folder.exists() and _started_from(wanted) == inputs:
            wanted.rename(folder)
        if back.exists():
            shutil.rmtree(gone, ignore_errors=True)
            back.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def finish(
        self,
        name: str,
        inputs: str,
        *,
        recipe: str,
        result: StageResult,
        seconds: float,
        used: Budget | None = None,
    ) -> StageManifest:
        """Write the stage's manifest, last of all, and return it.

        `used` is what the stage's answers cost: a journal that runs share does not say whose a call is.
        """
        folder = self.stage_path(name)
        files = {
            str(file.relative_to(folder)): FileProof(_size(file), f"sha256:{file_sha256(file)}")
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name not in (MANIFEST, CARD) and not _is_unfinished(file, folder)
        }
        if used is None or not self.is_shared:
            used = Budget()
            for item in self.journal.spent(f"{name}/"):
                used.add(item.model, n_calls=item.n_calls, n_read=item.n_read, n_written=item.n_written)
        manifest = StageManifest(
            name=name,
            inputs=inputs,
            recipe=recipe,
            seconds=round(seconds, 3),
            rows=result.rows,
            calls=used.calls,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            figures=result.figures,
            files=files,
            tokens=used.tokens,
            peak_memory=peak_memory(),
        )
        _write_manifest(folder, manifest)
        return manifest

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()


@contextmanager
def open_run(path: Path, *, journal: Journal | None = None) -> Generator[Run]:
    """Open a run directory (made if absent) for this process alone.

    `journal` is that of an experiment, which its runs share: what two of them would ask alike is asked once.
    It stays open. A run that is not part of one has a journal of its own.

    Raises:
        StoreError: Another process works on the run, or the disk is (nearly) full or read-only.
    """
    with lock_run(path):
        try:
            for left in path.glob(".*.tmp"):
                left.unlink(missing_ok=True)
            free = shutil.disk_usage(path).free
        except OSError as error:
            raise disk_error(error, path) from error
        if free < _LEAST_FREE_BYTES:
            todo = "free some space and run the same command again"
            raise StoreError(f"only {free // 2**20} MB are free on this disk", where=path, todo=todo)
        if journal is None and _size(path / JOURNAL) == 0 and any((path / "stages").glob(f"*/{MANIFEST}")):
            todo = "restore the file from a copy, or delete it to ask the models for everything again"
            raise StoreError("the journal is empty, yet stages are done", where=path / JOURNAL, todo=todo)
        run = Run(path, journal or Journal(path / JOURNAL), is_shared=journal is not None)
        try:
            yield run
        finally:
            if journal is None:
                run.close()


@contextmanager
def open_beside(path: Path) -> Generator[Run]:
    """Open a run that another process of the same command holds, to read what it wrote and train with it.

    The journal is an empty one in memory: only the process that holds the run asks models.
    """
    run = Run(path, Journal(Path(":memory:")))
    try:
        yield run
    finally:
        run.close()


def read_manifest(folder: Path) -> StageManifest | None:
    """Return the manifest in a stage's folder, or None if the stage is not done.

    Raises:
        StoreError: The file is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    written = read_json(path)
    if not isinstance(written, dict) or written.get("check") != content_hash(_unchecked(written)):
        todo = "delete the file and run the same command again"
        raise StoreError("the file is damaged (its content does not fit its hash)", where=path, todo=todo)
    return decode(StageManifest, _unchecked(written))


def _write_manifest(folder: Path, manifest: StageManifest) -> None:
    """Write a manifest with its own hash, so that it cannot change unseen."""
    write_json(folder / MANIFEST, encode(manifest) | {"check": content_hash(manifest)})


def _unchecked(written: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in written.items() if key != "check"}


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`; files of a run are replaced, never changed in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.link")
    fresh.unlink(missing_ok=True)
    try:
        os.link(source, fresh)
    except OSError:  # no links on this disk, or none across disks
        shutil.copy2(source, fresh)
    fresh.replace(target)


def _started_from(folder: Path) -> str | None:
    started = folder / _STARTED
    return read_json(started) if started.exists() else None


def _clear_unfinished(folder: Path) -> None:
    for left in [path for path in folder.rglob("*") if path.name.startswith(".")]:
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _is_unfinished(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1
