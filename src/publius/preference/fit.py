"""Train a classifier with one output on rows: what a preference model and a regressor of harm share.

What is saved is tested (`saving`), and a run that was killed goes on from its last checkpoint.

Paper: none.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from publius.preference.config import PMSettings
from publius.preference.rows import TrainingRow, siblings_of
from publius.preference.saving import save_tested
from publius.preference.scale import RewardScale
from publius.preference.score import PreferenceModel, wrap
from publius.training.environment import Device, wait_for_all
from publius.training.lora import merge
from publius.training.report import TrainingReport, skipped_rows
from publius.training.running import Trained, prepare_work, run_key, run_trainer
from publius.training.weights import LoadedModel, weights_hash
from publius.training.workroom import publish

if TYPE_CHECKING:
    from publius.preference.trainer import RowLoss, RowTrainer
    from publius.training.shared_prompt import Siblings

_N_PROBES = 8


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model, not saved yet: the steps, its work directory, and rows drawn with the seed.

    `expected` are the outputs of the first of them before low-rank updates are merged.
    """

    pm: PreferenceModel
    trained: Trained
    work: Path
    drawn: "list[Siblings]"
    expected: list[float]

    def outputs(self) -> list[float]:
        """Return the model's outputs of the rows that were drawn."""
        return _outputs(self.pm, self.drawn)


def fit(
    loaded: LoadedModel,
    rows: Sequence[TrainingRow],
    out: Path,
    *,
    loss: "RowLoss",
    settings: PMSettings,
    seed: int,
    device: Device,
    start: Path,
    decides: Sequence[object],
    on_progress: Callable[[int, int], None],
) -> Fitted:
    """Return the classifier `loaded`, trained on `rows`; `decides` is what a run to go on with must share."""
    from publius.preference.trainer import build_trainer

    work = prepare_work(out, key=run_key(settings, seed=seed, start=start, rows=decides), device=device)
    trainer = build_trainer(loaded, rows, work, loss=loss, settings=settings, seed=seed, device=device)
    trained = run_trainer(trainer, device=device, on_progress=on_progress)
    pm = _finished(trainer, loaded)
    drawn = siblings_of(random.Random(seed).sample(rows, min(settings.n_scale_rows, len(rows))))
    expected = _outputs(pm, drawn[:_N_PROBES])  # before updates are merged, and of the head with them
    merge(trainer.model, settings.lora, work=work, keeps=device.is_first)
    return Fitted(pm, trained, work, drawn, expected)


def save_fitted(
    fitted: Fitted, scale: RewardScale, out: Path, *, device: Device, beside: dict[str, str] | None = None
) -> None:
    """Save a trained model to `out`, tested, with its scale and the texts `beside` it by file name."""
    if device.is_first:
        probes = fitted.drawn[:_N_PROBES]
        built = save_tested(
            fitted.pm, scale, fitted.work, probes=probes, expected=fitted.expected, beside=beside or {}
        )
        publish(built, out=out, work=fitted.work)
    wait_for_all(device)


def training_report(
    fitted: Fitted, out: Path, *, tokens: int, seconds: float, n_rows: int, skipped: dict[str, int]
) -> TrainingReport:
    """Return the facts of a run that was saved to `out`."""
    return TrainingReport(
        steps=len(fitted.trained.losses),
        tokens=tokens,
        seconds=seconds,
        losses=fitted.trained.losses,
        n_rows=n_rows,
        skipped=skipped_rows(skipped),
        weights_hash=weights_hash(out),
        n_resumed=fitted.trained.n_resumed,
    )


def context_of(start: LoadedModel) -> int:
    """Return how many tokens a model takes."""
    return int(cast(Any, start.model).config.get_text_config().max_position_embeddings)


def _finished(trainer: "RowTrainer", loaded: LoadedModel) -> PreferenceModel:
    """Return the trained model ready to score in float32: autocast, gradients and Adam's moments gone."""
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    loaded.model.zero_grad(set_to_none=True)
    trainer.accelerator.free_memory()
    trainer.optimizer = None
    return wrap(loaded.model, loaded.tokenizer, scale=None)


def _outputs(pm: PreferenceModel, rows: "Sequence[Siblings]") -> list[float]:
    return [output for outputs in pm.score_ids(rows) for output in outputs]
