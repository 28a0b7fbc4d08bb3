"""Train a policy on preferences directly, without a preference model or sampling.

With a soft label p the loss is p·ℓ(w>l) + (1 − p)·ℓ(l>w), where ℓ is the usual one: the implicit reward's
margin β·(log π/π₀ of w − that of l) goes to logit(p), not to infinity. A preference of exactly 0.5 has no
side and is left out.

Paper: Rafailov et al. 2023, arXiv:2305.18290, eq. 7; not in the Constitutional AI papers. Soft labels as in
Mitchell 2023, "A note on DPO with noisy preferences and relationship to IPO".
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from publius.errors import DataError
from publius.policy.config import DPOSettings
from publius.records import Message, Preference, is_tie
from publius.training.arguments import Optimisation, fill_last_batch, trainer_arguments
from publius.training.batches import grouped_order, largest_batch
from publius.training.chat import encode_answer
from publius.training.environment import Device, find_device, quiet, require_training
from publius.training.lora import adapter_config, inner_model, merge
from publius.training.report import TrainingReport, skipped_rows
from publius.training.running import finish, prepare_work, run_key, run_trainer
from publius.training.weights import LoadedModel, load_causal_lm

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from publius.policy.dpo_trainer import TokenisedDPOTrainer


class DPORow(NamedTuple):
    """Token ids of a prompt and of its preferred and its other answer, in TRL's words.

    `prob_chosen`, over 0.5, is the label.
    """

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    prob_chosen: float = 1.0

    @property
    def n_tokens(self) -> int:
        """Tokens that go through the model: the prompt once for each answer."""
        return 2 * len(self.prompt_ids) + len(self.chosen_ids) + len(self.rejected_ids)


class DPORows(NamedTuple):
    """The rows that can be trained on, and how many cannot for which reason."""

    rows: list[DPORow]
    skipped: Counter[str]


def train_dpo(
    start: Path,
    preferences: Sequence[Preference],
    out: Path,
    *,
    settings: DPOSettings,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> TrainingReport:
    """Train `start` towards the preferred answers, write the model to `out`, and return the facts.

    `on_progress(done, total)` is called after every optimizer step; a run that was killed goes on from its
    last checkpoint.

    Raises:
        DataError: No preference is left to train on, or `start` is not a model.
        MissingExtra: The `train` extra is not installed.
    """
    require_training()
    began = time.monotonic()
    device = find_device()
    with quiet():
        loaded = load_causal_lm(start)
        data = dpo_rows(loaded.tokenizer, preferences, max_length=settings.max_length, labels=settings.labels)
        if not data.rows:
            raise DataError(
                f"none of {len(preferences)} preferences can be trained on: {dict(data.skipped)}",
                todo="label more comparisons, or raise max_length",
            )
        key = run_key(settings, seed=seed, start=start, rows=data.rows)
        work = prepare_work(out, key=key, device=device)
        trainer = build_trainer(loaded, data.rows, work, settings=settings, seed=seed, device=device)
        losses, n_resumed = run_trainer(trainer, device=device, on_progress=on_progress)
        merge(trainer.model, settings.lora, work=work, keeps=device.is_first)
        saved_hash = finish(loaded, out=out, work=work, device=device)
    return TrainingReport(
        steps=len(losses),
        tokens=settings.epochs * sum(row.n_tokens for row in data.rows),
        seconds=time.monotonic() - began,
        losses=losses,
        n_rows=len(data.rows),
        skipped=skipped_rows(data.skipped),
        weights_hash=saved_hash,
        n_resumed=n_resumed,
    )


def dpo_rows(
    tokenizer: "PreTrainedTokenizerBase",
    preferences: Sequence[Preference],
    *,
    max_length: int,
    labels: Literal["soft", "hard"] = "soft",
) -> DPORows:
    """Return the preferences as token ids, the likelier answer as chosen; hard labels are 1.

    Left out and counted: no label, a label of 0.5, identical answers, and a prompt with an answer over
    `max_length` tokens.
    """
    rows: list[DPORow] = []
    skipped: Counter[str] = Counter()
    for preference in preferences:
        prob_a, comparison = preference.prob_a, preference.comparison
        if prob_a is None:
            skipped["no label"] += 1
        elif is_tie(prob_a):
            skipped["no side"] += 1
        elif comparison.answer_a.strip() == comparison.answer_b.strip():
            skipped["identical answers"] += 1
        else:
            sided = comparison if prob_a > 0.5 else comparison.swap()
            prompt_ids, chosen_ids = _encode(tokenizer, sided.messages, sided.answer_a)
            _, rejected_ids = _encode(tokenizer, sided.messages, sided.answer_b)
            if len(prompt_ids) + max(len(chosen_ids), len(rejected_ids)) > max_length:
                skipped[f"longer than {max_length} tokens"] += 1
            else:
                prob_chosen = 1.0 if labels == "hard" else max(prob_a, 1 - prob_a)
                rows.append(DPORow(prompt_ids, chosen_ids, rejected_ids, prob_chosen))
    return DPORows(rows, skipped)


def _encode(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], answer: str
) -> tuple[list[int], list[int]]:
    prompt_ids, answer_ids = encode_answer(tokenizer, (*messages, Message("assistant", answer)))
    return prompt_ids, answer_ids


def build_trainer(
    loaded: LoadedModel,
    rows: Sequence[DPORow],
    work: Path,
    *,
    settings: DPOSettings,
    seed: int,
    device: Device,
) -> "TokenisedDPOTrainer":
    """Return TRL's trainer over rows that are tokenised and in order."""
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig

    from publius.policy.dpo_trainer import TokenisedDPOTrainer
    from publius.training.answer_head import use_answer_head
    from publius.training.dropout import turn_off_dropout

    optimisation = Optimisation(settings.learning_rate, settings.batch_size, settings.micro_batch_size)
    lengths = [row.n_tokens for row in rows]
    order = grouped_order(lengths, batch_size=settings.micro_batch_size, epochs=settings.epochs, seed=seed)
    arguments: dict[str, Any] = trainer_arguments(
        optimisation,
        device=device,
        work=work,
        seed=seed,
        is_bf16=settings.is_bf16,
        n_tokens=largest_batch(lengths, order, batch_size=settings.micro_batch_size),
        checkpoint_every=settings.checkpoint_every,
    )
    filler = DPORow(min((row.prompt_ids for row in rows), key=len), [], [])
    dealt = fill_last_batch(order, optimisation, n_processes=device.n_processes, filler=len(rows))
    turn_off_dropout(loaded.model)  # margins are measured from the start
    trainer = TokenisedDPOTrainer(
        model=loaded.model,
        args=DPOConfig(**arguments, beta=settings.beta, max_length=None, remove_unused_columns=False),
        train_dataset=Dataset.from_list([row._asdict() for row in (*rows, filler)]).select(dealt),
        processing_class=loaded.tokenizer,
        peft_config=adapter_config(settings.lora, task="CAUSAL_LM", seed=seed),
    )
    trainer.keep_labels()
    for model in (trainer.model, trainer.ref_model):
        if model is not None:
            use_answer_head(inner_model(model))
    return trainer
