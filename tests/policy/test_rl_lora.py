"""Reinforcement learning by low-rank updates: one model in memory, and whole ones on disk."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from low_rank import assert_low_rank
from publius.errors import UsageError
from publius.policy.config import Monitors, RLSettings
from publius.policy.decoding import AnswerMemory
from publius.policy.reward_gate import RewardGate
from publius.policy.rl import RLReport, train_rl
from publius.policy.rl_setup import build_trainer
from publius.policy.rollout import sampler_of
from publius.records import Conversation, Prompt
from publius.training.environment import find_device
from publius.training.lora import Lora, adapter_config, merged_weights
from publius.training.weights import load_causal_lm

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
peft = pytest.importorskip("peft")
pytestmark = pytest.mark.tiny
SETTINGS = RLSettings(
    steps=4,
    prompts_per_step=2,
    num_generations=4,
    max_prompt_length=64,
    max_completion_length=8,
    learning_rate=1e-2,
    snapshot_every=2,
    is_bf16=False,
    lora=Lora(rank=3, keep_adapter=True),
)
IDS = torch.tensor([[5, 6, 7, 8]])
ADAPTER_FILES = ["adapter_config.json", "adapter_model.safetensors"]


def _vowels(conversations: Sequence[Conversation]) -> list[float]:
    return [float(sum(c in "aeiou" for c in conversation[-1].content)) for conversation in conversations]


def _train(
    start: Path, prompts: list[Prompt], out: Path, *, reference: Path | None = None, **changes: Any
) -> RLReport:
    return train_rl(
        start,
        prompts,
        _vowels,
        out,
        settings=replace(SETTINGS, **changes),
        seed=3,
        on_progress=lambda *_: None,
        reference=reference,
    )


def _trainer(start: Path, prompts: list[Prompt], work: Path, **given: Any) -> Any:
    gate, device = RewardGate(_vowels), find_device()
    loaded = load_causal_lm(start)
    return build_trainer(loaded, prompts[:8], gate, work, settings=SETTINGS, seed=3, device=device, **given)


def test_snapshots_and_the_model_are_whole_with_their_adapters_beside(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    report = _train(tiny_model_dir, prompts, tmp_path / "rl")
    hashes = set[str]()
    for place in (tmp_path / "rl", *(tmp_path / "rl" / snapshot for snapshot in report.snapshots)):
        start, merged = load_causal_lm(tiny_model_dir).model, load_causal_lm(place).model
        assert_low_rank(start, merged, rank=3)
        assert sorted(path.name for path in (place / "adapter").iterdir()) == ADAPTER_FILES
        adapted = peft.PeftModel.from_pretrained(start, place / "adapter").eval()
        torch.testing.assert_close(adapted(input_ids=IDS).logits, merged(input_ids=IDS).logits)
        hashes.add(str(merged(input_ids=IDS).logits.sum().item()))
    assert len(hashes) == 2  # the model is the last snapshot


def test_the_best_snapshot_comes_with_its_own_adapter(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    steps = _train(tiny_model_dir, prompts, tmp_path / "whole").steps
    assert steps[1].kl_per_answer < steps[3].kl_per_answer
    bound = (steps[1].kl_per_answer + steps[3].kl_per_answer) / 2
    monitors = Monitors(on_alarm="best", window=1, kl=bound, rollout_gap=1e6)
    report = _train(tiny_model_dir, prompts, tmp_path / "rl", monitors=monitors)
    assert (report.stopped, report.kept_step) == (("kl",), 2)
    adapters = [
        (tmp_path / "rl" / place / "adapter" / "adapter_model.safetensors").read_bytes()
        for place in ("", "snapshots/step-2", "snapshots/step-4")
    ]
    assert adapters[0] == adapters[1] != adapters[2]


def test_one_model_is_in_memory_and_its_own_weights_stay(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    trainer = _trainer(tiny_model_dir, prompts, tmp_path)
    assert trainer.ref_model is None
    start = load_causal_lm(tiny_model_dir).model
    assert trainer.model.num_parameters() < 1.3 * start.num_parameters()
    trainer.train()
    with trainer.model.disable_adapter():
        logits = trainer.model(input_ids=IDS).logits
    assert torch.equal(logits, start(input_ids=IDS).logits)
    own = {
        name.replace(".base_layer.", "."): weight
        for name, weight in trainer.model.get_base_model().state_dict().items()
        if ".lora_" not in name
    }
    assert own.keys() == start.state_dict().keys()
    assert all(torch.equal(own[name], weight) for name, weight in start.state_dict().items())


def test_a_later_round_is_measured_from_its_reference(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    _train(tiny_model_dir, prompts, tmp_path / "first")
    found = [
        _train(tmp_path / "first", prompts, tmp_path / name, reference=tiny_model_dir, steps=1, lora=lora)
        for name, lora in (("low-rank", SETTINGS.lora), ("whole", Lora()))
    ]
    kls = [report.steps[0].kl for report in found]
    assert kls[0] == pytest.approx(kls[1], rel=1e-4)
    assert kls[0] > 1e-4


def test_merged_weights_are_those_of_the_merged_model(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    trainer = _trainer(tiny_model_dir, prompts, tmp_path)
    trainer.train()
    found = dict(merged_weights(trainer.model))
    merged = copy.deepcopy(trainer.model).merge_and_unload()
    assert set(found) == set(merged.state_dict())
    for name, weight in merged.state_dict().items():
        assert torch.equal(found[name], weight), name
    torch.testing.assert_close(merged(input_ids=IDS).logits, trainer.model(input_ids=IDS).logits)
    assert dict(merged_weights(merged)).keys() == found.keys()


def test_updates_too_small_for_a_bfloat16_weight_reach_the_copy_that_samples(tiny_model_dir: Path) -> None:
    policy = load_causal_lm(tiny_model_dir).model
    with torch.no_grad():
        for weight in policy.parameters():
            if weight.dim() == 2:
                weight.copy_(weight.sign() * 1.5 * 2**-6)  # half a spacing of bfloat16 is 2⁻¹⁴
    base = {name: weight.clone() for name, weight in policy.state_dict().items()}
    adapted = peft.get_peft_model(policy, adapter_config(SETTINGS.lora, task="CAUSAL_LM", seed=0))
    sampler = sampler_of(adapted, is_bf16=True, pad_id=0)
    assert sampler is not None

    def compute() -> tuple[Any, Any]:
        """Return what the copy and the policy compute at the last token."""
        copied_H = sampler.read(IDS.tolist(), AnswerMemory([4], [1], n_tokens=1))[0]
        with torch.autocast("cpu", torch.bfloat16):
            trained_H = adapted(input_ids=IDS, output_hidden_states=True).hidden_states[-1][0, -1]
        return copied_H.float(), trained_H.float()

    with torch.no_grad():
        before = compute()
    adapted(input_ids=IDS, labels=IDS).loss.backward()
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.sub_(weight.grad.sign() * 5e-6)
        for name, weight in merged_weights(adapted):
            assert torch.equal(weight.bfloat16().float(), base[name]), name
        sampler.refresh(adapted)
        copied_H, trained_H = (now - then for now, then in zip(compute(), before, strict=True))
    assert (copied_H * trained_H).sum() / trained_H.square().sum() == pytest.approx(1.0, abs=0.3)


def test_updates_of_weights_that_are_cut_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UsageError, match="not merged under FSDP"):
        adapter_config(Lora(rank=2), task="CAUSAL_LM", seed=0)
    assert adapter_config(Lora(), task="CAUSAL_LM", seed=0) is None
