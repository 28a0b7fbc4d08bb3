"""The soft-label loss, by hand."""

import math

import pytest

pytest.importorskip("torch")
import torch

from publius.training.preference_loss import soft_label_loss


def test_worked_by_hand() -> None:
    # margin 2 - 1 = 1: -(0.8 log σ(1) + 0.2 log σ(-1)) = 0.8 · 0.313262 + 0.2 · 1.313262
    loss_B = soft_label_loss(torch.tensor([2.0]), torch.tensor([1.0]), torch.tensor([0.8]))
    assert loss_B.tolist() == pytest.approx([0.513262], abs=1e-6)


def test_hard_label_is_the_usual_loss() -> None:
    loss_B = soft_label_loss(torch.tensor([0.5]), torch.tensor([-0.5]), torch.tensor([1.0]))
    assert loss_B.item() == pytest.approx(math.log1p(math.exp(-1.0)), abs=1e-6)


def test_swapping_answers_and_label_changes_nothing() -> None:
    a_B, b_B, p_B = torch.tensor([0.3, -2.0]), torch.tensor([1.1, 0.4]), torch.tensor([0.9, 0.25])
    assert soft_label_loss(a_B, b_B, p_B).tolist() == pytest.approx(
        soft_label_loss(b_B, a_B, 1 - p_B).tolist()
    )


def test_even_label_at_equal_rewards_pulls_nowhere() -> None:
    a_B, b_B = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    soft_label_loss(a_B, b_B, torch.tensor([0.5])).sum().backward()
    assert (a_B.grad.item(), b_B.grad.item()) == (0.0, 0.0)


@pytest.mark.parametrize("prob", [0.2, 0.5, 0.8])
def test_gradient_is_zero_at_the_label_s_logit(prob: float) -> None:
    margin_B = torch.tensor([math.log(prob / (1 - prob))], requires_grad=True)
    soft_label_loss(margin_B, torch.zeros(1), torch.tensor([prob])).sum().backward()
    assert margin_B.grad.item() == pytest.approx(0.0, abs=1e-6)


def test_extreme_margins_stay_finite() -> None:
    loss_B = soft_label_loss(torch.tensor([200.0, -200.0]), torch.zeros(2), torch.tensor([0.4, 0.4]))
    assert torch.isfinite(loss_B).all()
