"""Teach a model to give the revised answers: supervised learning on demonstrations.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1–3.2 (SL-CAI). Departures: the start is a chat model, not a
pretrained one; the loss is on the answer and its end-of-turn token only.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from publius.errors import DataError
from publius.policy.config import SFTSettings
from publius.records import Demonstration, Message
from publius.training.arguments import Optimisation, fill_last_batch, trainer_arguments
from publius.training.batches import grouped_order
from publius.training.chat import encode_answer
from publius.training.environment import Device, find_device, quiet, require_training
from publius.training.lora import adapter_config, merge
from publius.training.packing import can_pack
from publius.training.report import TrainingReport, skipped_rows
from publius.training.running import finish, prepare_work, run_key, run_trainer
from publius.training.weights import LoadedModel, load_causal_lm

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from publius.policy.sft_trainer import AnswerTrainer

_IGNORED = -100  # the label of a token that the loss leaves out
_LIKE_LENGTH = 4  # neighbours in the order of training that are of like length


class SFTRow(NamedTuple):
    """Token ids of prompt and answer, and the labels: the answer's ids, the prompt left out."""

    input_ids: list[int]
    labels: list[int]


class SFTRows(NamedTuple):
    """The rows that fit, and how many did not for which reason."""

    rows: list[SFTRow]
    skipped: Counter[str]


def train_sft(
    start: Path,
    demonstrations: Sequence[Demonstration],
    out: Path,
    *,
    settings: SFTSettings,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> TrainingReport:
    """Train `start` to give the demonstrated answers, write the model to `out`, and return the facts.

    `on_progress(done, total)` is called after every optimizer step. The same input and seed give the same
    rows in the same order; a run that was killed goes on from its last checkpoint.

    Raises:
        DataError: No demonstration is left to train on, or `start` is not a model.
        MissingExtra: The `train` extra is not installed.
    """
    require_training()
    began = time.monotonic()
    device = find_device()
    with quiet():
        loaded = load_causal_lm(start)
        data = sft_rows(loaded.tokenizer, demonstrations, max_length=settings.max_length)
        if not data.rows:
            raise DataError(
                f"none of {len(demonstrations)} demonstrations can be trained on: {dict(data.skipped)}",
                todo="check the answers, or raise max_length",
            )
        key = run_key(settings, seed=seed, start=start, rows=data.rows)
        work = prepare_work(out, key=key, device=device)
        trainer = build_trainer(loaded, data.rows, work, settings=settings, seed=seed, device=device)
        losses, n_resumed = run_trainer(trainer, device=device, on_progress=on_progress)
        merge(trainer.model, settings.lora, work=work, keeps=device.is_first)
        saved_hash = finish(loaded, out=out, work=work, device=device)
    return TrainingReport(
        steps=len(losses),
        tokens=settings.epochs * sum(len(row.input_ids) for row in data.rows),
        seconds=time.monotonic() - began,
        losses=losses,
        n_rows=len(data.rows),
        skipped=skipped_rows(data.skipped),
        weights_hash=saved_hash,
        n_resumed=n_resumed,
    )


def sft_rows(
    tokenizer: "PreTrainedTokenizerBase", demonstrations: Sequence[Demonstration], *, max_length: int
) -> SFTRows:
    """Return the demonstrations as token ids; control strings inside a text stay text.

    An empty answer and a row of more than `max_length` tokens are left out and counted.
    """
    rows: list[SFTRow] = []
    skipped: Counter[str] = Counter()
    for demonstration in demonstrations:
        if not demonstration.answer.strip():
            skipped["empty answer"] += 1
            continue
        answer = Message("assistant", demonstration.answer)
        prompt_ids, answer_ids = encode_answer(tokenizer, (*demonstration.messages, answer))
        if len(prompt_ids) + len(answer_ids) > max_length:
            skipped[f"longer than {max_length} tokens"] += 1
            continue
        labels = [_IGNORED] * len(prompt_ids) + answer_ids
        rows.append(SFTRow(prompt_ids + answer_ids, labels))
    return SFTRows(rows, skipped)


def build_trainer(
    loaded: LoadedModel,
    rows: Sequence[SFTRow],
    work: Path,
    *,
    settings: SFTSettings,
    seed: int,
    device: Device,
) -> "AnswerTrainer":
    """Return TRL's trainer over rows that are tokenised and in order.

    Raises:
        DataError: Rows are to be packed, and the model cannot keep them apart.
    """
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig

    from publius.policy.sft_trainer import AnswerTrainer
    from publius.training.answer_head import use_answer_head

    if settings.packing and not can_pack(loaded.model):
        raise DataError(
            f"{type(loaded.model).__name__} does not keep documents in one row apart",
            where="sft.packing",
            todo="set packing = false",
        )
    n_rows = settings.micro_batch_size or settings.batch_size
    optimisation = Optimisation(settings.learning_rate, settings.batch_size, n_rows)
    lengths = [len(row.input_ids) for row in rows]
    n_alike = min(_LIKE_LENGTH, n_rows)
    order = grouped_order(lengths, batch_size=n_alike, epochs=settings.epochs, seed=seed)
    arguments = trainer_arguments(
        optimisation,
        device=device,
        work=work,
        seed=seed,
        is_bf16=settings.is_bf16,
        n_tokens=0,  # the trainer recomputes what it must
        checkpoint_every=settings.checkpoint_every,
    )
    shortest = min(rows, key=lambda row: len(row.input_ids))
    filler = shortest._replace(labels=[_IGNORED] * len(shortest.labels))
    dealt = fill_last_batch(order, optimisation, n_processes=device.n_processes, filler=len(rows))
    trainer = AnswerTrainer(
        model=loaded.model,
        args=SFTConfig(**arguments, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}),
        train_dataset=Dataset.from_list([row._asdict() for row in (*rows, filler)]).select(dealt),
        processing_class=loaded.tokenizer,
        peft_config=adapter_config(settings.lora, task="CAUSAL_LM", seed=seed),
    )
    trainer.packs = settings.packing
    trainer.tokens_in_memory = settings.tokens_in_memory
    use_answer_head(loaded.model)
    return trainer
