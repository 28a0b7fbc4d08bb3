"""Several processes on one run: the process of `test_processes.py`. Prints one JSON line a case.

It forks, so it runs by itself, without the threads that a test process may have.

Run: python racing.py FOLDER
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from small_run import attempt, calls_of, files_of, make_recipe

from publius.errors import StoreError
from publius.store import is_in_use, open_run


def forked(work: Callable[[], str]) -> int:
    """Do work in a forked process and return its id; it exits 0 if the work says "done", 3 if refused."""
    child = os.fork()
    if child:
        return child
    said = work()
    print(said, file=sys.stderr) if said not in ("done", "StoreError") else None
    os._exit({"done": 0, "StoreError": 3}.get(said, 1))


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def race(folder: Path) -> None:
    """Let two or three processes begin the same run at about the same time."""
    recipe, run, whole = make_recipe(folder), folder / "run", folder / "whole"
    assert attempt(recipe, whole) == "done"
    for seed in range(50):
        draw = random.Random(seed)
        shutil.rmtree(run, ignore_errors=True)

        def late(seconds: float) -> str:
            time.sleep(seconds)
            return attempt(recipe, run)

        waits = [draw.uniform(0, 0.04) for _ in range(draw.choice([2, 3]))]
        ends = [exit_code(child) for child in [forked(lambda wait=wait: late(wait)) for wait in waits]]
        same = files_of(run) == files_of(whole) and calls_of(run) == calls_of(whole)
        print(json.dumps({"case": "race", "ends": ends, "same": same}), flush=True)


def refuse(folder: Path) -> None:
    """Let a process hold the run while another wants it, kill the holder, and let the other go on."""
    recipe, run = make_recipe(folder), folder / "held"
    for _ in range(5):
        reading, writing = os.pipe()

        def hold(writing: int = writing) -> str:
            with open_run(run):
                os.write(writing, b"x")
                signal.pause()
            return "done"

        holder = forked(hold)
        os.read(reading, 1)
        try:
            with open_run(run):
                said = ""
        except StoreError as error:
            said = str(error)
        in_use = is_in_use(run)
        os.kill(holder, signal.SIGKILL)
        code = exit_code(holder)
        after = attempt(recipe, run)
        named = f"in use by process {holder}" in said
        print(json.dumps({"case": "held", "named": named, "in_use": in_use, "code": code, "after": after}))


def orphan(folder: Path) -> None:
    """Kill a process that holds the run while a worker that it forked lives on: the run is free."""
    recipe, run = make_recipe(folder), folder / "orphaned"
    for _ in range(5):
        reading, writing = os.pipe()
        waiting, waking = os.pipe()

        def hold(writing: int = writing, waiting: int = waiting, waking: int = waking) -> str:
            with open_run(run):
                if os.fork() == 0:
                    os.close(waking)
                    os.write(writing, b"x")
                    os.read(waiting, 1)  # until the test is over
                    os._exit(0)
                signal.pause()
            return "done"

        holder = forked(hold)
        os.close(waiting)
        os.read(reading, 1)
        os.kill(holder, signal.SIGKILL)
        exit_code(holder)
        after = attempt(recipe, run)
        os.close(waking)
        print(json.dumps({"case": "orphan", "after": after}))


if __name__ == "__main__":
    for scene in (race, refuse, orphan):
        scene(Path(sys.argv[1]))
