"""Damaged files: a run finds out and mends it from the journal, or refuses by name; it is never wrong.

Every file of a finished run is cut at many places, has bits flipped, is emptied, lost or filled with
something else. The same command is then either refused with a Publius error or ends with exactly the
files and calls of the undamaged run.
"""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from publius.errors import PubliusError
from publius.pipeline.recipe import Recipe
from publius.pipeline.runner import StageEvent
from publius.pipeline.status import read_status

from .small_run import attempt, calls_of, files_of, make_recipe

_COUNTS = ("calls", "tokens")
_CUTS = 12
_FLIPS = 14
_JOURNAL_CUTS = 40
_JOURNAL_FLIPS = 120


class Finished(NamedTuple):
    """A whole run, and one whose process died right after its last call, with the WAL not yet folded."""

    recipe: Recipe
    whole: Path
    died: Path


@pytest.fixture(scope="module")
def finished(quick_folder: Path) -> Finished:
    recipe, whole, died = make_recipe(quick_folder), quick_folder / "whole", quick_folder / "died"

    def copy(event: StageEvent) -> None:
        if event.outcome == "done":
            shutil.copytree(whole, died)
            shutil.rmtree(died / "stages")

    assert attempt(recipe, whole, copy) == "done"
    assert (died / "journal.sqlite-wal").stat().st_size > 0
    return Finished(recipe, whole, died)


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def _flip(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]


def _damages(data: bytes, *, cuts: int, flips: int, seed: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield what to call a damage and the bytes it leaves; None: the file is gone."""
    draw = random.Random(seed)
    yield "gone", None
    yield "empty", b""
    yield "zeros", bytes(len(data))
    yield "noise", draw.randbytes(len(data))
    yield "other text", b"{}\n"
    yield "longer", data + b"\x00{]\xff"
    for i in range(cuts):
        yield f"cut {i}", _cut(data, draw)
    for i in range(flips):
        yield f"flip {i}", _flip(data, draw)


def _check(run: Path, finished: Finished) -> str:
    """Run the command and return how it ended, "wrong" if its result differs from the whole run's."""
    try:
        read_status(run)
    except PubliusError:
        pass
    except Exception as error:  # what a user would see as a crash is what this looks for
        return f"status crashes: {type(error).__name__}: {error}"
    ended = attempt(finished.recipe, run)
    if ended != "done":
        return ended
    # a call whose key was damaged is asked again and counts twice; that is bookkeeping, no answer
    if files_of(run, uncounted=_COUNTS) != files_of(finished.whole, uncounted=_COUNTS):
        return "wrong files"
    wanted, found = calls_of(finished.whole), calls_of(run)
    # the request beside a result is a note that nothing reads: its damage makes no answer wrong
    right = all(found[key][1] == result for key, (_, result) in wanted.items() if key in found)
    return "done" if right else "wrong answers"


def _try_all(
    start: Path, name: str, finished: Finished, folder: Path, *, n: tuple[int, int]
) -> dict[str, str]:
    """Return how the command ended after every damage to one file; `n` are how many cuts and flips."""
    ends: dict[str, str] = {}
    for what, left in _damages((start / name).read_bytes(), cuts=n[0], flips=n[1], seed=name):
        run = folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(start, run)
        if left is None:
            (run / name).unlink()
        else:
            (run / name).write_bytes(left)
        ends[f"{name}: {what}"] = _check(run, finished)
    return ends


def _wrong(ends: dict[str, str]) -> dict[str, str]:
    return {case: end for case, end in ends.items() if end not in ("done", "StoreError", "DataError")}


def test_a_damaged_file_of_a_finished_stage_is_made_again_or_refused(
    finished: Finished, quick_folder: Path
) -> None:
    names = [str(path.relative_to(finished.whole)) for path in finished.whole.rglob("*") if path.is_file()]
    names = sorted(set(names) - {"journal.sqlite"})
    assert {"recipe.json", "stages/revise/manifest.json", "stages/revise/chains.jsonl"} <= set(names)
    ends: dict[str, str] = {}
    for name in names:
        ends |= _try_all(finished.whole, name, finished, quick_folder, n=(_CUTS, _FLIPS))
    assert len(ends) > 200
    assert _wrong(ends) == {}


def test_a_damaged_journal_is_never_read_as_another_answer(finished: Finished, quick_folder: Path) -> None:
    folded = quick_folder / "folded"
    shutil.copytree(finished.whole, folded)
    shutil.rmtree(folded / "stages")
    n = (_JOURNAL_CUTS, _JOURNAL_FLIPS)
    ends = _try_all(folded, "journal.sqlite", finished, quick_folder, n=n)
    ends |= _try_all(finished.died, "journal.sqlite-wal", finished, quick_folder, n=n)
    ends |= _try_all(finished.died, "journal.sqlite", finished, quick_folder, n=(4, 4))
    ends |= _try_all(finished.died, "journal.sqlite-shm", finished, quick_folder, n=(4, 4))
    assert len(ends) > 200
    assert _wrong(ends) == {}


def test_an_emptied_journal_beside_finished_stages_is_refused(finished: Finished, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.whole, run)
    (run / "journal.sqlite").write_bytes(b"")
    assert attempt(finished.recipe, run) == "StoreError"
    (run / "journal.sqlite").unlink()
    assert attempt(finished.recipe, run) == "done"


def test_a_journal_of_a_later_format_is_refused(finished: Finished, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.whole, run)
    connection = sqlite3.connect(run / "journal.sqlite")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    assert attempt(finished.recipe, run) == "StoreError"
