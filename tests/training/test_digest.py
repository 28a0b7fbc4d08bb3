"""Hashes name the content, whatever else changes."""

import hashlib
import os
from pathlib import Path

import pytest

from publius.errors import DataError
from publius.training import digest
from publius.training.digest import cache_dir, file_sha256, weights_hash


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUBLIUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "model.safetensors").write_bytes(b"weights")
    (directory / "config.json").write_text("{}")
    return directory


def test_the_cache_is_where_the_environment_says(cache: Path, monkeypatch: pytest.MonkeyPatch):
    assert cache_dir() == cache
    monkeypatch.delenv("PUBLIUS_CACHE")
    assert cache_dir() == Path.home() / ".cache" / "publius"


def test_a_file_hashes_to_its_sha256(tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"abc")
    assert weights_hash(path) == "sha256:" + hashlib.sha256(b"abc").hexdigest()


def test_a_directory_is_known_by_the_files_that_decide_its_answers(model: Path):
    before = weights_hash(model)
    (model / "README.md").write_text("hello")
    (model / "trainer_state.json").write_text("{}")
    assert weights_hash(model) == before
    (model / "chat_template.jinja").write_text("x")
    assert weights_hash(model) != before


def test_a_directory_hash_depends_on_weights_and_not_on_its_place(model: Path, tmp_path: Path):
    before = weights_hash(model)
    moved = model.rename(tmp_path / "elsewhere")
    assert weights_hash(moved) == before
    (moved / "model.safetensors").write_bytes(b"other weights")
    assert weights_hash(moved) != before


def test_a_large_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(digest, "_REMEMBER_FROM_BYTES", 1)
    path = tmp_path / "big.gguf"
    path.write_bytes(b"one")
    first = file_sha256(path)
    stat = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_sha256(path) == first  # same size, time and inode: remembered, not read
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert file_sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_a_damaged_note_is_ignored(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(digest, "_REMEMBER_FROM_BYTES", 1)
    path = tmp_path / "big.gguf"
    path.write_bytes(b"one")
    first = file_sha256(path)
    [note] = (cache / "hashes").iterdir()
    note.write_text("{broken")
    assert file_sha256(path) == first


def test_nothing_to_hash_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="no weights"):
        weights_hash(tmp_path / "missing")
