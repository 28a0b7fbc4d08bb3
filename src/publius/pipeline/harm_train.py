"""Train a regressor of harm in a directory of its own, from files of people's ratings.

It is a run directory: killed and started again it goes on, the same order given again does nothing.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.3. The training is `publius.preference.regressor`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from publius import __version__
from publius.engines.fetch import check_model
from publius.errors import DataError
from publius.pipeline.alone import Alone, open_order
from publius.pipeline.runner import Listener
from publius.pipeline.settings import read_settings
from publius.preference.config import PMSettings
from publius.preference.regressor import HeldOutHarm, train_harm_regressor
from publius.records import content_hash, decode, draw_key, encode, is_held_back, records_hash
from publius.sources import LoadedHarm, load_harm_labels
from publius.store import StageManifest, StageResult, StageStore, read_json, write_json
from publius.training.environment import require_training
from publius.training.weights import weights_hash

STAGE = "harm-train"
SUMMARY = "regressor.json"
MODEL = "model"
# those of comparisons mean nothing to ratings
SETTINGS = (
    *("epochs", "learning_rate", "batch_size", "tokens_in_memory", "max_length", "is_bf16"),
    "checkpoint_every",
)


@dataclass(frozen=True, slots=True)
class RegressorOrder:
    """Which ratings, from which weights, how; `loaded` are the ratings that were drawn."""

    loaded: LoadedHarm
    start: str
    settings: PMSettings
    seed: int

    def facts(self) -> dict[str, int]:
        """Return how many ratings and prompts there are, and how many ratings are held out."""
        labels = self.loaded.labels
        return {
            "n": len(labels),
            "prompts": len({label.messages for label in labels}),
            "held_out": sum(is_held_back(label.messages) for label in labels),
            "left_out": sum(self.loaded.left_out.values()),
        }


@dataclass(frozen=True, slots=True)
class RegressorSummary:
    """What a regressor learnt from and what it is worth; `left_out` are ratings that were not used.

    How its loss went is in the stage's manifest.
    """

    n: int
    steps: int
    mean_harm: float
    held_out: HeldOutHarm | None
    left_out: dict[str, int]


def order_regressor(
    files: Sequence[str], *, start: str, limit: int | None = None, seed: int = 0, settings: Sequence[str] = ()
) -> RegressorOrder:
    """Return the order for what a user names, its ratings loaded; `settings` are `key=value`.

    Raises:
        DataError: A row is wrong, a setting is unknown, or there is no such model.
    """
    said = read_settings(settings, known=SETTINGS)
    if said.options or said.price or said.judge_price:
        raise DataError("training has no engine and no price", where="--set", todo=f"known: {SETTINGS}")
    check_model(start)
    loaded = load_harm_labels(files)
    if limit is not None:
        ids = {label: content_hash(label.messages) for label in loaded.labels}
        drawn = sorted(loaded.labels, key=lambda label: (draw_key(ids[label], seed=seed), ids[label]))
        loaded = replace(loaded, labels=tuple(drawn[:limit]))
    return RegressorOrder(loaded, start, decode(PMSettings, {**encode(PMSettings()), **said.fields}), seed)


def train_regressor(order: RegressorOrder, out: Path, listener: Listener) -> StageManifest:
    """Carry out an order in the run directory `out`; the model lies in `stages/harm-train/model`.

    Raises:
        PubliusError: Something is wrong; the same order goes on from the last checkpoint.
    """
    require_training()
    with open_order(STAGE, (), out, listener, None) as opened:
        start = opened.context.model_path(order.start)

        def work(store: StageStore) -> StageResult:
            found = train_harm_regressor(
                start,
                order.loaded.labels,
                store.path / MODEL,
                settings=order.settings,
                seed=store.seed,
                on_progress=store.progress("step"),
            )
            training = found.training
            left_out = order.loaded.left_out | {one.reason: one.n for one in training.skipped}
            summary = RegressorSummary(
                training.n_rows, training.steps, found.mean_harm, found.held_out, left_out
            )
            write_json(store.path / SUMMARY, encode(summary))
            return StageResult(rows=training.n_rows, figures=encode(found))

        decided = [__version__, STAGE, records_hash(order.loaded.labels), order.loaded.left_out]
        inputs = content_hash([*decided, order.settings, order.seed, weights_hash(start)])
        return opened.carry_out(Alone(STAGE, inputs, inputs, (), order.seed, votes=""), work)


def read_regressor(out: Path) -> RegressorSummary:
    """Return the summary that lies in a run directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    return decode(RegressorSummary, read_json(out / "stages" / STAGE / SUMMARY))
