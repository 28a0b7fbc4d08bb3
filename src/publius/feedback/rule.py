"""What becomes of a judge's probability: kept, clamped, or turned into a side.

It is done last, after reasonings, orders and principles were averaged.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1: soft labels were much better than hard ones; labels after a
chain of thought are close to 0 or 1 and were clamped, to 20–80 percent and, better, to 40–60.
"""

from dataclasses import dataclass
from typing import Literal

TIE_MARGIN = 1e-9  # the mean of p and 1 − p is one half but for rounding


@dataclass(frozen=True, slots=True)
class LabelRule:
    """A label mode; "clamped" keeps a label within `low` and `high`, the others ignore them."""

    mode: Literal["soft", "hard", "clamped"] = "soft"
    low: float = 0.4
    high: float = 0.6


def apply_rule(prob_a: float, rule: LabelRule) -> float:
    """Return the label that a rule makes of a probability in [0, 1]; a hard tie stays 0.5.

    >>> [apply_rule(prob, LabelRule("clamped", 0.4, 0.6)) for prob in (0.97, 0.02, 0.55)]
    [0.6, 0.4, 0.55]
    >>> [apply_rule(prob, LabelRule("hard")) for prob in (0.51, 0.2, 0.5)]
    [1.0, 0.0, 0.5]
    """
    if rule.mode == "hard":
        return (1 + side(prob_a)) / 2
    return min(rule.high, max(rule.low, prob_a)) if rule.mode == "clamped" else prob_a


def side(prob_a: float) -> int:
    """Return 1 where A is preferred, −1 where B is, 0 for a tie, which is no side.

    >>> side(0.7), side(0.2), side(0.5)
    (1, -1, 0)
    """
    return 0 if abs(prob_a - 0.5) <= TIE_MARGIN else (1 if prob_a > 0.5 else -1)
