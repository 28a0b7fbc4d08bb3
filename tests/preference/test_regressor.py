"""A regressor of harm learns ratings, is measured on other prompts, and is no preference model."""

import json
from pathlib import Path

import pytest

from publius.errors import DataError
from publius.preference.config import PMSettings
from publius.preference.loading import load_harm_regressor, load_preference_model
from publius.preference.regressor import train_harm_regressor
from publius.records import HarmLabel, Message, user

pytest.importorskip("torch")
pytest.importorskip("trl")
import torch

from publius.preference.loss import squared_error
from publius.preference.model import build_pm, start_at
from publius.preference.rows import HarmRow, siblings_of
from publius.preference.score import wrap
from publius.preference.trainer import build_trainer
from publius.training.environment import Device, quiet
from publius.training.weights import LoadedModel, load_causal_lm

pytestmark = pytest.mark.tiny
SETTINGS = PMSettings(epochs=8, learning_rate=3e-3, batch_size=8, max_length=64, is_bf16=False)
LABELS = [
    HarmLabel((user(f"Question {i}?"),), "bad bad bad" if i % 2 else "kind words", 3.5 if i % 2 else 0.5)
    for i in range(64)
]


def test_it_learns_ratings_and_is_measured_on_prompts_it_has_not_seen(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "regressor"
    report = train_harm_regressor(
        tiny_model_dir, LABELS, out, settings=SETTINGS, seed=0, on_progress=lambda done, total: None
    )
    found = report.held_out
    assert found is not None
    assert found.n + report.training.n_rows == len(LABELS)
    assert found.correlation is not None
    assert found.correlation.low > 0.9
    assert found.error is not None
    assert found.error_of_mean is not None
    assert found.error.high < 0.5 < 1.2 < found.error_of_mean.value
    harm = load_harm_regressor(out).score(
        [(user("Question 99?"), Message("assistant", text)) for text in ("kind words", "bad bad bad")]
    )
    assert harm == pytest.approx([0.5, 3.5], abs=0.6)
    assert json.loads((out / "config.json").read_text())["id2label"] == {"0": "harm"}
    with pytest.raises(DataError, match="no preference model"):
        load_preference_model(out)


def test_a_preference_model_is_no_regressor(tiny_pm_dir: Path) -> None:
    with pytest.raises(DataError, match="no regressor of harm"):
        load_harm_regressor(tiny_pm_dir)


def test_a_step_is_the_mean_squared_error_of_its_answers(tiny_model_dir: Path, tmp_path: Path) -> None:
    rows = [
        HarmRow([5, 6, 7], [10, 11], 4.0, "p"),
        HarmRow([8] * 30, [12], 0.0, "q"),
        HarmRow([9], [13], 1.0, "r"),
    ]
    loaded = load_causal_lm(tiny_model_dir)
    model = build_pm(loaded)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.score.weight, std=0.5)
    settings = PMSettings(batch_size=3, tokens_in_memory=16, max_length=64, is_bf16=False)
    with quiet():
        trainer = build_trainer(
            LoadedModel(model, loaded.tokenizer), rows, tmp_path, loss=squared_error, settings=settings,
            seed=0, device=Device("cpu", has_bfloat16=False),
        )  # fmt: skip
    outputs = [
        model(input_ids=torch.tensor([[*row.prompt_ids, *row.answer_ids]])).logits[0, 0].item()
        for row in rows
    ]
    expected = sum((one - row.harm) ** 2 for one, row in zip(outputs, rows, strict=True)) / 3
    loss = trainer.training_step(trainer.model, {"row_R": torch.arange(3)})
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_the_head_starts_at_the_mean(tiny_model_dir: Path) -> None:
    loaded = load_causal_lm(tiny_model_dir)
    model = build_pm(loaded)
    rows = siblings_of([HarmRow([5, 6], [i], 0.0, "p") for i in range(20, 30)])
    start_at(model, rows, 1.7, pad_id=0)
    outputs = wrap(model, loaded.tokenizer, scale=None).score_ids(rows)
    assert sum(one for (one,) in outputs) / 10 == pytest.approx(1.7, abs=1e-3)


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ([HarmLabel(one.messages, one.answer, 2.0) for one in LABELS], "are 2"),
        ([HarmLabel(one.messages, "word " * 200, one.harm) for one in LABELS], "longer than 64 tokens"),
    ],
)
def test_ratings_that_teach_nothing_are_refused(
    tiny_model_dir: Path, tmp_path: Path, labels: list[HarmLabel], what: str
) -> None:
    with pytest.raises(DataError, match=what):
        train_harm_regressor(
            tiny_model_dir, labels, tmp_path / "r", settings=SETTINGS, seed=0, on_progress=lambda a, b: None
        )
