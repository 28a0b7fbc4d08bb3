"""Start the command, end it early, start it again: the processes of the kill benchmark.

A session is one process of the command from its start to its end. Every call that it made is in the log
of the mock server, so it is known how soon the first came, how many were asked before, and how many
were in flight when the process died.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_PATIENCE_S = 180.0


class Death(NamedTuple):
    """How a process is to end: `point` is "random" (then `after_s` its first call) or a named point."""

    point: str
    nth: int = 1
    after_s: float = 0.0


class Session(NamedTuple):
    """One process: how it ended, seconds to its first call, its calls, and those that were asked before.

    `n_paid_twice` are the answers that the server gave a second time: those that a dead process had got and
    not kept. `n_probes` are the questions by which the engine finds out what the server can do.
    """

    point: str
    ended: str  # "killed", "finished" or "failed"
    first_call_s: float | None
    n_calls: int
    n_repeated: int
    n_paid_twice: int
    n_in_flight: int
    n_probes: int
    stderr: str


class Server(NamedTuple):
    """A running mock server and the file where it notes every call."""

    base_url: str
    log: Path


@contextmanager
def mock_server(log: Path, seconds: tuple[float, float]) -> Iterator[Server]:
    """Run a mock server for the time of the block."""
    command = [sys.executable, str(_HERE / "mock_server.py"), "--log", str(log), "--seconds"]
    process = subprocess.Popen(
        [*command, *map(str, seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Server(json.loads(process.stdout.readline())["base_url"], log)
    finally:
        process.stdin.close()
        process.wait(timeout=10)


class CallLog:
    """Reads the calls that a server noted, as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size
        self.came: list[tuple[float, str]] = []
        self.answered: list[str] = []
        self.n_probes = 0

    def read(self) -> int:
        """Take in what is new and return how many calls came so far."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode().splitlines():
            what, when, digest, kind = line.split(" ", 3)
            if kind == "probe":
                self.n_probes += what == "C"
            elif what == "C":
                self.came.append((float(when), digest))
            else:
                self.answered.append(digest)
        return len(self.came)


class BrokenRun:
    """A run directory and the sessions that worked on it. `expected` are the calls of an unbroken run.

    `blamed` counts the calls that were asked again, by the number of the session that had asked them last.
    """

    def __init__(self, recipe: Path, out: Path, server: Server, expected: Counter[str] | None) -> None:
        self._recipe = recipe
        self._out = out
        self._server = server
        self._expected = expected
        self.asked = Counter[str]()
        self.blamed = Counter[int]()
        self._answered = Counter[str]()
        self._last_asked: dict[str, int] = {}
        self._n_sessions = 0

    def session(self, death: Death | None) -> Session:
        """Run the command until it dies as told, or to its end."""
        log = CallLog(self._server.log)
        began = time.monotonic()
        own = {"OPENAI_API_KEY": "none", "PUBLIUS_CACHE": str(self._out.parent / "cache")}
        with (self._out.parent / "stderr.txt").open("w+b") as errors:
            process = subprocess.Popen(
                self._command(death),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                env=os.environ | own,
            )
            try:
                killed = self._wait(process, death, log)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            errors.seek(0)
            text = errors.read().decode("utf-8", "replace")
        time.sleep(0.02)  # what was on its way to the server when the process died is noted now
        log.read()
        if process.returncode == 137 and death is not None and death.point != "random":
            killed = True
        ended = "killed" if killed else "finished" if process.returncode == 0 else "failed"
        return self._account(log, began, death, ended, text)

    def _command(self, death: Death | None) -> list[str]:
        named = death is not None and death.point != "random"
        doom = ["--die", f"{death.point}:{death.nth}"] if named and death else []
        own = ["run", str(self._recipe), "--out", str(self._out), "--json", "-q"]
        return [sys.executable, str(_HERE / "doomed.py"), *doom, "--", *own]

    def _wait(self, process: "subprocess.Popen[bytes]", death: Death | None, log: CallLog) -> bool:
        """Return whether the process was killed here; it is to end by itself otherwise."""
        until = time.monotonic() + _PATIENCE_S
        if death is None or death.point != "random":
            process.wait(timeout=_PATIENCE_S)
            return False
        while process.poll() is None and not log.read():
            if time.monotonic() > until:
                raise TimeoutError(f"no call in {_PATIENCE_S:.0f} s")
            time.sleep(0.004)
        try:
            process.wait(timeout=death.after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return process.returncode == -signal.SIGKILL
        return False

    def _account(self, log: CallLog, began: float, death: Death | None, ended: str, stderr: str) -> Session:
        expected = self._expected if self._expected is not None else Counter[str]()
        paid_before = (self._answered - expected).total()
        self._answered.update(log.answered)
        n_repeated = 0
        for _, digest in log.came:
            self.asked[digest] += 1
            if self.asked[digest] > expected[digest]:
                n_repeated += 1
                self.blamed[self._last_asked.get(digest, self._n_sessions)] += 1
            self._last_asked[digest] = self._n_sessions
        self._n_sessions += 1
        return Session(
            death.point if death else "none",
            ended,
            log.came[0][0] - began if log.came else None,
            len(log.came),
            n_repeated,
            n_paid_twice=(self._answered - expected).total() - paid_before,
            n_in_flight=len(log.came) - len(log.answered) if ended == "killed" else 0,
            n_probes=log.n_probes,
            stderr=stderr,
        )
