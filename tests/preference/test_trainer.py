"""A step's gradient is that of the plain computation, however the step is cut and kept in memory."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from publius.preference.config import PMSettings
from publius.preference.pm import train_preference_model
from publius.preference.rows import PMRow
from publius.records import Comparison, Preference, conversation
from publius.training.environment import Device, quiet
from publius.training.weights import LoadedModel, load_causal_lm

pytest.importorskip("torch")
pytest.importorskip("trl")
import torch

from publius.preference.loss import comparison_loss
from publius.preference.model import build_pm
from publius.preference.trainer import RowTrainer, build_trainer
from publius.training.recomputation import keep_activations, n_layers_over

pytestmark = pytest.mark.tiny
SETTINGS = PMSettings(batch_size=6, tokens_in_memory=64, max_length=128, is_bf16=False)
ROWS = [
    PMRow([5, 6, 7, 8], [10, 11, 12], [13, 12], 0.8, "asked", "p0"),
    PMRow([5] * 40, [20, 21, 22], [23] * 30, 0.3, "asked", "p1", None, 2.0),
    PMRow([9, 8], [14], [15, 16, 17, 18, 19], 0.5, "human", "p2", None, 0.5),
    PMRow([30, 31, 32], [33, 34], [35, 36], 1.0, "human", "p3"),
    PMRow([37] * 20, [38] * 4, [39] * 9, 0.0, "human", "p4"),
    PMRow([3, 4], [5], [6], 0.6, "asked", "p5"),
]


def _trainer(start: Path, work: Path, settings: PMSettings = SETTINGS) -> RowTrainer:
    loaded = load_causal_lm(start)
    pm = build_pm(loaded)
    torch.manual_seed(0)
    torch.nn.init.normal_(pm.score.weight, std=0.5)  # a head of zeros has no gradient below it
    device = Device("cpu", has_bfloat16=False)
    with quiet():
        return build_trainer(
            LoadedModel(pm, loaded.tokenizer),
            ROWS,
            work,
            loss=partial(comparison_loss, centring=settings.centring),
            settings=settings,
            seed=0,
            device=device,
        )


def _step(trainer: RowTrainer) -> tuple[float, dict[str, Any]]:
    loss = trainer.training_step(trainer.model, {"row_R": torch.arange(len(ROWS))})
    found = {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}
    trainer.model.zero_grad()
    return loss.item(), found


def _plain_step(trainer: RowTrainer, rows: Sequence[PMRow], *, centring: float) -> dict[str, Any]:
    """One text at a time through the classifier as transformers has it."""
    model = trainer.model
    total = torch.zeros(())
    for row in rows:
        a, b = (
            model(input_ids=torch.tensor([[*row.prompt_ids, *answer]])).logits[0, 0]
            for answer in (row.a_ids, row.b_ids)
        )
        probability = torch.sigmoid(a - b)
        loss = -(row.prob_a * probability.log() + (1 - row.prob_a) * (1 - probability).log())
        total = total + row.weight * (loss + centring * (a + b) ** 2) / len(rows)
    total.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    return {"loss": total.detach(), **found}


@pytest.mark.parametrize("centring", [0.0, 0.01])
@pytest.mark.parametrize("tokens_in_memory", [32, 64, 10_000])
def test_a_step_is_the_mean_over_its_comparisons(
    tiny_model_dir: Path, tmp_path: Path, tokens_in_memory: int, centring: float
) -> None:
    settings = replace(SETTINGS, tokens_in_memory=tokens_in_memory, centring=centring)
    trainer = _trainer(tiny_model_dir, tmp_path, settings)
    plain = _plain_step(trainer, ROWS, centring=centring)
    loss, found = _step(trainer)
    assert loss == pytest.approx(plain.pop("loss").item(), rel=1e-5)
    assert found.keys() == plain.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, plain[name], rtol=1e-4, atol=1e-6, msg=name)


def test_no_micro_batch_is_over_the_bound_unless_it_is_one_comparison(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    collate = RowTrainer.collate

    def watch(self: RowTrainer, rows: Sequence[PMRow], *, mean_share: float) -> dict[str, Any]:
        batch = collate(self, rows, mean_share=mean_share)
        assert mean_share == len(ROWS)
        seen.append((len(rows), batch["input_ids"].numel()))
        return batch

    monkeypatch.setattr(RowTrainer, "collate", watch)
    _step(_trainer(tiny_model_dir, tmp_path))
    assert sum(n for n, _ in seen) == len(ROWS)
    assert [size for n, size in seen if size > 64] == [73]
    assert all(n == 1 for n, size in seen if size > 64)


def test_recomputed_layers_give_the_same(tiny_model_dir: Path) -> None:
    model = load_causal_lm(tiny_model_dir).model.train()
    found: list[Any] = []
    for n_tokens in (8, 24, 500):
        n_recomputed = keep_activations(model, n_tokens=n_tokens, budget=16)
        model(input_ids=torch.arange(8)[None]).logits.square().mean().backward()
        found.append((n_recomputed, [p.grad.clone() for p in model.parameters()]))
        model.zero_grad()
    assert [n for n, _ in found] == [0, 2, 2]
    for _, gradients in found[1:]:
        torch.testing.assert_close(gradients, found[0][1])


def test_layers_are_recomputed_as_need_be() -> None:
    counts = [n_layers_over(30, n_tokens=n, budget=1000) for n in (1, 1000, 1001, 1500, 3000, 20_000)]
    assert counts == sorted(counts)
    assert counts[:3] == [0, 0, 2]
    assert counts[-1] == 30
    for n_tokens, n in zip((1001, 1500, 3000), counts[2:], strict=False):
        kept = (30 - n + n / 16 + 1) / 30
        assert n_tokens * kept <= 1000


def test_centring_moves_rewards_and_not_their_difference(tiny_model_dir: Path, tmp_path: Path) -> None:
    comparison = Comparison("c", "p", conversation(("user", "Question 9?")), "Yes, good", "No, bad", "a", "b")
    data = [Preference(comparison, 0.8, "human", None, None, ())]
    rewards: list[list[float]] = []
    for centring in (0.0, 0.1):
        settings = PMSettings(epochs=100, learning_rate=1e-3, batch_size=1, centring=centring, is_bf16=False)
        report = train_preference_model(
            tiny_model_dir,
            data,
            tmp_path / str(centring),
            settings=settings,
            seed=1,
            on_progress=lambda *_: None,
        )
        mean, std = (
            report.scale.mean,
            report.scale.std,
        )  # of the two answers: their half sum and half difference
        rewards.append([mean, 2 * std])
    assert [gap for _, gap in rewards] == pytest.approx([math.log(4), math.log(4)], abs=0.05)
    assert abs(rewards[1][0]) < 0.01
