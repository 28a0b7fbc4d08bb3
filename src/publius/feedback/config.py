"""The settings of the label stage.

Papers: arXiv:2310.13798, §2.2 (two samples at T=1, one principle a comparison, soft labels);
arXiv:2212.08073, §4.1. Departure: both orders, because small judges favour the first option.
"""

from dataclasses import dataclass
from typing import Literal

from publius.errors import DataError
from publius.judge import Method


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """How many comparisons of which origin, and how the feedback model is asked.

    `n_red_team`, `n_helpful` are prompts, each with one asked comparison of two samples.
    `method`: how the feedback model is asked (see `judge.judge_comparisons`).
    `principles`: "one" drawn for every comparison, or the "mean" over all of the constitution.
    `construction`: the probability in (0.5, 1] stated for a label by construction (a revision over
    its draft; on a helpful prompt, the answer over one written for another prompt), 0 for none.
    `n_construction` bounds their number. `n_audit` bounds the audited comparisons, drawn with
    the seed (0: all of the set). `train_on_chance` lets a run go on when the audit cannot
    tell the feedback model from chance.
    """

    n_red_team: int = 64
    n_helpful: int = 64
    answer_tokens: int = 96
    temperature: float = 1.0
    top_p: float = 1.0
    principles: Literal["one", "mean"] = "one"
    method: Method = "both-orders"
    construction: float = 0.9
    n_construction: int = 128
    n_audit: int = 0
    train_on_chance: bool = False

    def __post_init__(self) -> None:
        if self.construction and not 0.5 < self.construction <= 1.0:
            raise DataError(f"construction is in (0.5, 1] or 0, not {self.construction!r}", where="label")
        for name in ("n_red_team", "n_helpful", "n_construction", "n_audit", "temperature"):
            if getattr(self, name) < 0:
                raise DataError(f"{name} must not be negative: {getattr(self, name)!r}", where="label")
        if self.answer_tokens < 1:
            raise DataError(f"answer_tokens must be at least 1, not {self.answer_tokens!r}", where="label")
        if not 0 < self.top_p <= 1:
            raise DataError(f"top_p is in (0, 1], not {self.top_p!r}", where="label")
