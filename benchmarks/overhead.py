"""What the harness itself costs: an engine that answers at once, every answer durable in the journal.

Prompts become answers and a file of records, by the functions that the stages use. Measured for 100,000 and
1,000,000 rows, each in a process of its own: rows a second, how the time grows, and the peak of memory.

Run: .venv/bin/python benchmarks/overhead.py --json
"""

import argparse
import json
import platform
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import publius
from publius.engines.answers import sample_answers
from publius.engines.protocol import (
    Answer,
    Capabilities,
    Completion,
    ModelIdentity,
    Request,
    Sampling,
)
from publius.records import Conversation, Demonstration, Prompt, user
from publius.revise.demonstrations import helpful_demonstrations
from publius.store import Journal, JournaledEngine, write_records

SIZES = (100_000, 1_000_000)
ANSWER = "Bring water to the boil, put the eggs in with a spoon, and wait seven minutes. "


class Instant:
    """An engine that has the answer already."""

    def __init__(self) -> None:
        self.model = ModelIdentity("instant", "sha256:instant", "instant")
        self.capabilities = Capabilities(True, False, False, max_context=4096, look_ahead=256)
        self._asked: list[Request] = []

    def count_tokens(self, messages: Conversation) -> int:
        return 20

    def submit(self, requests: Sequence[Request]) -> None:
        self._asked += requests

    def wait(self) -> Sequence[Answer]:
        asked, self._asked = self._asked, []
        return [Completion(item.id, ANSWER + item.id, "stop", 20, 20) for item in asked]

    def cancel(self) -> None:
        self._asked = []

    def close(self) -> None:
        self._asked = []


def prompts(n: int) -> Iterator[Prompt]:
    """Yield prompts one by one: their source is no part of what is measured."""
    for i in range(n):
        text = f"How long do I boil egg number {i}, if it comes out of the fridge and is rather large?"
        yield Prompt(f"prompt-{i:07d}", "helpful", "cooking", "train", (user(text),))


def demonstrations(run: JournaledEngine, n: int) -> Iterator[Demonstration]:
    """Yield what the revise stage makes of helpful prompts."""
    answers = sample_answers(prompts(n), run.run, sampling=Sampling(64), seed=0)
    for prompt, texts in zip(prompts(n), answers, strict=True):
        yield from helpful_demonstrations(prompt, texts)


def measure(n: int) -> dict[str, float]:
    """Return the seconds and the peak of memory (MB) of n rows in a new run."""
    folder = Path(tempfile.mkdtemp(prefix="overhead-", dir=Path.cwd()))
    try:
        began = time.perf_counter()
        with Journal(folder / "journal.sqlite") as journal:
            asker = JournaledEngine(Instant(), journal, step="revise/draft")
            n_written = write_records(folder / "demonstrations.jsonl", demonstrations(asker, n))
            n_kept = journal.count()
        seconds = time.perf_counter() - began
        if (n_written, n_kept) != (n, n):
            raise SystemExit(f"{n_written} rows written and {n_kept} kept of {n}")
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": seconds, "peak_mb": peak_mb}
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, help="Measure only this many rows, here, and print it.")
    arguments = parser.parse_args()
    if arguments.rows:
        print(json.dumps(measure(arguments.rows)))
        return
    measured = []
    for n in SIZES:
        command = [sys.executable, __file__, "--rows", str(n)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        measured.append(json.loads(done.stdout))
    small, large = measured
    result = {
        "benchmark": "overhead",
        "figures": {
            "rows_per_s": round(SIZES[1] / large["seconds"]),
            "scale_ratio": round(large["seconds"] / small["seconds"], 2),
            "peak_mb": round(large["peak_mb"]),
            "peak_mb_small": round(small["peak_mb"]),
        },
        "n": SIZES[1],
        "versions": {
            "python": platform.python_version(),
            "publius": publius.__version__,
            "sqlite": sqlite3.sqlite_version,
        },
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        for key, value in result["figures"].items():
            print(f"{key}: {value}")


if __name__ == "__main__":
    main()
