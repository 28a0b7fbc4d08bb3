"""Several processes on one run: one works, the others wait their turn or are refused; nothing is doubled."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def cases(quick_folder: Path) -> list[dict[str, Any]]:
    script = Path(__file__).with_name("racing.py")
    done = subprocess.run(
        [sys.executable, str(script), str(quick_folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_kind(cases: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [case for case in cases if case["case"] == kind]


def test_processes_that_start_together_make_one_run(cases: list[dict[str, Any]]) -> None:
    races = of_kind(cases, "race")
    assert len(races) == 50
    for case in races:
        assert set(case["ends"]) <= {0, 3}, case  # done, or refused by name
        assert 0 in case["ends"], case
        assert case["same"], case


def test_a_held_run_is_refused_and_free_when_its_holder_is_gone(cases: list[dict[str, Any]]) -> None:
    held = of_kind(cases, "held")
    assert len(held) == 5
    for case in held:
        assert (case["named"], case["in_use"], case["code"], case["after"]) == (True, True, -9, "done"), case


def test_a_worker_that_outlives_its_killed_parent_does_not_keep_the_run(cases: list[dict[str, Any]]) -> None:
    orphans = of_kind(cases, "orphan")
    assert [case["after"] for case in orphans] == ["done"] * 5
