"""The settings of the revise stage.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.2: four critique–revision pairs a prompt, T=1. The
defaults are the paper's where a laptop allows it; lengths are ours.
"""

from dataclasses import dataclass
from typing import Literal

from publius.errors import DataError
from publius.revise.prompts import Layout


@dataclass(frozen=True, slots=True)
class ReviseConfig:
    """How many prompts, how many rounds, how long, and which answers become demonstrations.

    `mode`: "critique" asks for a critique first; "direct" asks for the revision at once (§3.5).
    `learn_from`: "all" rounds (SL-CAI-n in the paper) or the "last" one. `n_exemplars` worked examples
    stand before every question. `n_principles` of the constitution are drawn with the seed for the whole run,
    the first ones of any larger number (0: all). `show_answer`: whether the model sees the answer that it
    rewrites beside its critique; small critics copy what they see. `layout`: where the critique and the
    revision request stand, in the "system" message or after the person's last message ("suffix"); a critic of
    1.5 billion parameters obeys the latter more. Lengths are in tokens.
    """

    n_red_team: int = 64
    n_helpful: int = 64
    rounds: int = 4
    mode: Literal["critique", "direct"] = "critique"
    learn_from: Literal["all", "last"] = "all"
    n_exemplars: int = 3
    n_principles: int = 0
    show_answer: bool = True
    layout: Layout = "system"
    draft_tokens: int = 96
    critique_tokens: int = 64
    revision_tokens: int = 96
    temperature: float = 1.0
    top_p: float = 1.0
    critic_temperature: float = 1.0
    helpful_samples: int = 1
    tries: int = 3

    def __post_init__(self) -> None:
        whole = ("n_red_team", "rounds", "draft_tokens", "critique_tokens", "revision_tokens", "tries")
        for name in whole:
            if getattr(self, name) < 1:
                raise DataError(f"{name} must be at least 1, not {getattr(self, name)!r}", where="revise")
        for name in (
            "n_helpful",
            "n_exemplars",
            "n_principles",
            "helpful_samples",
            "temperature",
            "critic_temperature",
        ):
            if getattr(self, name) < 0:
                raise DataError(f"{name} must not be negative: {getattr(self, name)!r}", where="revise")
        if self.mode == "direct" and not self.show_answer:
            raise DataError(
                "direct revision needs show_answer: there is no critique to go by", where="revise"
            )
        if not 0 < self.top_p <= 1:
            raise DataError(f"top_p is in (0, 1], not {self.top_p!r}", where="revise")
