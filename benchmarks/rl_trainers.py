"""The trainers that `rl_vs_trl.py` compares: ours and TRL's, of one model, task and preference model.

`Parts` says what their seconds go into.
"""

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from publius.engines.fetch import fetch_model
from publius.policy.config import RLSettings
from publius.records import Message, Prompt
from publius.sources import load_comparisons

MODEL = "smollm2-135m-instruct"
MAX_PROMPT = 256  # tokens; longer prompts are left out, by all
N_ANSWERS = 8
N_TOKENS = 64
BETA = 0.04
RATE = 1e-6  # TRL's default


def draw_prompts(spec: str, *, n: int, seed: int) -> list[list[dict[str, str]]]:
    """Return n different prompts of a file as messages, drawn with the seed."""
    from publius.training.chat import encode_chat
    from publius.training.environment import quiet
    from publius.training.weights import load_causal_lm

    with quiet():
        tokenizer = load_causal_lm(fetch_model(MODEL)).tokenizer
    texts = list(dict.fromkeys(one.comparison.messages for one in load_comparisons(spec).preferences))
    random.Random(seed).shuffle(texts)
    usable = [text for text in texts if len(encode_chat(tokenizer, text)) <= MAX_PROMPT]
    if len(usable) < n:
        raise SystemExit(f"{spec}: {len(usable)} prompts of at most {MAX_PROMPT} tokens, {n} are wanted")
    return [[{"role": m.role, "content": m.content} for m in text] for text in usable[:n]]


def save_pm(out: Path) -> None:
    """Save a preference model with a random head, as other programs do: plain, without a scale."""
    import torch

    from publius.preference.model import build_pm
    from publius.training.environment import quiet
    from publius.training.weights import load_causal_lm, save_model

    with quiet():
        start = load_causal_lm(fetch_model(MODEL))
        model: Any = build_pm(start)
        torch.manual_seed(0)
        torch.nn.init.normal_(model.score.weight, std=0.02)
        save_model(model, start.tokenizer, out)


def our_trainer(task: dict[str, Any], work: Path, **changes: Any) -> Any:
    """Return the trainer that `publius train rl` uses."""
    from publius.policy.reward_gate import RewardGate
    from publius.policy.rl_setup import build_trainer
    from publius.preference.score import PreferenceModel
    from publius.training.environment import find_device
    from publius.training.weights import load_causal_lm

    n_prompts = task["n_prompts"]
    settings = RLSettings(
        steps=len(task["prompts"]) // n_prompts,
        prompts_per_step=n_prompts,
        num_generations=N_ANSWERS,
        max_prompt_length=MAX_PROMPT,
        max_completion_length=N_TOKENS,
        beta=BETA,
        learning_rate=RATE,
        **changes,
    )
    prompts = [
        Prompt(str(number), "helpful", "benchmark", "train", tuple(Message(**turn) for turn in turns))
        for number, turns in enumerate(task["prompts"])
    ]
    return build_trainer(
        load_causal_lm(fetch_model(MODEL)),
        prompts,
        RewardGate(PreferenceModel.load(Path(task["pm"])).score),
        work,
        settings=settings,
        seed=0,
        device=find_device(),
    )


def trl_trainer(task: dict[str, Any], work: Path, *, is_whole: bool, **changes: Any) -> Any:
    """Return TRL's trainer with its defaults, but for what a CPU, the task and a benchmark need."""
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification
    from trl import GRPOConfig, GRPOTrainer

    from publius.training.weights import load_causal_lm, model_directory

    path = fetch_model(MODEL)
    tokenizer = load_causal_lm(path).tokenizer
    a_batch = 8  # TRL's default, in answers
    config = GRPOConfig(
        output_dir=str(work),
        per_device_train_batch_size=a_batch,
        gradient_accumulation_steps=task["n_prompts"] * N_ANSWERS // a_batch,
        num_train_epochs=1,
        num_generations=N_ANSWERS,
        max_completion_length=N_TOKENS,
        beta=BETA,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        shuffle_dataset=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **({"gradient_checkpointing": False} if is_whole else {}),
        **changes,
    )
    return GRPOTrainer(
        model=str(model_directory(path)),
        reward_funcs=AutoModelForSequenceClassification.from_pretrained(task["pm"]).eval(),
        reward_processing_classes=tokenizer,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": task["prompts"]}),
        processing_class=tokenizer,
    )


class Parts:
    """What a trainer's seconds go into, added up since the last look."""

    def __init__(self, trainer: Any) -> None:
        self._spent: Counter[str] = Counter()
        self._watch(trainer, "_generate_single_turn", "sampling")
        self._watch(trainer, "_calculate_rewards", "rewards")
        self._watch(trainer, "_get_per_token_logps_and_entropies", "log_probabilities")
        self._watch(trainer, "_prepare_inputs", "answers")
        self._watch(trainer, "training_step", "step")
        self._watch(trainer, "_generate_and_score_completions", "n_tokens")

    def _watch(self, trainer: Any, method: str, part: str) -> None:
        import torch

        original = getattr(trainer, method)

        def watched(*args: Any, **kwargs: Any) -> Any:
            began, is_pass = time.perf_counter(), torch.is_grad_enabled()
            result = original(*args, **kwargs)
            if part == "n_tokens":
                self._spent["answer_tokens"] += int(result["completion_mask"].sum())
            elif not (part == "log_probabilities" and is_pass):  # of the start, without a gradient
                self._spent[part] += time.perf_counter() - began
            return result

        setattr(trainer, method, watched)

    def look(self) -> dict[str, float]:
        """Return the seconds by part, and the tokens of the answers, since the last look."""
        spent, self._spent = self._spent, Counter()
        return {
            "sampling": spent["sampling"],
            "reference": spent["log_probabilities"],
            "rewards": spent["rewards"],
            "passes": spent["step"] - spent["answers"],
            "answer_tokens": spent["answer_tokens"],
        }
