"""A step of ours is TRL's step; and what was sampled is compared with what is trained."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest

from publius.errors import DataError, MissingExtra, UsageError
from publius.policy import rl_setup
from publius.policy.config import Monitors, RLSettings
from publius.policy.reward_gate import Reward, RewardGate
from publius.policy.rl import RLReport, train_rl
from publius.policy.rl_setup import build_trainer, rollout_arguments
from publius.records import Conversation, Prompt, conversation
from publius.training.environment import Device, find_device
from publius.training.lora import Lora
from publius.training.report import Skipped
from publius.training.weights import load_causal_lm, save_model

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")
pytestmark = pytest.mark.tiny
SETTINGS = RLSettings(
    steps=1,
    prompts_per_step=3,
    num_generations=4,
    max_prompt_length=64,
    max_completion_length=8,
    learning_rate=1e-3,
    beta=0.5,
    is_bf16=False,
)

SETTINGS_TRIED: list[dict[str, Any]] = [
    {},
    {"algorithm": "rloo"},
    {"lora": Lora(rank=4), "learning_rate": 1e-2},
]


def _vowels(conversations: Sequence[Conversation]) -> list[float]:
    return [float(sum(c in "aeiou" for c in conversation[-1].content)) for conversation in conversations]


def _train(
    start: Path,
    prompts: list[Prompt],
    out: Path,
    *,
    reward: Reward = _vowels,
    reference: Path | None = None,
    **changes: Any,
) -> RLReport:
    return train_rl(
        start,
        prompts,
        reward,
        out,
        settings=replace(SETTINGS, **changes),
        seed=3,
        on_progress=lambda *_: None,
        reference=reference,
    )


def _has_moved(before: Path, after: Path) -> bool:
    weights = dict(load_causal_lm(before).model.named_parameters())
    found = load_causal_lm(after).model.named_parameters()
    return any(not torch.equal(weight, weights[name]) for name, weight in found)


def _one_step(trainer: Any, drawn: list[list[int]] | None) -> dict[str, Any]:
    """Return what a step computes for the answers `drawn`, or for its own."""
    with torch.no_grad():  # away from the start, so that there is a KL
        for number, parameter in enumerate(trainer.model.parameters()):
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
            parameter.add_(noise * 0.02)
    if drawn is not None:
        is_grpo = hasattr(trainer, "loss_type")
        trainer._generate_single_turn = lambda *_, **__: (drawn, None) if is_grpo else drawn
    trainer.create_optimizer()
    trainer.model.train()
    window = trainer.args.gradient_accumulation_steps
    batches, n_tokens = trainer.get_batch_samples(iter(trainer.get_train_dataloader()), window, "cpu")
    trainer.current_gradient_accumulation_steps = window
    losses = [trainer.training_step(trainer.model, batch, n_tokens) for batch in batches]
    metrics = {name: list(values) for name, values in trainer._metrics["train"].items()}
    return {
        "loss": torch.stack(losses).sum(),
        "advantages": torch.tensor(list(trainer._logs["advantages"])),
        "gradients": [parameter.grad for parameter in trainer.model.parameters()],
        "metrics": metrics,
        "step": trainer._step,
    }


ALGORITHMS: dict[str, dict[str, Any]] = {
    **{name: {"loss_type": name} for name in ("dapo", "grpo", "bnpo", "dr_grpo")},
    "rloo": {"algorithm": "rloo"},
    "rloo-micro": {"algorithm": "rloo", "micro_batch_size": 6},  # cuts a group
}


def _build(
    start: Path, prompts: list[Prompt], work: Path, *, reward: Reward = _vowels, **changes: Any
) -> Any:
    return build_trainer(
        load_causal_lm(start),
        prompts[:3],
        RewardGate(reward),
        work,
        settings=replace(SETTINGS, **changes),
        seed=3,
        device=find_device(),
    )


def _trl(kind: str, start: Path, plain: Any) -> Any:
    """Return a trainer with nothing of ours but the data and the reward."""
    return getattr(trl, f"{kind}Trainer")(
        model=load_causal_lm(start).model,
        reward_funcs=[RewardGate(_vowels)],
        args=plain.args,
        train_dataset=plain.train_dataset,
        processing_class=plain.processing_class,
    )


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_a_step_in_parts_is_the_step_of_trl(
    name: str, tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    chosen = ALGORITHMS[name]
    trainer = _build(tiny_model_dir, prompts, tmp_path, tokens_in_memory=60, **chosen)
    assert trainer._sampler is not None
    sample = trainer._sampler.sample
    drawn: list[list[int]] = []

    def keep(*args: Any, **kwargs: Any) -> Any:
        sampled = sample(*args, **kwargs)
        drawn.extend(sampled.answers)
        return sampled

    trainer._sampler = SimpleNamespace(refresh=trainer._sampler.refresh, sample=keep)
    passes: list[int] = []
    compute = trainer._compute_loss

    def count(model: Any, inputs: Any) -> Any:
        passes.append(len(inputs["advantages"]))
        return compute(model, inputs)

    trainer._compute_loss = count
    ours = _one_step(trainer, None)
    assert len(passes) > 1, "the step is to be cut"
    assert sum(passes) == 12
    assert ours["step"] == trainer.args.gradient_accumulation_steps

    kind = "RLOO" if "algorithm" in chosen else "GRPO"
    expected = _one_step(
        _trl(kind, tiny_model_dir, _build(tiny_model_dir, prompts, tmp_path, **chosen)), drawn
    )
    rounding = 1e-5 if kind == "RLOO" else 0.0  # the KL is in its advantages
    torch.testing.assert_close(ours["advantages"], expected["advantages"], rtol=rounding, atol=rounding)
    assert ours["loss"].item() == pytest.approx(expected["loss"].item(), rel=1e-4, abs=1e-6)
    for mine, other in zip(ours["gradients"], expected["gradients"], strict=True):
        assert (mine - other).norm() <= 1e-4 * other.norm()
        assert other.norm() > 0
    if kind == "RLOO":  # the KL is logged as in GRPO
        plain = _build(tiny_model_dir, prompts, tmp_path)
        expected = _one_step(_trl("GRPO", tiny_model_dir, plain), drawn)
    for figure in ("kl", "entropy"):
        assert fmean(ours["metrics"][figure]) == pytest.approx(fmean(expected["metrics"][figure]), rel=1e-4)
    assert ours["metrics"]["kl"][0] > 1e-4


def test_an_advantage_of_rloo_is_what_is_earned_over_the_mean_of_the_siblings(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    # three groups of four: all different, one without a reward, all the same
    rewards = [1.0, 2.0, 3.0, 6.0, 0.0, 3.0, math.nan, 9.0, 0.1, 0.1, 0.1, 0.1]
    trainer = _build(tiny_model_dir, prompts, tmp_path, reward=lambda _: rewards, algorithm="rloo", beta=0.0)
    found = _one_step(trainer, None)
    expected = [1 - 11 / 3, 2 - 10 / 3, 3 - 3, 6 - 2, 0 - 6, 3 - 4.5, 0, 9 - 1.5, 0, 0, 0, 0]
    assert found["advantages"].tolist() == pytest.approx(expected, abs=1e-6)
    assert trainer.beta < 1e-20  # the KL is measured all the same
    assert found["metrics"]["kl"][0] > 1e-4


def test_the_kl_of_an_answer_is_taken_from_its_reward(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    trainer = _build(tiny_model_dir, prompts, tmp_path, algorithm="rloo", beta=0.5)
    found = _one_step(trainer, None)
    policy_BC, reference_BC = trainer._before_BC
    rewards_UG = torch.tensor(list(trainer._logs["rewards"]["reward"])).view(3, 4)
    rewards_UG = rewards_UG - 0.5 * (policy_BC - reference_BC).sum(1).view(3, 4)  # 0 beyond an answer's end
    siblings_UG = (rewards_UG.sum(1, keepdim=True) - rewards_UG) / 3
    expected = (rewards_UG - siblings_UG).flatten()
    torch.testing.assert_close(found["advantages"], expected, rtol=1e-5, atol=1e-5)
    assert (policy_BC - reference_BC).abs().max() > 0.01


def test_what_belongs_to_grpo_is_refused_with_rloo() -> None:
    for changes in ({"loss_type": "dapo"}, {"scale_rewards": "group"}):
        with pytest.raises(DataError, match=f"{next(iter(changes))} belong to GRPO"):
            replace(SETTINGS, algorithm="rloo", **changes)


@pytest.mark.parametrize("changes", SETTINGS_TRIED, ids=str)
def test_sampled_and_trained_agree(
    changes: dict[str, Any], tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    exact = _train(tiny_model_dir, prompts, tmp_path / "exact", steps=3, **changes).steps
    assert all(step.rollout_gap is not None and step.rollout_gap < 1e-5 for step in exact)
    assert [step.rollout_beyond for step in exact] == [0.0] * 3
    assert exact[0].kl == 0.0
    assert exact[2].kl > 1e-5
    start = load_causal_lm(tiny_model_dir)
    with torch.no_grad():
        for weight in start.model.parameters():
            weight.copy_(weight.bfloat16())
    base = save_model(start.model, start.tokenizer, tmp_path / "base")
    rounded = _train(base, prompts, tmp_path / "rounded", steps=4, is_bf16=True, **changes).steps
    for step in rounded:
        assert step.rollout_gap is not None
        assert 1e-5 < step.rollout_gap < 2e-3
    assert rounded[-1].kl > 1e-5


def test_answers_of_stale_weights_are_noticed(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    from publius.policy.rollout import Sampler

    monkeypatch.setattr(Sampler, "refresh", lambda *_: None)
    monitors = Monitors(on_alarm="stop", window=1, kl=1e6, rollout_gap=0.05)
    report = _train(
        tiny_model_dir,
        prompts,
        tmp_path / "rl",
        steps=6,
        snapshot_every=2,
        learning_rate=0.02,
        monitors=monitors,
    )
    assert "rollout_gap" in report.stopped
    assert len(report.steps) < 6
    assert report.steps[0].rollout_gap == pytest.approx(0.0, abs=1e-5)
    assert report.steps[-1].rollout_gap is not None
    assert report.steps[-1].rollout_gap > 0.05


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_groups_with_equal_rewards_are_counted_and_teach_only_the_kl(
    algorithm: str, tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    def by_prompt(conversations: Sequence[Conversation]) -> list[float]:
        return [float(len(one[-2].content) + int(one[-2].content[-2])) for one in conversations]

    report = _train(tiny_model_dir, prompts, tmp_path / "rl", reward=by_prompt, algorithm=algorithm)
    assert report.steps[0].equal_rewards == 1.0
    assert not _has_moved(tiny_model_dir, tmp_path / "rl")  # the KL is 0 at the start
    told = _train(tiny_model_dir, prompts, tmp_path / "told", algorithm=algorithm, steps=2)
    assert [step.equal_rewards for step in told.steps] == [0.0, 0.0]
    for beta in (0.0, 0.5):
        out = tmp_path / f"{beta}"
        given: dict[str, Any] = {"reference": tiny_model_dir, "algorithm": algorithm, "beta": beta}
        report = _train(tmp_path / "told", prompts, out, reward=by_prompt, **given)
        assert report.steps[0].equal_rewards == 1.0
        assert report.steps[0].kl > 1e-5
        assert _has_moved(tmp_path / "told", out) == (beta > 0)


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_a_group_with_one_usable_reward_teaches_nothing_at_the_start(
    algorithm: str, tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    def one_in_four(conversations: Sequence[Conversation]) -> list[float]:
        return [5.0 + i if i % 4 == 0 else math.nan for i in range(len(conversations))]

    report = _train(tiny_model_dir, prompts, tmp_path / "rl", reward=one_in_four, algorithm=algorithm)
    assert report.n_unscored == 9
    assert report.steps[0].equal_rewards == 1.0
    assert not _has_moved(tiny_model_dir, tmp_path / "rl")


def test_prompts_that_leave_no_room_for_an_answer_are_counted(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    long = replace(prompts[0], id="long", messages=conversation(("user", "a" * 480)))  # of 512 tokens
    report = _train(tiny_model_dir, [*prompts, long], tmp_path / "rl", max_prompt_length=10_000)
    assert report.skipped == ()
    room = 512 - SETTINGS.max_completion_length
    wide = replace(long, messages=conversation(("user", "a" * 500)))
    report = _train(tiny_model_dir, [*prompts, wide], tmp_path / "again", max_prompt_length=10_000)
    assert report.skipped == (Skipped(f"longer than {room} tokens", 1),)
    with pytest.raises(DataError, match="none of 1 prompts"):
        _train(tiny_model_dir, [wide], tmp_path / "none", max_prompt_length=10_000)


def test_who_samples(
    tiny_model_dir: Path, tmp_path: Path, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Device("cuda", has_bfloat16=True)
    assert rollout_arguments(SETTINGS, gpu) == {}
    inside, server = (replace(SETTINGS, rollouts=name) for name in ("vllm", "vllm-server"))
    with pytest.raises(UsageError, match="needs a GPU"):
        _train(tiny_model_dir, prompts, tmp_path / "rl", rollouts="vllm")
    monkeypatch.setattr(rl_setup.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="vllm"):
        rollout_arguments(inside, gpu)
    monkeypatch.setattr(rl_setup.importlib.util, "find_spec", lambda _: object())
    from trl import GRPOConfig

    for settings, mode in ((inside, "colocate"), (server, "server")):
        config = GRPOConfig(str(tmp_path), use_cpu=True, **rollout_arguments(settings, gpu))
        assert (config.use_vllm, config.vllm_mode) == (True, mode)
        assert config.vllm_server_base_url == (settings.vllm_server if mode == "server" else None)
