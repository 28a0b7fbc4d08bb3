"""The journal: one SQLite row per finished model call, under a key that hashes all that made it.

WAL with synchronous=FULL and exactly one connection: SQLite before 3.51.3 can lose the WAL when two
connections write and checkpoint at once, and many Pythons carry such a version. A row is on disk
when `put` returns. Every row carries a hash of itself, since SQLite does not notice a bit that flips in a
text: a damaged row counts as absent, so that its call is asked again. Two processes with one connection, as
after a fork, can destroy the file, so only the process that opened the journal may use it.

Paper: none.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from publius.errors import StoreError
from publius.store.files import disk_error

SCHEMA_VERSION = 3
_SCHEMA = """
CREATE TABLE calls (
    key     TEXT PRIMARY KEY,
    step    TEXT NOT NULL,
    model   TEXT NOT NULL,
    request TEXT NOT NULL,
    result  TEXT NOT NULL,
    created TEXT NOT NULL,
    proof   TEXT NOT NULL
)
"""
# rows lie in the order they came, and only the index of keys grows at random places: with room for its
# pages, and checkpoints of 32 MB, a million rows take ten times as long as a hundred thousand
_PAGES = "PRAGMA cache_size=-24576", "PRAGMA wal_autocheckpoint=8000"
_MOST_VARIABLES = 500  # SQLite allows 999 in old builds


@dataclass(frozen=True, slots=True)
class Row:
    """A finished call: its key, its step, the model's engine and revision, request and result as JSON."""

    key: str
    step: str
    model: str
    request: str
    result: str


@dataclass(frozen=True, slots=True)
class Spent:
    """The calls of one model in a journal, and the tokens that they read and wrote."""

    model: str
    n_calls: int
    n_read: int
    n_written: int


class Journal:
    """The calls of one run. Open it once a run; close it or use it in a `with`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._process = os.getpid()
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            for pragma in _PAGES:
                self._connection.execute(pragma)
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._connection.execute("BEGIN")
                self._connection.execute(_SCHEMA)
                self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                self._connection.execute("COMMIT")
            elif version != SCHEMA_VERSION:
                raise StoreError(
                    f"the journal has format {version}, this Publius reads {SCHEMA_VERSION}",
                    where=path,
                    todo="use the Publius version that wrote it, or another --out directory",
                )
        except sqlite3.DatabaseError as error:
            raise _journal_error(error, path) from error

    def get(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the results that are there, by key."""
        found: dict[str, Any] = {}
        for start in range(0, len(keys), _MOST_VARIABLES):
            part = keys[start : start + _MOST_VARIABLES]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, step, result, proof FROM calls WHERE key IN ({marks})"
            try:
                rows = self._ours().execute(query, part).fetchall()
                damaged = [(key,) for key, step, result, proof in rows if proof != _proof(key, step, result)]
                self._connection.executemany("DELETE FROM calls WHERE key = ?", damaged)
            except sqlite3.DatabaseError as error:
                raise _journal_error(error, self._path) from error
            whole = {key: result for key, _, result, _ in rows if (key,) not in damaged}
            found.update((key, json.loads(result)) for key, result in whole.items())
        return found

    def put(self, rows: Iterable[Row]) -> None:
        """Store finished calls in one transaction; a key that is there already keeps its first result."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        values = [
            (
                row.key,
                row.step,
                row.model,
                row.request,
                row.result,
                now,
                _proof(row.key, row.step, row.result),
            )
            for row in rows
        ]
        connection = self._ours()
        try:
            connection.execute("BEGIN")
            connection.executemany("INSERT OR IGNORE INTO calls VALUES (?,?,?,?,?,?,?)", values)
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError):
                raise _journal_error(error, self._path) from error
            raise

    def count(self, step_prefix: str = "") -> int:
        """Return how many calls are stored for steps that begin with `step_prefix`."""
        query = "SELECT count(*) FROM calls WHERE substr(step, 1, ?) = ?"
        try:
            return int(self._ours().execute(query, (len(step_prefix), step_prefix)).fetchone()[0])
        except sqlite3.DatabaseError as error:
            raise _journal_error(error, self._path) from error

    def spent(self, step_prefix: str = "") -> tuple[Spent, ...]:
        """Return what every model was called, read and wrote in steps that begin so."""
        read = "coalesce(json_extract(result, '$.prompt_tokens'), json_extract(result, '$.n_tokens'))"
        query = (
            "SELECT model, total(coalesce(json_extract(result, '$.n_calls'), 1)), "
            f"total({read}), total(json_extract(result, '$.completion_tokens')) "
            "FROM calls WHERE substr(step, 1, ?) = ? AND json_valid(result) GROUP BY model ORDER BY model"
        )
        try:
            rows = self._ours().execute(query, (len(step_prefix), step_prefix)).fetchall()
        except sqlite3.DatabaseError as error:
            raise _journal_error(error, self._path) from error
        return tuple(Spent(model, int(n), int(read), int(written)) for model, n, read, written in rows)

    def close(self) -> None:
        """Close the connection; the WAL is folded into the file. In a process that was forked: nothing."""
        if os.getpid() == self._process:
            self._connection.close()

    def _ours(self) -> sqlite3.Connection:
        """Return the connection.

        Raises:
            StoreError: Another process opened it, and this one was forked from that.
        """
        if os.getpid() != self._process:
            raise StoreError(
                f"process {self._process} opened the journal, and this is a fork of it",
                where=self._path,
                todo="open the run in the process that works on it, or start that one by 'spawn'",
            )
        return self._connection

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _proof(key: str, step: str, result: str) -> str:
    text = f"{key}\0{step}\0{result}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _journal_error(error: sqlite3.DatabaseError, path: Path) -> StoreError:
    text = str(error)
    if "full" in text:
        return disk_error(OSError(28, text), path)
    if "readonly" in text or "unable to open" in text:
        return StoreError(f"the journal cannot be written ({text})", where=path, todo="check the permissions")
    todo = "move this run directory away and start again, or restore the file from a copy"
    return StoreError(f"the journal is damaged ({text})", where=path, todo=todo)
