"""Train a preference model on soft labels, measure it on held-out prompts, and test what was saved.

The split is by the hash of the prompt's id: a prompt is on one side only, in every run. After saving,
the model is loaded as any other program would load it and must give a probe batch the same rewards.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1; accuracy and calibration as in arXiv:2204.05862.
Departure: no preference-model pre-training.
"""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from publius.errors import DataError, StoreError
from publius.preference.config import PMSettings
from publius.preference.rows import PMRow, pm_rows
from publius.preference.score import SCALE_FILE, PreferenceModel, RewardScale, scale_of, wrap
from publius.records import Preference, canonical_json, content_hash, encode
from publius.stats.calibration import (
    Bin,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    reliability_bins,
)
from publius.stats.intervals import Estimate, clustered_rate
from publius.training.arguments import Optimisation, trainer_arguments
from publius.training.batches import grouped_order, largest_batch
from publius.training.environment import Device, find_device, quiet, require_training
from publius.training.report import TrainingReport, skipped_rows
from publius.training.running import prepare_work, run_trainer, wait_for_all
from publius.training.weights import LoadedModel, load_causal_lm, save_model, weights_hash
from publius.training.workroom import publish, write_durably

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from publius.preference.trainer import SoftLabelTrainer
    from publius.training.shared_prompt import Siblings

_N_PROBES = 8
_PROBE_TOLERANCE = 0.02  # of the rewards' spread: a lost head is off by all of it, another kernel by 1e-4
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How well the PM predicts labels it has not seen.

    `accuracy` counts comparisons whose label takes a side; `ece` and `brier` compare σ(r_A − r_B) with
    the soft label; `temperature` above 1 means over-confidence. `bins` are the reliability diagram's.
    """

    n: int
    accuracy: Estimate | None
    accuracy_by_origin: tuple[tuple[str, Estimate], ...]
    ece: float
    brier: float
    temperature: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class PMReport:
    """The facts of a trained PM; `held_out` is None when no prompt's hash fell on that side."""

    training: TrainingReport
    held_out: HeldOut | None
    scale: RewardScale


def train_preference_model(
    start: Path,
    preferences: Sequence[Preference],
    out: Path,
    *,
    settings: PMSettings,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> PMReport:
    """Train a PM from the causal language model at `start`, write it to `out`, and return the facts.

    `on_progress(done, total)` is called after every optimizer step.

    Raises:
        DataError: No comparison is left to train on, or `start` cannot be made a PM.
        StoreError: What was saved does not score like what was trained.
        MissingExtra: The `train` extra is not installed.
    """
    require_training()
    from publius.preference.model import build_pm

    began = time.monotonic()
    device = find_device()
    with quiet():
        start_model = load_causal_lm(start)
        data = pm_rows(start_model.tokenizer, preferences, max_length=settings.max_length)
        if not data.train:
            raise DataError(
                f"no comparison to train on: {len(preferences)} given, {len(data.held_out)} of them held "
                f"out, skipped {dict(data.skipped)}",
                todo="label more comparisons, or raise max_length",
            )
        loaded = LoadedModel(build_pm(start_model), start_model.tokenizer)
        del start_model
        work = prepare_work(out, key=content_hash([settings, seed]), device=device)
        trainer = _trainer(loaded, data.train, work, settings=settings, seed=seed, device=device)
        losses = run_trainer(trainer, on_progress=on_progress)
        pm = _finished_pm(trainer, loaded)
        held_out = measure(pm, data.held_out) if data.held_out else None
        drawn = random.Random(seed).sample(data.train, min(settings.n_scale_rows, len(data.train)))
        scale = scale_of([reward for pair in pm.score_ids(_pairs(drawn)) for reward in pair])
        if device.is_first:
            built = _save(pm, scale, work / "model", probes=_pairs(drawn[:_N_PROBES]))
            publish(built, out=out, work=work)
        wait_for_all(device)
    training = TrainingReport(
        steps=len(losses),
        tokens=settings.epochs * sum(row.n_tokens for row in data.train),
        seconds=time.monotonic() - began,
        losses=losses,
        n_rows=len(data.train),
        skipped=skipped_rows(data.skipped),
        weights_hash=weights_hash(out),
    )
    return PMReport(training, held_out, scale)


def measure(pm: PreferenceModel, rows: Sequence[PMRow]) -> HeldOut:
    """Return how well a PM predicts the labels of `rows` (at least one)."""
    margins = [a - b for a, b in pm.score_ids(_pairs(rows))]
    probs = [_sigmoid(margin) for margin in margins]
    labels = [row.prob_a for row in rows]
    by_origin = ((origin, _accuracy(margins, rows, origin)) for origin in sorted({r.origin for r in rows}))
    return HeldOut(
        n=len(rows),
        accuracy=_accuracy(margins, rows, None),
        accuracy_by_origin=tuple((origin, found) for origin, found in by_origin if found is not None),
        ece=expected_calibration_error(probs, labels),
        brier=brier_score(probs, labels),
        temperature=fit_temperature(margins, labels),
        bins=reliability_bins(probs, labels),
    )


def _accuracy(margins: Sequence[float], rows: Sequence[PMRow], origin: str | None) -> Estimate | None:
    sided = [
        (margin, row)
        for margin, row in zip(margins, rows, strict=True)
        if row.prob_a != 0.5 and origin in (None, row.origin)
    ]
    # equal rewards take no side, so they are no hit
    hits = [margin != 0 and (margin > 0) == (row.prob_a > 0.5) for margin, row in sided]
    return clustered_rate(hits, [row.prompt_id for _, row in sided]) if sided else None


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _pairs(rows: Sequence[PMRow]) -> "list[Siblings]":
    from publius.training.shared_prompt import Siblings

    return [Siblings(row.prompt_ids, (row.a_ids, row.b_ids)) for row in rows]


def _trainer(
    loaded: LoadedModel,
    rows: Sequence[PMRow],
    work: Path,
    *,
    settings: PMSettings,
    seed: int,
    device: Device,
) -> "SoftLabelTrainer":
    """Return the trainer over rows that are tokenised and in order."""
    from datasets import Dataset
    from trl.trainer.reward_config import RewardConfig

    from publius.preference.model import use_shared_prompts
    from publius.preference.trainer import Collator, SoftLabelTrainer
    from publius.training.shared_prompt import can_share_prompts

    optimisation = Optimisation(settings.learning_rate, settings.batch_size, settings.micro_batch_size)
    lengths = [row.n_tokens for row in rows]
    order = grouped_order(lengths, batch_size=settings.micro_batch_size, epochs=settings.epochs, seed=seed)
    arguments = trainer_arguments(
        optimisation,
        device=device,
        work=work,
        seed=seed,
        is_bf16=settings.is_bf16,
        n_tokens=largest_batch(lengths, order, batch_size=settings.micro_batch_size),
    )
    columns = [
        {
            "chosen_ids": row.a_ids,
            "rejected_ids": row.b_ids,
            "prompt_ids": row.prompt_ids,
            "prob_a": row.prob_a,
        }
        for row in rows
    ]
    collator = Collator(cast(int, loaded.tokenizer.pad_token_id), shares=can_share_prompts(loaded.model))
    trainer = SoftLabelTrainer(
        model=loaded.model,
        args=RewardConfig(**arguments, max_length=None, remove_unused_columns=False),
        data_collator=cast(Any, collator),
        train_dataset=Dataset.from_list(columns).select(order),
        processing_class=loaded.tokenizer,
    )
    use_shared_prompts(loaded.model)
    return trainer


def _finished_pm(trainer: "SoftLabelTrainer", loaded: LoadedModel) -> PreferenceModel:
    """Return the trained model ready to score in float32: autocast, gradients and Adam's moments gone."""
    model = cast("PreTrainedModel", trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False))
    model.zero_grad(set_to_none=True)
    trainer.accelerator.free_memory()
    trainer.optimizer = None
    return wrap(model, loaded.tokenizer, scale=None)


def _save(pm: PreferenceModel, scale: RewardScale, built: Path, *, probes: "list[Siblings]") -> Path:
    """Save, load as any program would, and compare the rewards of the probes.

    Raises:
        StoreError: They differ.
    """
    expected = [reward for pair in pm.score_ids(probes) for reward in pair]
    save_model(pm.model, pm.tokenizer, built)
    write_durably(built / SCALE_FILE, canonical_json(encode(scale)))
    found = _plain_rewards(built, probes)
    worst = max(abs(a - b) for a, b in zip(expected, found, strict=True))
    if not worst <= _PROBE_TOLERANCE * scale.std + _ROUNDING:
        raise StoreError(
            f"the saved preference model scores a probe {worst:.3g} apart from the trained one",
            where=built,
            todo="the model's code and its saved form disagree; start from another architecture",
        )
    return built


def _plain_rewards(path: Path, probes: "Sequence[Siblings]") -> list[float]:
    """Return the probes' rewards by transformers alone: no shared prompts, no code of ours."""
    import torch
    from transformers import AutoModelForSequenceClassification

    loose = cast(Any, AutoModelForSequenceClassification)
    model = loose.from_pretrained(
        path, dtype=torch.float32, local_files_only=True, use_safetensors=True
    ).eval()
    rewards: list[float] = []
    with torch.inference_mode():
        for probe in probes:
            texts = [[*probe.prompt_ids, *answer] for answer in probe.answers]
            width = max(map(len, texts))
            padded = [text + [model.config.pad_token_id] * (width - len(text)) for text in texts]
            mask = [[1] * len(text) + [0] * (width - len(text)) for text in texts]
            logits = model(input_ids=torch.tensor(padded), attention_mask=torch.tensor(mask)).logits
            rewards += logits[:, 0].tolist()
    return rewards
