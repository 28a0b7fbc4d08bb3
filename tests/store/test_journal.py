"""The journal keeps every row once, and refuses what it cannot read."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from publius.errors import StoreError
from publius.store.journal import Journal, Row


def row(key: str, result: object = 1) -> Row:
    return Row(key, "revise/draft", "sha256:m", json.dumps({"id": key}), json.dumps(result))


def test_rows_are_there_after_closing(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.put([row("a", {"text": "é\u2028"}), row("b")])
    with Journal(tmp_path / "j.sqlite") as journal:
        assert journal.get(["a", "b", "c"]) == {"a": {"text": "é\u2028"}, "b": 1}
        assert journal.count() == 2
        assert journal.count("revise/") == 2
        assert journal.count("label/") == 0


def test_a_key_keeps_its_first_result(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.put([row("a", 1)])
        journal.put([row("a", 2)])
        assert journal.get(["a"]) == {"a": 1}
        assert journal.count() == 1


def test_more_keys_than_sqlite_takes_at_once(tmp_path: Path) -> None:
    keys = [str(i) for i in range(2345)]
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.put([row(key) for key in keys])
        assert set(journal.get(keys)) == set(keys)


def test_a_commit_is_durable_by_settings(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        pragma = journal._connection.execute  # the settings are the promise
        assert pragma("PRAGMA synchronous").fetchone() == (2,)
        assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").write_bytes(b"not a database, but long enough to look like a file" * 40)
    with pytest.raises(StoreError, match="damaged"):
        Journal(tmp_path / "j.sqlite")


def test_a_journal_of_a_later_format_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "j.sqlite")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="format 99"):
        Journal(tmp_path / "j.sqlite")


def test_a_row_that_is_no_json_any_more_does_not_stop_the_counting(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.put([row("a", {"prompt_tokens": 3, "completion_tokens": 2}), row("b")])
        journal._connection.execute("UPDATE calls SET result = '{broken' WHERE key = 'b'")
        (spent,) = journal.spent()
        assert (spent.n_calls, spent.n_read, spent.n_written) == (1, 3, 2)
        assert journal.get(["a", "b"]) == {"a": {"prompt_tokens": 3, "completion_tokens": 2}}


# a process of its own: forking one that has threads is what the test is about to forbid
FORKED = """
import os, sys
from pathlib import Path
from publius.errors import StoreError
from publius.store.journal import Journal, Row

def row(key):
    return Row(key, "s", "m", "{}", "1")

journal = Journal(Path(sys.argv[1]))
journal.put([row("parent")])
child = os.fork()
if child == 0:
    refused = 0
    for use in (
        lambda: journal.put([row("child")]), lambda: journal.get(["parent"]), journal.count, journal.spent
    ):
        try:
            use()
        except StoreError as error:
            refused += "fork" in str(error) and "spawn" in str(error)
    journal.close()
    os._exit(10 + refused)
_, status = os.waitpid(child, 0)
journal.put([row("after")])
print(os.waitstatus_to_exitcode(status), journal.count(), sorted(journal.get(["parent", "child", "after"])))
journal.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_fork_of_the_process_that_opened_it_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("14 2 ['after', 'parent']\n", "")
    with Journal(path) as journal:
        assert set(journal.get(["parent", "child", "after"])) == {"parent", "after"}
