"""Trainers in processes of their own that take turns, so that a busy moment is everybody's.

A worker is the benchmark's own file, run with `--worker NAME --given FILE`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import publius

_COMPARISONS = "PUBLIUS_COMPARISONS"  # names the file of comparisons, where --data does not


def comparing(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every comparison with TRL's trainers takes; workers have two arguments more."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", default=os.environ.get(_COMPARISONS), help="a file of comparisons")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--given", type=Path, help=argparse.SUPPRESS)
    return parser


def comparisons_of(arguments: argparse.Namespace) -> str:
    """Return where the texts come from: --data, or the audit set, and then a line says so."""
    if not arguments.data:
        print(f"no --data and no {_COMPARISONS}: the audit set, whose texts are short", file=sys.stderr)
    return arguments.data or "audit"


def relative_difference(mine: Any, other: Any) -> float:
    """Return the norm of the difference of two tensors over that of the other.

    A value that is not a number, or nothing, ends the benchmark: `max` would pass over it.
    """
    if not mine.isfinite().all() or not other.norm() > 0:
        raise SystemExit("a value is not a number, or nothing")
    return ((mine - other).norm() / other.norm()).item()


def work_in_turns(
    build: Callable[[Path], Any],
    *,
    steps: int,
    is_ours: bool,
    look: Callable[[], Mapping[str, float]] = dict,
) -> None:
    """Train what `build` makes in this process: wait for a line before each turn, write its seconds after.

    A turn is `steps` optimizer steps; the last may be shorter. What `look` finds after it is told too. What
    is ours trains as our stages do, with freed memory kept.
    """
    from transformers import TrainerCallback

    from publius.training.callbacks import attach
    from publius.training.environment import quiet
    from publius.training.memory import keep_freed_memory

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print what they like

    def say(**answer: float) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    class Turns(TrainerCallback):
        began = cpu_began = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % steps == 0:
                say(ready=1)
                sys.stdin.readline()
                self.began, self.cpu_began = time.perf_counter(), time.process_time()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % steps == 0 or state.global_step == state.max_steps:
                say(
                    seconds=time.perf_counter() - self.began,
                    cpu_seconds=time.process_time() - self.cpu_began,
                    **look(),
                )

    with quiet(), tempfile.TemporaryDirectory() as folder:
        trainer = build(Path(folder))
        attach(trainer, Turns())
        with keep_freed_memory() if is_ours else nullcontext():
            trainer.train()
    say(peak_mb=peak_mb())


def peak_mb() -> float:
    """Return the largest resident memory of this process so far."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


class Worker:
    """A trainer in a process of its own."""

    def __init__(self, benchmark: str, name: str, given: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, benchmark, "--worker", name, "--given", str(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(publius.__file__).parent.parent)},
        )

    def read(self) -> dict[str, float]:
        """Return the next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a trainer's process ended before its time; its error is above")
        return json.loads(line)

    def turn(self) -> dict[str, float]:
        """Let it train for a turn and return its seconds, on the clock and of the processor."""
        assert self._process.stdin is not None
        self.read()
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self.read()

    def end(self) -> float:
        """Return its peak of memory, in MB, when it has ended."""
        peak = self.read()["peak_mb"]
        self._process.wait()
        return peak

    def kill(self) -> None:
        """End the process if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def run_turns(
    benchmark: str, names: Sequence[str], given: Path, *, turns: int
) -> tuple[dict[str, list[dict[str, float]]], dict[str, float]]:
    """Return what every trainer's turns took and its peak of memory in MB."""
    workers = {name: Worker(benchmark, name, given) for name in names}
    took: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    try:
        for turn in range(turns):
            shift = turn % len(names)
            for name in (*names[shift:], *names[:shift]):
                took[name].append(workers[name].turn())
                print(f"turn {turn}: {name} {took[name][-1]['seconds']:.1f} s", file=sys.stderr)
        return took, {name: worker.end() for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.kill()


def run_exact(benchmark: str, rows: Any, given: Path) -> dict[str, float]:
    """Return what the benchmark's worker "exact" finds about some rows, in a process of its own."""
    given.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, benchmark, "--worker", "exact", "--given", str(given)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1])


def total_seconds(turns: Sequence[dict[str, float]]) -> float:
    """Return the time of all turns on the clock."""
    return sum(turn["seconds"] for turn in turns)
