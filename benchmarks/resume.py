"""Kill trainings again and again, go on with the same call, and compare with a training nobody touched.

Every kind of training (SFT, DPO, preference model, RL by GRPO, by RLOO and by low-rank updates) trains a
Llama of 60,000 weights in float32 on one thread, in a process of its own that gets SIGKILL. Of twenty kills
ten come after a time drawn from the length of the unbroken training, five while a checkpoint is written,
three while the model is saved and two once it has its name. A training that ends before its kill came is
compared, and the next one begins. The figures, over all kinds and by kind:

    kills, trainings      how many processes were killed, in how many trainings that then ended
    before_checkpoint     kills before the first whole checkpoint
    in_checkpoint         kills that left a checkpoint half written
    in_save               kills between the last step and the result's name
    in_place              kills after that, when what the training needed is being removed
    repeated_mean         steps made again because of a kill, of those before the result had its name
    repeated_in_place     the same of the others
    values                losses, figures and hashes compared in each training, times apart
    differing             of all of them, those that are not equal to the bit
    differing_files       files of the results that do not have the unbroken one's bytes, or are one too many

Run: .venv/bin/python benchmarks/resume.py --kills 20 --json
"""

import argparse
import glob
import hashlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from command import start_python
from shown import show, versions
from small_trainings import TRAININGS, Length
from tiny_model import write_tiny_model

LENGTH = Length(times=3, checkpoint_every=4)
KINDS = ("sft", "dpo", "pm", "rl", "rloo", "rl-lora")
_PLAN = "rcrmrcrprcrmrcrprcrm"
_DEATHS = {"r": "random", "c": "checkpoint", "m": "save", "p": "place"}
_COUNTED = (
    *("kills", "trainings", "before_checkpoint", "in_checkpoint", "in_save", "in_place"),
    *("differing", "differing_files"),
)
_TRAIN = """
import os, sys, torch
from pathlib import Path
from publius.records import canonical_json, encode
from small_trainings import TRAININGS, Length
torch.set_num_threads(1)
kind, start, folder, times, every = sys.argv[1:]
steps = os.open(Path(folder, "steps"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
length = Length(int(times), int(every))
tell = lambda done, total: os.write(steps, f"{done}\\n".encode())
report = TRAININGS[kind](Path(start), Path(folder, "made", "model"), tell, length=length)
Path(folder, "report.json").write_text(canonical_json(encode(report)))
"""


class Phases(NamedTuple):
    """Seconds of an unbroken training: all of it, a checkpoint on average, and saving the model."""

    whole: float
    checkpoint: float
    save: float


class Session(NamedTuple):
    """One process: whether it was killed, what it was doing then ("" if it was not), the steps it made."""

    killed: bool
    place: str
    steps: tuple[int, ...]
    seconds: float


class Found(NamedTuple):
    """What a training came to: its report's values by their path, and its files' hashes by name."""

    values: dict[str, Any]
    files: dict[str, str]


def place_of(folder: Path) -> str:
    """Return what a training is doing, by what is on disk."""
    made = folder / "made"
    work = made / "model.work"
    if (made / "model").exists():
        return "place"
    if glob.glob("*model*", root_dir=work, include_hidden=True):  # it shrugs where directories vanish
        return "save"
    checkpoints = [*glob.glob(f"{work}/checkpoint-*"), *glob.glob(f"{work}/trainer/checkpoint-*")]
    whole = [checkpoint for checkpoint in checkpoints if Path(checkpoint, "COMPLETE").exists()]
    if len(whole) < len(checkpoints):
        return "checkpoint"
    return "training" if whole else "before"


def session(kind: str, start: Path, folder: Path, death: str, after_s: float) -> Session:
    """Train in a process of its own, and kill it `after_s` it began what `death` says ("" for no kill)."""
    log = folder / "steps"
    n_before = len(read_steps(log))
    began = time.monotonic()
    process = start_python(_TRAIN, kind, str(start), str(folder), *map(str, LENGTH), cwd=folder)
    if death in ("", "random"):
        process.join(after_s if death else None)
    else:
        while process.is_alive() and place_of(folder) == death:
            time.sleep(0.0005)  # what the process before it left half written
        while process.is_alive() and place_of(folder) != death:
            time.sleep(0.0005)
        process.join(after_s)
    if process.is_alive() and process.pid:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{kind} failed in {folder.name}:\n{(folder / 'stderr').read_text()}")
    killed = process.exitcode != 0
    steps = tuple(read_steps(log)[n_before:])
    return Session(killed, place_of(folder) if killed else "", steps, time.monotonic() - began)


def read_steps(log: Path) -> list[int]:
    """Return the steps that all processes made so far."""
    return [int(line) for line in log.read_text().splitlines()] if log.exists() else []


def unbroken(kind: str, start: Path, folder: Path) -> tuple[Found, Phases]:
    """Train in one piece, and return what came of it and how long its parts took."""
    folder.mkdir(parents=True)
    process = start_python(_TRAIN, kind, str(start), str(folder), *map(str, LENGTH), cwd=folder)
    began = time.monotonic()
    seen = Counter[str]()
    n_checkpoints, before, since = 0, "", began
    while process.is_alive():
        place = place_of(folder)
        now = time.monotonic()
        seen[before] += now - since
        n_checkpoints += place == "checkpoint" != before
        before, since = place, now
        time.sleep(0.0005)
    process.join()
    if process.exitcode:
        raise SystemExit(f"{kind} failed:\n{(folder / 'stderr').read_text()}")
    whole = time.monotonic() - began
    return found_in(folder), Phases(whole, seen["checkpoint"] / max(1, n_checkpoints), seen["save"])


def found_in(folder: Path) -> Found:
    """Return what a finished training reports and wrote."""
    values = dict(leaves(json.loads((folder / "report.json").read_text())))
    made = folder / "made"
    files = {
        str(path.relative_to(made)): hashlib.sha256(file_bytes(path)).hexdigest()
        for path in sorted(made.rglob("*"))
    }
    return Found(values, files)


def file_bytes(path: Path) -> bytes:
    """Return a file's bytes, of a log without its times, of a directory none."""
    if path.is_dir():
        return b""
    if path.name != "steps.jsonl":
        return path.read_bytes()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return json.dumps([{k: v for k, v in row.items() if k != "seconds"} for row in rows]).encode()


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the plain values of a JSON value with their paths."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}")
    elif isinstance(value, list):
        yield f"{path}.n", len(value)
        for number, item in enumerate(value):
            yield from leaves(item, f"{path}[{number}]")
    else:
        yield path, value


def differing(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return the names that are in one only or have another value in the other; floats to the bit.

    >>> differing({"a": 0.1, "b": 1}, {"a": 0.1, "b": 2, "c": 3})
    ['b', 'c']
    """
    names = sorted(expected.keys() | found.keys())
    return [name for name in names if repr(expected.get(name, ...)) != repr(found.get(name, ...))]


def after_s(death: str, phases: Phases, draw: random.Random) -> float:
    """Draw how long after its beginning a kill strikes."""
    longest = {"random": phases.whole, "checkpoint": phases.checkpoint, "save": phases.save, "place": 0.0}
    return draw.uniform(0, longest[death])


def repeated(sessions: Sequence[Session]) -> list[int]:
    """Return how many steps were made again because of each kill, of the sessions of one training.

    >>> run = [Session(True, "training", (1, 2, 3), 1), Session(True, "training", (), 1)]
    >>> repeated([*run, Session(False, "", (2, 3, 4), 1)])
    [0, 2]
    """
    reached, again = 0, list[int]()
    for killed, after in pairwise(sessions):
        reached = max((reached, *killed.steps))
        again.append(max(0, reached - after.steps[0] + 1) if after.steps else 0)
    return again


def measure(kind: str, start: Path, work: Path, *, kills: int, seed: int) -> dict[str, Any]:
    """Kill trainings of one kind until the kills are spent, and return the figures."""
    began = time.monotonic()
    expected, phases = unbroken(kind, start, work / "unbroken")
    draw = random.Random(f"{seed}/{kind}")
    deaths = deque(_DEATHS[_PLAN[number % len(_PLAN)]] for number in range(kills))
    places, again, n_steps = Counter[str](), list[tuple[str, int]](), 0
    values, files = list[str](), list[str]()
    n_trainings = 0
    for number in count(1):
        folder = work / f"broken-{number}"
        folder.mkdir()
        sessions = list[Session]()
        while not sessions or sessions[-1].killed:
            death = deaths[0] if deaths else ""
            sessions.append(session(kind, start, folder, death, after_s(death, phases, draw) if death else 0))
            if sessions[-1].killed:
                deaths.popleft()
                places[sessions[-1].place] += 1
        found = found_in(folder)
        values += [f"{folder}: {name}" for name in differing(expected.values, found.values)]
        files += [f"{folder}: {name}" for name in differing(expected.files, found.files)]
        again += zip((one.place for one in sessions[:-1]), repeated(sessions), strict=True)
        n_steps = max(sessions[-1].steps, default=n_steps)
        n_trainings = number
        if not deaths:
            break
    for name in (*values[:5], *files[:5]):
        print(f"differs: {name}", file=sys.stderr)
    return {
        "kills": places.total(),
        "trainings": n_trainings,
        "steps": n_steps,
        "before_checkpoint": places["before"],
        "in_checkpoint": places["checkpoint"],
        "in_save": places["save"],
        "in_place": places["place"],
        "repeated_mean": _mean([n for place, n in again if place != "place"]),
        "repeated_in_place": _mean([n for place, n in again if place == "place"]),
        "values": len(expected.values),
        "differing": len(values),
        "differing_files": len(files),
        "unbroken_s": round(phases.whole, 1),
        "seconds": round(time.monotonic() - began),
    }


def _mean(values: list[int]) -> float | None:
    return round(statistics.mean(values), 2) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(TRAININGS), help="only this one")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    began = time.monotonic()
    by_kind: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="publius-resume-") as folder:
        start = write_tiny_model(Path(folder) / "start")
        start_python("", cwd=Path(folder)).join()  # the imports are no part of the first training
        for kind in KINDS if chosen.kind is None else (chosen.kind,):
            work = Path(folder) / kind
            by_kind[kind] = measure(kind, start, work, kills=chosen.kills, seed=chosen.seed)
            print(f"{kind:9} {json.dumps(by_kind[kind])}", file=sys.stderr)
    figures = {name: sum(one[name] for one in by_kind.values()) for name in _COUNTED}
    result = {
        "benchmark": "resume",
        "figures": figures,
        "n": figures["kills"],
        "by_kind": by_kind,
        "seconds": round(time.monotonic() - began),
        "versions": versions("torch", "transformers", "trl", "peft"),
    }
    show(result, as_json=chosen.json)
    sys.exit(1 if figures["differing"] or figures["differing_files"] else 0)


if __name__ == "__main__":
    main()
