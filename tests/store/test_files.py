"""Files are whole or absent; damage is named, never read as something else."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.errors import StoreError
from publius.records import Message
from publius.store import read_json, read_records, write_atomic, write_json, write_records


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"n": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full"):
        write_json(path, {"n": 2})
    assert read_json(path) == {"n": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


@given(texts=st.lists(st.text()))
def test_any_text_survives_a_file_of_records(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("records") / "r.jsonl"
    records = tuple(Message("user", text) for text in texts)
    assert write_records(path, records) == len(records)
    assert read_records(path, Message) == records


def test_lone_surrogates_and_line_separators_survive(tmp_path: Path) -> None:
    record = Message("user", "a\ud800b\u2028c\x85d\r\ne")
    write_records(tmp_path / "r.jsonl", [record])
    assert read_records(tmp_path / "r.jsonl", Message) == (record,)


def test_a_torn_file_of_records_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_records(path, [Message("user", "one"), Message("user", "two")])
    whole = path.read_bytes()
    for cut in range(whole.index(b"\n") + 2, len(whole) - 2):
        write_atomic(path, whole[:cut])
        with pytest.raises(StoreError, match=r"r\.jsonl:2"):
            read_records(path, Message)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run the stage"):
        read_records(tmp_path / "no.jsonl", Message)
    with pytest.raises(StoreError, match="run the stage"):
        read_json(tmp_path / "no.json")


def test_an_error_that_is_not_the_disks_is_not_blamed_on_it(tmp_path: Path) -> None:
    def records() -> Iterator[int]:
        yield 1
        raise FileNotFoundError(errno.ENOENT, "no model there")

    with pytest.raises(FileNotFoundError, match="no model there"):
        write_records(tmp_path / "rows.jsonl", records())
    assert list(tmp_path.iterdir()) == []


def test_what_feeds_a_file_is_closed_when_the_file_fails(tmp_path: Path) -> None:
    closed: list[bool] = []

    def records() -> Iterator[object]:
        try:
            yield 1
            yield float("nan")  # cannot be written
        finally:
            closed.append(True)

    with pytest.raises(ValueError, match="JSON compliant"):
        write_records(tmp_path / "rows.jsonl", records())
    assert closed == [True]
