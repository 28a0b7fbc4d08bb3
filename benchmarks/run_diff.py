"""Compare a run that was broken with one that was not: rows lost, doubled and changed, and bytes.

Every file that a stage writes is compared byte by byte. Of a manifest, all is compared but its times, its
memory and the hash of the recipe, which names the server's address. Rows are those of every JSON-lines and
Parquet file and of the journal.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

_OWN = ("seconds", "peak_memory", "finished_at", "recipe", "check")


class Difference(NamedTuple):
    """What a broken run has less, more and otherwise than the unbroken one."""

    lost: int
    doubled: int
    changed: int
    differing_files: tuple[str, ...]


def compare_runs(unbroken: Path, broken: Path) -> Difference:
    """Return how the finished run `broken` differs from the finished run `unbroken`."""
    wanted, found = Counter(_rows(unbroken)), Counter(_rows(broken))
    n_wanted, n_found = _by_place(wanted), _by_place(found)
    lost = sum((n_wanted - n_found).values())
    doubled = sum((n_found - n_wanted).values())
    changed = sum((wanted - found).values()) - lost
    ours, theirs = _files(unbroken), _files(broken)
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return Difference(lost, doubled, changed, tuple(differing))


def _by_place(rows: Counter[tuple[str, str, str]]) -> Counter[tuple[str, str]]:
    places = Counter[tuple[str, str]]()
    for (file, id, _), n in rows.items():
        places[file, id] += n
    return places


def _rows(run: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (file, id, content) of every row."""
    for path in sorted((run / "stages").rglob("*.jsonl")):
        for line in path.read_bytes().split(b"\n"):
            if line:
                yield str(path.relative_to(run)), _id(json.loads(line)), line.decode("utf-8", "surrogatepass")
    for path in sorted((run / "stages").rglob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            yield str(path.relative_to(run)), _id(row), json.dumps(row, sort_keys=True)
    connection = sqlite3.connect(f"file:{run / 'journal.sqlite'}?mode=ro", uri=True)
    try:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            raise SystemExit(f"{run / 'journal.sqlite'} is damaged")
        for key, request, result in connection.execute("SELECT key, request, result FROM calls"):
            yield "journal", key, f"{request} {result}"
    finally:
        connection.close()


def _id(row: dict[str, Any]) -> str:
    for name in ("comparison", "prompt"):
        if isinstance(row.get(name), dict):
            return str(row[name]["id"])
    return f"{row.get('id')}/{row.get('round')}"


def _files(run: Path) -> dict[str, str]:
    """Return the hash of every file of a stage; of a manifest, the hash of what it shares with other runs."""
    found: dict[str, str] = {}
    for path in sorted((run / "stages").rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "manifest.json":
                kept = {name: value for name, value in json.loads(data).items() if name not in _OWN}
                data = json.dumps(kept, sort_keys=True).encode()
            found[str(path.relative_to(run))] = hashlib.sha256(data).hexdigest()
    return found
