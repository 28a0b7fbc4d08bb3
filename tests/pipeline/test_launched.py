"""The verbs in two processes: the same losses as in one, and an end for all when one of them ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from low_rank import assert_low_rank
from publius.errors import DataError, StoreError
from publius.pipeline import launched
from publius.pipeline.launched import OtherProcessFailed, follow, leading
from publius.pipeline.recipe import load_recipe
from publius.pipeline.runner import Listener, run_recipe
from publius.store import is_in_use, read_manifest
from publius.training.launch import Channel, Processes
from publius.training.weights import load_causal_lm

pytestmark = pytest.mark.tiny
psutil = pytest.importorskip("psutil")
Write = Callable[..., str]
CONFIG = Path(__file__).parents[2] / "recipes" / "accelerate" / "ddp-cpu.yaml"
ROWS = ("sft", "dpo", "pm")


def start(recipe: str, out: Path, log: Path, *verb: str) -> "subprocess.Popen[str]":
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    command = [*launcher, "--config_file", str(CONFIG), "--main_process_port", "0", "-m", "publius.cli"]
    with log.open("w") as file:
        return subprocess.Popen(
            [*command, *(verb or ("run",)), recipe, "--out", str(out), "--json"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
        )


def figures(out: Path, stage: str) -> dict[str, Any]:
    manifest = read_manifest(out / "stages" / stage)
    assert manifest is not None
    return manifest.figures


def losses(out: Path, stage: str) -> list[float]:
    found = figures(out, stage)
    return [loss for _, loss in found.get("training", found)["losses"]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, write_tiny_recipe: Write) -> tuple[Path, Path, str]:
    """The run directories of one process and of two, and what the two said."""
    folder = tmp_path_factory.mktemp("launched")
    recipe = write_tiny_recipe(folder, "revise", "sft", "dpo", "label", "pm", "rl")
    process = start(recipe, folder / "two", folder / "log")
    run_recipe(load_recipe(recipe, environment={}), folder / "one", Listener(lambda _: None, lambda *_: None))
    assert process.wait(timeout=300) == 0, (folder / "log").read_text()
    return folder / "one", folder / "two", (folder / "log").read_text()


@pytest.mark.parametrize("stage", ROWS)
def test_two_processes_have_the_losses_of_one(both: tuple[Path, Path, str], stage: str) -> None:
    one, two = (losses(out, stage) for out in both[:2])
    assert two == pytest.approx(one, rel=1e-4)
    assert len(set(one)) == len(one)


def assert_answers_of_two(out: Path) -> None:
    lines = (out / "stages" / "rl" / "model" / "answers.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for step in (1, 2, 3):
        own = [row for row in rows if row["step"] == step]
        assert len(own) == 4
        assert len({row["prompt_id"] for row in own}) == 2


def test_a_step_of_reinforcement_learning_has_the_answers_of_both(both: tuple[Path, Path, str]) -> None:
    assert_answers_of_two(both[1])
    ids = [[step["prompt_ids"] for step in figures(out, "rl")["steps"]] for out in both[:2]]
    assert sorted(map(sorted, ids[0])) == sorted(map(sorted, ids[1]))


def test_rloo_with_low_rank_updates_runs_in_two_processes(
    both: tuple[Path, Path, str], tmp_path: Path
) -> None:
    text = (both[0].parent / "tiny.toml").read_text()
    changed = text.replace("[rl]", '[rl]\nalgorithm = "rloo"\nlearning_rate = 1e-2\nlora.rank = 2')
    (tmp_path / "tiny.toml").write_text(changed)
    out = Path(shutil.copytree(both[1], tmp_path / "run"))  # all but `rl` is there
    process = start(str(tmp_path / "tiny.toml"), out, tmp_path / "log")
    assert process.wait(timeout=300) == 0, (tmp_path / "log").read_text()
    assert_answers_of_two(out)
    steps = figures(out, "rl")["steps"]
    assert steps[0]["kl"] == 0.0
    assert steps[2]["kl"] > 1e-5
    assert all(step["rollout_gap"] < 1e-5 for step in steps)  # both sample from the policy of both
    before = load_causal_lm(out / "stages" / "sft" / "model").model
    assert_low_rank(before, load_causal_lm(out / "stages" / "rl" / "model").model, rank=2)


def test_only_the_first_process_speaks_and_holds_the_run(both: tuple[Path, Path, str]) -> None:
    assert both[2].count("sft: done") == 1
    assert both[2].count('"finished": true') == 1
    assert not is_in_use(both[1])


def _ranks(launcher: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in psutil.Process(launcher).children(recursive=True):
        with suppress(psutil.Error):
            if (rank := child.environ().get("RANK")) is not None:
                found[rank] = child
    return found


def _wait_for(holds: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 240
    while not holds():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("blow", ["killed", "interrupted"])
def test_a_process_ends_all_and_the_run_can_go_on(
    tmp_path: Path, write_tiny_recipe: Write, blow: str
) -> None:
    recipe, out = write_tiny_recipe(tmp_path, "revise", "sft"), tmp_path / "run"
    process = start(recipe, out, tmp_path / "log")
    _wait_for(lambda: (out / "stages" / "sft" / "model.work").exists(), process)
    ranks = _ranks(process.pid)
    assert sorted(ranks) == ["0", "1"]
    if blow == "killed":
        ranks["1"].kill()
    else:
        process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) != 0
    psutil.wait_procs(list(ranks.values()), timeout=30)
    assert not any(child.is_running() for child in ranks.values())
    assert read_manifest(out / "stages" / "revise") is not None
    assert read_manifest(out / "stages" / "sft") is None
    run_recipe(load_recipe(recipe, environment={}), out, Listener(lambda _: None, lambda *_: None))
    assert read_manifest(out / "stages" / "sft") is not None


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[Channel]:
    """The channel of the first of two processes and that of the second, in one process."""
    from torch.distributed import HashStore

    store = HashStore()
    two = [Channel(store, Processes(2, rank)) for rank in (0, 1)]
    monkeypatch.setattr(launched, "_PATIENCE_S", 0.4)
    return two


def take(monkeypatch: pytest.MonkeyPatch, end: Channel) -> None:
    monkeypatch.setattr(launched, "open_channel", lambda: end)


def test_the_others_end_with_the_code_of_the_first(
    ends: list[Channel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_tiny_recipe: Write
) -> None:
    take(monkeypatch, ends[0])
    with pytest.raises(DataError), leading():
        raise DataError("no data")
    take(monkeypatch, ends[1])
    recipe = load_recipe(write_tiny_recipe(tmp_path), environment={})
    assert follow(recipe, tmp_path) == 3


def test_a_process_that_fails_is_named_by_the_first(
    ends: list[Channel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_tiny_recipe: Write
) -> None:
    recipe = load_recipe(write_tiny_recipe(tmp_path), environment={})
    ends[0].say("sft")
    take(monkeypatch, ends[1])
    with pytest.raises(StoreError, match="does not see the run's files"):
        follow(recipe, tmp_path / "elsewhere")
    take(monkeypatch, ends[0])
    with pytest.raises(OtherProcessFailed, match=r"process 1 failed.*does not see") as caught, leading():
        raise RuntimeError("connection closed by peer")
    assert caught.value.exit_code == StoreError.exit_code


def test_an_error_of_its_own_stays_what_it_was(ends: list[Channel], monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, ends[0])
    with pytest.raises(RuntimeError, match="mine"), leading():
        raise RuntimeError("mine")
    assert ends[1].hear(patience_s=0) == "end 1"
