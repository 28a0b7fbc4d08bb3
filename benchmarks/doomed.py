"""Run the command `publius` so that the process dies at a named point, without a word.

The points lie around the functions that make a run durable. They are wrapped here, from outside: the
product knows nothing of them. The process leaves by `os._exit(137)`, as after SIGKILL: no handler runs,
nothing is flushed.

Run: .venv/bin/python benchmarks/doomed.py --die before-commit:3 -- run my.toml --out runs/mine
"""

import argparse
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

POINTS = (
    "before-commit",  # answers have come, none of them is in the journal
    "after-commit",  # they are in the journal, nothing else knows
    "before-rename",  # a file is written under its temporary name
    "torn-file",  # half of a file is written under its temporary name
    "after-rename",  # a file has its name, its directory is not synced
    "mid-parquet",  # a table is being written
    "mid-export",  # some of the exported files are there
    "before-manifest",  # all of a stage but its manifest is there
    "after-manifest",  # the manifest is there, nobody was told
)


def die_at(point: str, nth: int) -> None:
    """Arm a point: the process ends at its `nth` hit, counted from 1."""
    left = [nth]

    def hit() -> bool:
        left[0] -= 1
        return left[0] == 0

    if point in ("before-commit", "after-commit"):
        _wrap_commit(hit, before=point == "before-commit")
    elif point == "torn-file":
        _wrap_fsync(hit)
    elif point == "mid-parquet":
        _wrap_parquet(hit)
    else:
        _wrap_replace(hit, point)


def _die() -> None:
    os._exit(137)


def _wrap_commit(hit: Callable[[], bool], *, before: bool) -> None:
    from publius.store.journal import Journal

    put = Journal.put

    @functools.wraps(put)
    def doomed(self: Journal, *arguments: Any, **named: Any) -> None:
        dies = hit()
        if dies and before:
            _die()
        put(self, *arguments, **named)
        if dies:
            _die()

    Journal.put = doomed


def _wrap_replace(hit: Callable[[], bool], point: str) -> None:
    move = os.replace

    def concerns(target: Path) -> bool:
        if point == "mid-export":
            return target.parent.name == "export"
        is_manifest = target.name == "manifest.json"
        return is_manifest if point.endswith("-manifest") else not is_manifest and "stages" in target.parts

    def doomed(source: Any, target: Any, **named: Any) -> None:
        dies = concerns(Path(os.fsdecode(target))) and hit()
        if dies and not point.startswith("after"):
            _die()
        move(source, target, **named)
        if dies:
            _die()

    os.replace = doomed


def _wrap_fsync(hit: Callable[[], bool]) -> None:
    sync = os.fsync

    def doomed(handle: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if name.suffix == ".tmp" and "stages" in name.parts and hit():
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            _die()
        sync(handle)

    os.fsync = doomed


def _wrap_parquet(hit: Callable[[], bool]) -> None:
    import pyarrow.parquet as pq

    write = pq.ParquetWriter.write_table

    def doomed(self: Any, *arguments: Any, **named: Any) -> None:
        write(self, *arguments, **named)
        if hit():
            _die()  # the rows are written, the footer is not

    pq.ParquetWriter.write_table = doomed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--die", metavar="POINT:N", help=f"one of {', '.join(POINTS)}, at its Nth hit")
    parser.add_argument("command", nargs="+", help="the arguments of publius, after --")
    chosen = parser.parse_args()
    from publius.cli import main as publius

    if chosen.die:
        point, _, nth = chosen.die.partition(":")
        if point not in POINTS:
            parser.error(f"there is no point {point!r}")
        die_at(point, int(nth or 1))
    sys.argv = ["publius", *chosen.command]
    publius()


if __name__ == "__main__":
    main()
