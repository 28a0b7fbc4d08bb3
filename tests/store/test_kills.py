"""A seeded slice of `benchmarks/kills.py`: real processes, a real server, every named point once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_POINTS = {
    *("before-commit", "after-commit", "before-rename", "torn-file", "after-rename"),
    *("mid-parquet", "mid-export", "before-manifest", "after-manifest"),
}


def test_killed_runs_end_as_if_nothing_had_happened() -> None:
    pytest.importorskip("httpx2")
    script = Path(__file__).parents[2] / "benchmarks" / "kills.py"
    command = [sys.executable, str(script), "--slice", "--items", "80", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert (figures["lost"], figures["doubled"], figures["changed"]) == (0, 0, 0), figures
    assert figures["identical"], figures
    assert figures["unexpected_calls"] == 0, figures
    assert set(figures["kills_by_point"]) == _POINTS | {"random"}, figures
    assert figures["kills"] >= 15, figures
    # what is asked again was in flight: sent or in line to be sent, which is twice the 20 connections
    assert figures["repeated_max"] <= 40, figures
