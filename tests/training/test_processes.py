"""Two processes make the model that one process makes, also where a step cannot be dealt out evenly."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from publius.policy.config import DPOSettings, SFTSettings
from publius.policy.dpo import train_dpo
from publius.policy.sft import train_sft
from publius.preference.config import PMSettings
from publius.preference.pm import train_preference_model
from publius.records import Comparison, Demonstration, Preference, conversation, is_held_back
from publius.training.lora import Lora
from publius.training.report import TrainingReport

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.tiny
STEP: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3, "is_bf16": False}
TOLD: dict[str, Any] = {"seed": 0, "on_progress": lambda *_: None}
SFT = SFTSettings(micro_batch_size=1, **STEP)
# 4 + 4 + 1: of the last step one process of two has nothing
N_ROWS = 9


def _demonstrations() -> list[Demonstration]:
    turns = [conversation(("user", f"Question {i}?")) for i in range(N_ROWS)]
    return [
        Demonstration(f"d{i}", messages, "Yes, good. " * (i + 1), "helpful", 0, None)
        for i, messages in enumerate(turns)
    ]


def _preference(i: int) -> Preference:
    turns = conversation(("user", f"Question {'so ' * (i % 5)}{i}?"))
    comparison = Comparison(f"c{i}", f"p{i}", turns, "Yes, good " * (1 + i % 3), "No, bad", "a", "b")
    return Preference(comparison, 0.1 + 0.02 * i, "human", None, None, ())


def train_all(start: Path, out: Path) -> None:
    """Train what learns from rows, and write down the losses."""
    out.mkdir(exist_ok=True)
    preferences = [_preference(i) for i in range(40)]
    sft = train_sft(start, _demonstrations(), out / "sft", settings=SFT, **TOLD)
    dpo, dpo_lora = (
        train_dpo(
            start,
            preferences[:N_ROWS],
            out / name,
            settings=DPOSettings(micro_batch_size=2, lora=lora, **STEP),
            **TOLD,
        )
        for name, lora in (("dpo", Lora()), ("dpo-lora", Lora(rank=2, keep_adapter=True)))
    )
    pm = train_preference_model(
        start,
        [item for item in preferences if not is_held_back(item.comparison.messages)][:N_ROWS],
        out / "pm",
        settings=PMSettings(tokens_in_memory=64, max_length=128, **STEP),
        **TOLD,
    )
    if int(os.environ.get("RANK", "0")) == 0:
        reports = {"sft": sft, "dpo": dpo, "dpo-lora": dpo_lora, "pm": pm.training}
        losses = {name: _losses(report) for name, report in reports.items()}
        (out / "losses.json").write_text(json.dumps(losses))


def _losses(report: TrainingReport) -> list[float]:
    return [point.loss for point in report.losses]


@pytest.fixture(scope="module")
def trained(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what one process made and what two did."""
    out = tmp_path_factory.mktemp("processes")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [sys.executable, *launch, __file__, str(tiny_model_dir), str(out / "two")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    train_all(tiny_model_dir, out / "one")
    return out


@pytest.mark.parametrize("name", ["sft", "dpo", "dpo-lora", "pm"])
def test_the_number_of_processes_changes_nothing(trained: Path, tiny_model_dir: Path, name: str) -> None:
    from safetensors.torch import load_file

    one, two = (json.loads((trained / n / "losses.json").read_text())[name] for n in ("one", "two"))
    assert len(one) == 3
    assert two == pytest.approx(one, rel=1e-4)
    start = load_file(tiny_model_dir / "model.safetensors")
    weights = [load_file(trained / n / name / "model.safetensors") for n in ("one", "two")]
    for key, weight in weights[0].items():
        torch.testing.assert_close(weights[1][key], weight, rtol=1e-4, atol=1e-5, msg=key)
    assert any(not torch.equal(weights[0][key], start[key]) for key in start if key in weights[0])


def test_weights_that_were_cut_are_saved_by_the_trainer_and_without_pickle(
    trained: Path, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    from publius.training import running

    def refuse(*_: object) -> Path:
        raise AssertionError("a process has only its own part of the weights")

    monkeypatch.setattr(running, "sharding", lambda: "FSDP")
    monkeypatch.setattr(running, "save_model", refuse)
    train_sft(tiny_model_dir, _demonstrations(), tmp_path / "sft", settings=SFT, **TOLD)
    names = {file.name for file in (tmp_path / "sft").iterdir()}
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= names
    assert not any(name.endswith(".bin") for name in names)
    expected = load_file(trained / "one" / "sft" / "model.safetensors")
    found = load_file(tmp_path / "sft" / "model.safetensors")
    for key, weight in expected.items():
        torch.testing.assert_close(found[key], weight, msg=key)


if __name__ == "__main__":
    train_all(Path(sys.argv[1]), Path(sys.argv[2]))
