"""vLLM through the suite, on its CPU build: marked `vllm`, and skipped where it is not installed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from publius.engines import EngineSpec, open_engine
from publius.engines.protocol import Choice, Engine, Failure, Score, ScoreRequest
from publius.engines.vllm import open_vllm
from publius.engines.vllm_processes import start_watched
from publius.errors import DataError, EngineError, MissingExtra
from publius.records import conversation

from .conformance import EngineSuite, Subject, answers_of, choice, choices_of, completions_of, question

HAS_VLLM = importlib.util.find_spec("vllm") is not None
needs_vllm = [pytest.mark.vllm, pytest.mark.skipif(not HAS_VLLM, reason="vllm is not installed")]


def opened(path: Path, **options: object) -> Engine:
    """Open it small, in float32: what is tested is not its speed."""
    chosen = {"dtype": "float32", "compiled": False, "cache_gb": 1.0, "max_running": 8} | options
    return open_engine(EngineSpec("vllm", str(path), chosen))


class TestVLLM(EngineSuite):
    """In float32, with so few at a time that most requests wait."""

    pytestmark = needs_vllm

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, smollm2_path: Path) -> Subject:
        return Subject(partial(opened, smollm2_path), yardstick_slack=0.02)

    def test_an_unlikely_option_has_its_own_log_probability(self, engine: Engine, yardstick: Engine):
        """A list of the likeliest tokens would not have it."""
        options = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        asked = [choice("r", "Is a river (A) good or (B) bad?", options)]
        found = choices_of(engine, asked)["r"].logprobs
        assert found == pytest.approx(choices_of(yardstick, asked)["r"].logprobs, abs=0.02)
        assert min(found) < -8

    def test_scores_are_the_yardsticks(self, engine: Engine, yardstick: Engine):
        turns = conversation(
            ("user", "Why is the sky blue?"), ("assistant", "Größe 東京: it scatters light.")
        )
        ours = answers_of(engine, [ScoreRequest("r", turns)])["r"]
        theirs = answers_of(yardstick, [ScoreRequest("r", turns)])["r"]
        assert isinstance(ours, Score)
        assert isinstance(theirs, Score)
        assert ours.n_tokens == theirs.n_tokens
        assert ours.logprob == pytest.approx(theirs.logprob, abs=0.02 * theirs.n_tokens)

    def test_long_prompts_with_seeds_are_answered(self, engine: Engine):
        """Together they are more than is read at once; read in parts, a seeded prompt ends vLLM on a CPU."""
        requests = [question(str(n), f"{n} " * 350, max_tokens=2, temperature=1.0, seed=n) for n in range(8)]
        assert len(completions_of(engine, requests)) == 8

    def test_what_vllm_itself_refuses_fails_alone(self, engine: Engine):
        found = answers_of(engine, [question("hot", "Hello.", temperature=5.0), choice("fine", "Hello.")])
        assert isinstance(found["fine"], Choice)
        assert isinstance(found["hot"], Failure)
        assert found["hot"].owner == "input"
        assert "temperature" in found["hot"].reason


@pytest.mark.vllm
@pytest.mark.skipif(not HAS_VLLM, reason="vllm is not installed")
def test_a_model_that_vllm_cannot_start_is_told(smollm2_path: Path):
    with pytest.raises(EngineError, match="cannot start"):
        opened(smollm2_path, max_context=10**9)


class TestProcesses:
    """`start_watched`, with any processes in the place of vLLM's."""

    def test_they_end_with_a_process_that_is_killed(self):
        with subprocess.Popen([sys.executable, "-c", _STARTS], stdout=subprocess.PIPE, text=True) as ours:
            assert ours.stdout is not None
            pid, watcher = map(int, ours.stdout.readline().split())
            assert is_alive(pid)
            ours.kill()
            assert is_gone(pid)
            assert is_gone(watcher)

    def test_a_watcher_that_is_released_ends_nobody(self):
        with subprocess.Popen(
            [sys.executable, "-c", _STARTS, "release"], stdout=subprocess.PIPE, text=True
        ) as ours:
            assert ours.stdout is not None
            pid, watcher = map(int, ours.stdout.readline().split())
            assert is_gone(watcher)
            assert is_alive(pid)
            ours.kill()
            os.kill(pid, signal.SIGKILL)

    def test_nothing_started_nothing_watched(self):
        watched = start_watched(lambda: "nothing")
        watched.release()
        assert watched == ("nothing", (), None)


_STARTS = """
import multiprocessing, sys, time
from publius.engines.vllm_processes import start_watched

def start():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=False)
    child.start()
    return child

watched = start_watched(start)
if "release" in sys.argv:
    watched.release()
print(watched.started.pid, watched.watcher.pid, flush=True)
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def is_gone(pid: int) -> bool:
    """Return whether a process ends; only one that does not makes this take long."""
    for _ in range(600):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(HAS_VLLM, reason="vllm is installed")
def test_where_vllm_is_missing_the_extra_is_named(tmp_path: Path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(MissingExtra, match="vllm"):
        open_engine(EngineSpec("vllm", str(tmp_path), {}))


@pytest.mark.parametrize("options", [{"surprise": 1}, {"n_gpus": 0}, {"dtype": "int4"}])
def test_impossible_options_are_refused_before_anything_is_loaded(options: dict[str, object]):
    with pytest.raises(DataError, match=next(iter(options))):
        open_vllm(Path("nowhere"), name="none", options=options)
