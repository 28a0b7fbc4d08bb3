"""On a disk that is full, broken or read-only from any write on, a run says so and can be finished later.

Every write, sync, rename and deletion of the whole process is counted in C (`failing_disk.c`), SQLite's and
Arrow's too; each is once the first that fails, with each error. No file may be wrong afterwards.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cases(quick_folder: Path) -> list[dict[str, Any]]:
    """What happened in every case."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    library = quick_folder / "failing_disk.so"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(_HERE / "failing_disk.c"), "-ldl"]
    subprocess.run(command, check=True)
    done = subprocess.run(
        [sys.executable, str(_HERE / "failing_disk.py"), str(quick_folder)],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_failing_write_is_named_and_nothing_is_wrong_afterwards(cases: list[dict[str, Any]]) -> None:
    on_disk = [case for case in cases if case["case"] != "clock"]
    assert len(on_disk) >= 300
    for case in on_disk:
        assert case["broken"] in ("StoreError", "done"), case
        assert (case["after"], case["same"]) == ("done", True), case
    named = Counter(case["case"] for case in on_disk if case["broken"] == "StoreError")
    total = Counter(case["case"] for case in on_disk)
    # what is left is deleting and folding the journal at the end, which nothing depends on
    assert all(named[error] >= 0.8 * total[error] for error in total), (named, total)


def test_a_jumping_clock_changes_nothing(cases: list[dict[str, Any]]) -> None:
    jumps = [case for case in cases if case["case"] == "clock"]
    assert len(jumps) == 20
    for case in jumps:
        assert (case["broken"], case["after"], case["same"]) == ("done", "done", True), case
