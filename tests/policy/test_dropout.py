"""A model with dropout is compared with itself, and not with another draw of its dropout."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from publius.policy.config import DPOSettings, RLSettings
from publius.policy.dpo import train_dpo
from publius.policy.rl import train_rl
from publius.records import Comparison, Conversation, Preference, Prompt, conversation
from publius.training.lora import Lora
from publius.training.weights import load_causal_lm, save_model

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.tiny
LORAS = (Lora(), Lora(rank=2))


@pytest.fixture(params=["number", "layers"])
def start(request: pytest.FixtureRequest, tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A model whose attention has its dropout as a number, and one that has layers of it too."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    loaded = load_causal_lm(tiny_model_dir)
    if request.param == "number":
        loaded.model.config.attention_dropout = 0.5
        return save_model(loaded.model, loaded.tokenizer, tmp_path / "start")
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=len(loaded.tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        hidden_dropout=0.5,
        attention_dropout=0.5,
        eos_token_id=loaded.tokenizer.eos_token_id,
        pad_token_id=loaded.tokenizer.pad_token_id,
    )
    return save_model(GPTNeoXForCausalLM(config), loaded.tokenizer, tmp_path / "start")


def _vowels(conversations: Sequence[Conversation]) -> list[float]:
    return [float(sum(c in "aeiou" for c in one[-1].content)) for one in conversations]


@pytest.mark.parametrize("lora", LORAS, ids=["all", "low-rank"])
@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_the_first_step_of_reinforcement_learning_is_at_the_start(
    algorithm: Literal["grpo", "rloo"], lora: Lora, start: Path, tmp_path: Path, prompts: list[Prompt]
) -> None:
    settings = RLSettings(
        steps=1,
        prompts_per_step=2,
        num_generations=2,
        max_prompt_length=64,
        max_completion_length=8,
        is_bf16=False,
        algorithm=algorithm,
        lora=lora,
    )
    report = train_rl(
        start, prompts, _vowels, tmp_path / "rl", settings=settings, seed=3, on_progress=lambda *_: None
    )
    step = report.steps[0]
    assert step.kl == 0.0
    assert step.loss == pytest.approx(0.0, abs=1e-6)  # what advantages sum to, where ratios are 1
    assert step.rollout_gap is None or step.rollout_gap < 1e-5


@pytest.mark.parametrize("lora", LORAS, ids=["all", "low-rank"])
def test_the_first_margin_of_dpo_is_zero(lora: Lora, start: Path, tmp_path: Path) -> None:
    settings = DPOSettings(batch_size=4, micro_batch_size=2, max_length=64, is_bf16=False, lora=lora)
    asked = [conversation(("user", f"Question {i}?")) for i in range(4)]
    given = [
        Preference(
            Comparison(f"c{i}", f"p{i}", messages, "Yes, good.", "No, bad", "x", "y"),
            0.9,
            "asked",
            None,
            None,
            (),
        )
        for i, messages in enumerate(asked)
    ]
    report = train_dpo(start, given, tmp_path / "dpo", settings=settings, seed=1, on_progress=lambda *_: None)
    assert report.losses[0].loss == pytest.approx(math.log(2), abs=1e-6)
