"""A run that was killed, whenever and however often, ends with the bits of one that was not."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from command import python
from publius.errors import StoreError
from publius.policy.config import DPOSettings, RLSettings, SFTSettings
from publius.policy.dpo import train_dpo
from publius.policy.rl import train_rl
from publius.policy.sft import train_sft
from publius.preference.config import PMSettings
from publius.preference.pm import train_preference_model
from publius.records import Comparison, Demonstration, Preference, Prompt, conversation
from publius.training.lora import Lora

pytest.importorskip("torch")
pytestmark = pytest.mark.tiny

Progress = Callable[[int, int], None]
_PURPOSES = ("helpful", "red-team", "trait")
_COMMON = {"learning_rate": 1e-3, "batch_size": 2, "max_length": 64, "is_bf16": False}
_QUESTIONS = [conversation(("user", f"Question {i}?")) for i in range(12)]
_PAIRS = [
    Preference(
        Comparison(f"c{i}", f"p{i}", asked, "Yes, good." * (i % 3), "No", "x", "y"),
        prob_a=0.8,
        origin="asked",
        judge=None,
        constitution_hash=None,
        votes=(),
    )
    for i, asked in enumerate(_QUESTIONS)
]


def _sft(
    start: Path,
    out: Path,
    on_progress: Progress,
    *,
    every: int = 2,
    answer: str = "Yes, good.",
    lora: Lora = Lora(),  # noqa: B008 - frozen
) -> object:
    given = [Demonstration(f"d{i}", asked, answer, "helpful", 0, None) for i, asked in enumerate(_QUESTIONS)]
    settings = SFTSettings(**_COMMON, micro_batch_size=1, epochs=3, checkpoint_every=every, lora=lora)
    report = train_sft(start, given, out, settings=settings, seed=5, on_progress=on_progress)
    return report.losses, report.weights_hash


def _dpo(start: Path, out: Path, on_progress: Progress, *, lora: Lora = Lora()) -> object:  # noqa: B008 - frozen
    settings = DPOSettings(**_COMMON, micro_batch_size=1, checkpoint_every=2, lora=lora)
    report = train_dpo(start, _PAIRS, out, settings=settings, seed=5, on_progress=on_progress)
    return report.losses, report.weights_hash


def _pm(start: Path, out: Path, on_progress: Progress, *, lora: Lora = Lora()) -> object:  # noqa: B008 - frozen
    settings = PMSettings(**_COMMON, epochs=2, checkpoint_every=2, n_scale_rows=2, lora=lora)
    report = train_preference_model(start, _PAIRS, out, settings=settings, seed=5, on_progress=on_progress)
    return report.training.losses, report.training.weights_hash, report.scale, report.held_out


def _rl(start: Path, out: Path, on_progress: Progress, **changes: Any) -> object:
    prompts = [
        Prompt(f"p{i}", _PURPOSES[i % 3], "kind", "train", asked) for i, asked in enumerate(_QUESTIONS)
    ]
    settings = RLSettings(
        steps=6,
        prompts_per_step=2,
        num_generations=2,
        max_completion_length=8,
        learning_rate=1e-3,
        micro_batch_size=2,
        snapshot_every=2,
        is_bf16=False,
        **changes,
    )
    report = train_rl(
        start,
        prompts,
        lambda conversations: [float(sum(c in "aeiou" for c in one[-1].content)) for one in conversations],
        out,
        settings=settings,
        seed=5,
        on_progress=on_progress,
        held_out_reward=lambda conversations: [float(len(one[-1].content)) for one in conversations],
    )
    logs = [(out / name).read_text() for name in ("answers.jsonl", "monitors.jsonl")]
    steps = [(step.step, step.loss, step.reward_mean, step.kl, step.entropy) for step in report.steps]
    return steps, logs, report.monitors, report.weights_hash


RUNS = {
    "sft": _sft,
    "sft-lora": partial(_sft, lora=Lora(rank=2)),
    "dpo": _dpo,
    "dpo-lora": partial(_dpo, lora=Lora(rank=2)),
    "pm": _pm,
    "pm-lora": partial(_pm, lora=Lora(rank=2)),
    "rl": _rl,
    "rloo": partial(_rl, algorithm="rloo"),
    "rl-lora": partial(_rl, lora=Lora(rank=2)),
}


def _until(step: int) -> Progress:
    def interrupt(done: int, total: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return interrupt


def _go_on(done: int, total: int) -> None: ...


@pytest.mark.parametrize("name", list(RUNS))
def test_killed_four_times(name: str, tiny_model_dir: Path, tmp_path: Path) -> None:
    run = RUNS[name]
    for step in (1, 3, 3, 6):  # before the first checkpoint, after one, at the same step again, at the last
        with pytest.raises(KeyboardInterrupt):
            run(tiny_model_dir, tmp_path / "killed", _until(step))
    seen: list[int] = []
    killed = run(tiny_model_dir, tmp_path / "killed", lambda done, total: seen.append(done))
    assert seen[0] == 5  # went on from step 4
    assert killed == run(tiny_model_dir, tmp_path / "unbroken", _go_on)
    assert not list(tmp_path.glob("*.work"))


def test_killed_at_every_one_of_eighteen_steps(tiny_model_dir: Path, tmp_path: Path) -> None:
    for step in range(1, 19):
        with pytest.raises(KeyboardInterrupt):
            _sft(tiny_model_dir, tmp_path / "killed", _until(step), every=1)
    losses, _ = killed = _sft(tiny_model_dir, tmp_path / "killed", _go_on, every=1)
    assert [point.step for point in losses] == list(range(1, 19))
    assert killed == _sft(tiny_model_dir, tmp_path / "unbroken", _go_on)


@pytest.mark.parametrize("name", ["sft", "rl"])
def test_a_killed_process(name: str, tiny_model_dir: Path, tmp_path: Path) -> None:
    script = f"""
import os, signal, sys, torch
from pathlib import Path
torch.set_num_threads(1)
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_resume
def kill(done, total):
    if done == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
test_resume.RUNS[{name!r}](Path({str(tiny_model_dir)!r}), Path({str(tmp_path / "killed")!r}), kill)
"""
    for step in ("3", "5"):
        done = python(script, step)
        assert done.returncode == -9, done.stderr
    killed = RUNS[name](tiny_model_dir, tmp_path / "killed", _go_on)
    assert killed == RUNS[name](tiny_model_dir, tmp_path / "unbroken", _go_on)


def test_killed_between_the_last_step_and_the_end(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from publius.policy import rl, sft

    for name, module, place in (("sft", sft, "finish"), ("rl", rl, "_publish")):
        with monkeypatch.context() as patch:
            patch.setattr(module, place, lambda *_, **__: _until(0)(0, 0))
            with pytest.raises(KeyboardInterrupt):
                RUNS[name](tiny_model_dir, tmp_path / name, _go_on)
        seen: list[int] = []
        killed = RUNS[name](tiny_model_dir, tmp_path / name, lambda done, total, seen=seen: seen.append(done))
        assert seen == []
        assert killed == RUNS[name](tiny_model_dir, tmp_path / f"{name}-unbroken", _go_on)


def test_other_data_or_another_start_begins_anew(tiny_model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _sft(tiny_model_dir, tmp_path / "sft", _until(5))
    seen: list[int] = []
    _sft(tiny_model_dir, tmp_path / "sft", lambda done, total: seen.append(done), answer="No.")
    assert seen[0] == 1
    with pytest.raises(KeyboardInterrupt):
        _sft(tmp_path / "sft", tmp_path / "twice", _until(5))
    seen.clear()
    _sft(tiny_model_dir, tmp_path / "twice", lambda done, total: seen.append(done))
    assert seen[0] == 1


def test_half_a_checkpoint_is_passed_over_and_a_damaged_one_is_named(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _sft(tiny_model_dir, tmp_path / "sft", _until(5))
    newest = tmp_path / "sft.work" / "checkpoint-4"
    assert {path.suffix for path in newest.iterdir()} <= {".safetensors", ".json", ".jinja", ".bin", ""}
    assert not list(newest.glob("*.pt")) + list(newest.glob("*.pth"))  # what the libraries would unpickle
    (newest / "random-0.json").write_text(json.dumps({})[:1])
    with pytest.raises(StoreError, match="checkpoint cannot be read"):
        _sft(tiny_model_dir, tmp_path / "sft", _go_on)
    (newest / "random-0.json").unlink()
    (newest / "optimizer.safetensors").write_bytes(b"")
    with pytest.raises(StoreError, match="checkpoint cannot be read"):
        _sft(tiny_model_dir, tmp_path / "sft", _go_on)
    (newest / "COMPLETE").unlink()
    seen: list[int] = []
    _sft(tiny_model_dir, tmp_path / "sft", lambda done, total: seen.append(done))
    assert seen[0] == 3
