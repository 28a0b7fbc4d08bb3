"""The preference model: loss, split, training, saving and scoring, on a tiny real model."""

import math
from pathlib import Path

import pytest

from publius.errors import DataError
from publius.preference.config import PMSettings
from publius.preference.pm import PMReport, train_preference_model
from publius.preference.rows import pm_rows
from publius.preference.score import PreferenceModel
from publius.records import Comparison, Preference, conversation, split_of

torch = pytest.importorskip("torch")
SETTINGS = PMSettings(epochs=2, learning_rate=3e-3, batch_size=4, micro_batch_size=2, max_length=128)


def _preference(i: int, good: str, bad: str, *, prob_a: float | None = 1.0) -> Preference:
    messages = conversation(("user", f"Question {i}?"))
    comparison = Comparison(f"c{i}", f"p{i}", messages, good, bad, "a", "b")
    return Preference(comparison, prob_a, "asked", "judge", None, ())


def _kind_and_rude(n: int, *, prob_a: float = 1.0) -> list[Preference]:
    return [_preference(i, f"Yes, good {i % 10}", f"No, bad {i % 7}", prob_a=prob_a) for i in range(n)]


def _train(start: Path, out: Path, data: list[Preference], settings: PMSettings = SETTINGS) -> PMReport:
    return train_preference_model(start, data, out, settings=settings, seed=1, on_progress=lambda *_: None)


@pytest.mark.tiny
def test_learns_saves_and_scores_alike(tiny_model_dir: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    data = _kind_and_rude(48)
    report = train_preference_model(
        tiny_model_dir,
        data,
        tmp_path / "pm",
        settings=SETTINGS,
        seed=1,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    n_train = sum(split_of(item.comparison.prompt_id) == "train" for item in data)
    assert report.training.n_rows == n_train
    assert seen[-1] == (report.training.steps, math.ceil(n_train * 2 / 4))
    assert all(math.isfinite(point.loss) for point in report.training.losses)
    assert report.training.losses[0].loss == pytest.approx(math.log(2), abs=1e-4)
    assert report.held_out is not None
    assert report.held_out.n == 48 - n_train
    assert report.held_out.accuracy is not None
    assert report.held_out.accuracy.value > 0.9
    assert not (tmp_path / "pm.work").exists()

    pm = PreferenceModel.load(tmp_path / "pm")
    good = conversation(("user", "Question 3?"), ("assistant", "Yes, good 3"))
    bad = conversation(("user", "Question 3?"), ("assistant", "No, bad 3"))
    together = pm.score([good, bad, good])
    assert together[0] > together[1]
    assert together == pytest.approx(pm.score([good]) + pm.score([bad]) + pm.score([good]), abs=1e-4)
    assert pm.scale is not None
    assert pm.scale.n == 2 * n_train
