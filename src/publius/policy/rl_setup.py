"""Set up TRL's trainer for reinforcement learning: which algorithm, which reference, who samples.

Paper: none.
"""

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publius.errors import MissingExtra, UsageError
from publius.policy.config import RLSettings
from publius.policy.reward_gate import RewardGate
from publius.records import Prompt
from publius.training.arguments import Optimisation, trainer_arguments
from publius.training.environment import Device
from publius.training.lora import adapter_config
from publius.training.weights import LoadedModel, load_causal_lm

if TYPE_CHECKING:
    from publius.policy.rl_trainer import PolicyTrainer

# TRL measures the KL only where it is penalised. With a factor this small its gradient is lost in the
# rounding of any other, and Adam's ε swallows it where there is no other.
_MEASURED_ONLY = 1e-30


def build_trainer(
    loaded: LoadedModel,
    drawn: Sequence[Prompt],
    gate: RewardGate,
    work: Path,
    *,
    settings: RLSettings,
    seed: int,
    device: Device,
    reference: Path | None = None,
) -> "PolicyTrainer":
    """Return TRL's trainer over prompts that are drawn and in order; the KL is measured from `reference`."""
    from datasets import Dataset

    from publius.training.dropout import turn_off_dropout

    batch_size = settings.prompts_per_step * settings.num_generations
    optimisation = Optimisation(
        settings.learning_rate, batch_size, micro_batch_size=settings.micro_batch_size or batch_size
    )
    arguments: dict[str, Any] = trainer_arguments(
        optimisation,
        device=device,
        work=work,
        seed=seed,
        is_bf16=settings.is_bf16,
        n_tokens=0,  # the trainer cuts a step by tokens and recomputes what must be
        checkpoint_every=settings.snapshot_every,
    )
    arguments |= {
        "max_steps": settings.steps,
        "shuffle_dataset": False,
        "num_generations": settings.num_generations,
        "max_completion_length": settings.max_completion_length,
        "temperature": settings.temperature,
        "beta": settings.beta or _MEASURED_ONLY,
        **rollout_arguments(settings, device),
    }
    rows = [
        {"prompt": [{"role": m.role, "content": m.content} for m in prompt.messages], "row": row}
        for row, prompt in enumerate(drawn)
    ]
    # a step would be compared with other draws of it: when sampled, before, and at the start
    turn_off_dropout(loaded.model)
    kind, config = _algorithm(settings)
    trainer = kind(
        model=loaded.model,
        reward_funcs=[gate],
        args=config(**arguments),
        train_dataset=Dataset.from_list(rows),
        processing_class=loaded.tokenizer,
        peft_config=adapter_config(settings.lora, task="CAUSAL_LM", seed=seed),
    )
    if reference is not None:
        _measure_from(trainer, reference)
    trainer.tokens_in_memory = settings.tokens_in_memory
    trainer.share_prompts(samples=settings.rollouts == "torch")
    return trainer


def _measure_from(trainer: Any, reference: Path) -> None:
    """Make `reference` what the KL is measured from, instead of the start."""
    from trl.trainer.utils import add_fused_lm_head

    model = load_causal_lm(reference).model
    if trainer.ref_model is not None:
        trainer.accelerator.unwrap_model(trainer.ref_model).load_state_dict(model.state_dict())
        return
    # with low-rank updates TRL has no reference of its own: the start is the policy without them
    add_fused_lm_head(model, temperature=trainer.temperature)
    trainer.ref_model = trainer.accelerator.prepare_model(model, evaluation_mode=True)


def rollout_arguments(settings: RLSettings, device: Device) -> dict[str, Any]:
    """Return TRL's arguments for who samples.

    Raises:
        UsageError: vLLM is asked for, and there is no GPU.
        MissingExtra: vLLM is asked for, and is not installed.
    """
    if settings.rollouts == "torch":
        return {}
    if device.kind == "cpu":
        raise UsageError(
            f"rl.rollouts = {settings.rollouts!r} needs a GPU: TRL hands the weights over on it",
            todo='set rl.rollouts = "torch"',
        )
    if importlib.util.find_spec("vllm") is None:
        raise MissingExtra("vllm", "vllm")
    if settings.rollouts == "vllm-server":
        return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": settings.vllm_server}
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": settings.vllm_memory,
    }


def _algorithm(settings: RLSettings) -> tuple[Any, Callable[..., Any]]:
    """Return the kind of trainer, and what makes its arguments."""
    if settings.algorithm == "rloo":
        from trl.trainer.rloo_config import RLOOConfig

        from publius.policy.rloo_trainer import RLOOPolicyTrainer

        return RLOOPolicyTrainer, RLOOConfig
    from trl.trainer.grpo_config import GRPOConfig

    from publius.policy.grpo_trainer import GRPOPolicyTrainer

    choices = {"loss_type": settings.loss_type or "dapo", "scale_rewards": settings.scale_rewards or "group"}
    return GRPOPolicyTrainer, partial(GRPOConfig, **choices)
