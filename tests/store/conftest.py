"""A folder where syncing costs nothing, for tests that write thousands of files."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from publius.pipeline import context

collect_ignore = ["failing_disk.py", "racing.py"]  # programs that the tests start


@pytest.fixture(autouse=True)
def quick_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process runs hundreds of times here: no walk over all objects at each end."""
    monkeypatch.setattr(context, "return_memory", lambda: None)


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A folder of this test's own, in memory where there is one (Linux), else on disk."""
    yield from _folder()


@pytest.fixture(scope="module")
def quick_folder() -> Iterator[Path]:
    """The same for all tests of a file."""
    yield from _folder()


def _folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="publius-", dir=memory if memory.is_dir() else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
