"""The preference-model stage: learn the soft labels, measure on held-out prompts, save.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from publius.errors import DataError
from publius.preference.config import PMSettings
from publius.preference.pm import train_preference_model
from publius.preference.probes import probe, shipped_items
from publius.preference.score import PreferenceModel
from publius.records import Conversation, Preference, encode
from publius.store import StageResult, StageStore

PREFERENCE_MODEL = "model"


def run_pm(
    store: StageStore, settings: PMSettings, *, start: Path, preferences: Sequence[Preference]
) -> StageResult:
    """Train the preference model from the weights `start`; it is written to `model/`.

    Raises:
        DataError: No comparison has a label.
    """
    if all(preference.prob_a is None for preference in preferences):
        raise DataError("no comparison has a label", where=store.path.parent / "label")
    report = train_preference_model(
        start,
        preferences,
        store.path / PREFERENCE_MODEL,
        settings=settings,
        seed=store.seed,
        on_progress=store.progress("step"),
    )
    held_out: dict[str, Any] = encode(report.held_out) if report.held_out is not None else {}
    figures = encode(report) | {
        "accuracy": held_out.get("accuracy"),
        "ece": held_out.get("calibration", {}).get("ece"),
        "probes": encode(probe(PreferenceModel.load(store.path / PREFERENCE_MODEL), shipped_items())),
    }
    return StageResult(rows=report.training.n_rows, figures=figures)


def open_reward(path: Path) -> Callable[[Sequence[Conversation]], list[float]]:
    """Return the reward of a saved preference model; it loads at the first call."""

    @cache
    def loaded() -> PreferenceModel:
        return PreferenceModel.load(path)

    return lambda conversations: loaded().score(conversations)
