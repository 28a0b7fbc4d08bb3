"""Draw the next token of every row of a batch from its own random number.

A row's token depends on its own logits and its own draw only, never on its neighbours: the draw is put
through the inverse of the cumulative distribution in the order of the vocabulary, where a small error in
the logits seldom changes the token. Letters: B rows, V tokens of the vocabulary, K candidates.

Paper: top-p is Holtzman et al. 2020, arXiv:1904.09751, §3.1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_FEW_CANDIDATES = 256  # the nucleus is looked for here first: sorting a whole vocabulary takes longer


class Draw(NamedTuple):
    """How one row is sampled; `uniform` is in (0, 1]. Temperature 0 takes the most probable token."""

    temperature: float
    top_p: float
    uniform: float


def sample_tokens(logits_BV: Tensor, draws: Sequence[Draw]) -> list[int]:
    """Return a token id for every row, computed in float32.

    >>> logits_BV = torch.tensor([[0.0, 5.0, 1.0], [2.0, 2.0, -9.0]])
    >>> sample_tokens(logits_BV, [Draw(0.0, 1.0, 0.3), Draw(1.0, 1.0, 0.9)])
    [1, 1]
    """
    tokens: dict[int, int] = {}
    greedy = [row for row, draw in enumerate(draws) if draw.temperature == 0]
    if greedy:
        best: list[int] = logits_BV[greedy].argmax(dim=-1).tolist()
        tokens |= dict(zip(greedy, best, strict=True))
    sampled = [row for row, draw in enumerate(draws) if draw.temperature > 0]
    if sampled:
        chosen_BV = logits_BV[sampled] if greedy else logits_BV
        drawn = _draw_tokens(chosen_BV, [draws[row] for row in sampled])
        tokens |= dict(zip(sampled, drawn, strict=True))
    return [tokens[row] for row in range(len(draws))]


def _draw_tokens(logits_BV: Tensor, draws: Sequence[Draw]) -> list[int]:
    temperature_B1 = _column([draw.temperature for draw in draws], logits_BV)
    # The highest logit becomes 0 first: a temperature close to 0 would overflow otherwise.
    shifted_BV = logits_BV.float()
    shifted_BV = shifted_BV - shifted_BV.amax(dim=-1, keepdim=True)
    prob_BV = torch.softmax(shifted_BV / temperature_B1, dim=-1)
    cut = [row for row, draw in enumerate(draws) if draw.top_p < 1]
    if cut:
        top_p_B1 = _column([draws[row].top_p for row in cut], prob_BV)
        prob_BV[cut] = _nucleus(prob_BV[cut], top_p_B1)
    cumulative_BV = prob_BV.cumsum(dim=-1)
    # With u in (0, 1] and the first entry that is not below u × total, no token of probability 0 is drawn.
    target_B1 = _column([draw.uniform for draw in draws], prob_BV) * cumulative_BV[:, -1:]
    return torch.searchsorted(cumulative_BV, target_B1).squeeze(1).tolist()


def _nucleus(prob_BV: Tensor, top_p_B1: Tensor) -> Tensor:
    """Set to 0 what is outside the smallest set of tokens that holds `top_p`; ties at its edge stay."""
    highest_BK = prob_BV.topk(min(_FEW_CANDIDATES, prob_BV.shape[-1]), dim=-1).values
    smallest_B1 = _smallest_inside(highest_BK, top_p_B1)
    is_wider_B = (highest_BK.sum(dim=-1, keepdim=True) < top_p_B1).squeeze(1)
    if bool(is_wider_B.any()):
        sorted_BV = prob_BV[is_wider_B].sort(dim=-1, descending=True).values
        smallest_B1[is_wider_B] = _smallest_inside(sorted_BV, top_p_B1[is_wider_B])
    return prob_BV * (prob_BV >= smallest_B1)


def _smallest_inside(highest_BK: Tensor, top_p_B1: Tensor) -> Tensor:
    before_BK = highest_BK.cumsum(dim=-1) - highest_BK  # what is held by more probable tokens
    n_inside_B1 = (before_BK < top_p_B1).sum(dim=-1, keepdim=True).clamp(min=1)
    return highest_BK.gather(-1, n_inside_B1 - 1)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None]
