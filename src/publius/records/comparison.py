"""Two answers to one prompt, and how much one is preferred.

Sign: `prob_a` is the probability that A is the better answer. `swap()` lives on the types, so order
bias is handled in one place.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 (soft preference labels from normalised
probabilities of the options); arXiv:2310.13798, §2.2.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from publius.records.conversation import Conversation

Origin: TypeAlias = Literal["asked", "construction", "human"]
ORIGINS: tuple[Origin, ...] = ("asked", "construction", "human")
_TIE_MARGIN = 1e-9


@dataclass(frozen=True, slots=True)
class Comparison:
    """A conversation that ends with the user's turn, and two answers to it."""

    id: str
    prompt_id: str
    messages: Conversation
    answer_a: str
    answer_b: str
    source_a: str
    source_b: str

    def swap(self) -> "Comparison":
        """Return the comparison with A and B exchanged."""
        return replace(
            self,
            answer_a=self.answer_b,
            answer_b=self.answer_a,
            source_a=self.source_b,
            source_b=self.source_a,
        )


@dataclass(frozen=True, slots=True)
class Vote:
    """One question put to a judge about one comparison in one order.

    `logprob_a`, `logprob_b` are natural-log probabilities of the options in the order of the
    comparison (the judge's options are already undone); `a_first` says whether A was shown first, None
    when each answer was shown alone. `label_mass` is the probability of both options together, in [0, 1].
    `reasoning` is what the judge wrote before this vote, None where it was not asked to. `bias` is what a
    calibration took away, in log-odds of the option shown first over the other; None: not calibrated.
    """

    principle_id: str
    a_first: bool | None
    logprob_a: float
    logprob_b: float
    label_mass: float
    reasoning: str | None = None
    bias: float | None = None

    def swap(self) -> "Vote":
        """Return the vote with A and B exchanged."""
        a_first = None if self.a_first is None else not self.a_first
        return replace(self, a_first=a_first, logprob_a=self.logprob_b, logprob_b=self.logprob_a)


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A judge's answer that could not be read: it is counted and shown, never a score or a tie."""

    principle_id: str
    a_first: bool | None
    reason: str

    def swap(self) -> "Unparsed":
        """Return the outcome with A and B exchanged."""
        return replace(self, a_first=None if self.a_first is None else not self.a_first)


def is_tie(prob_a: float) -> bool:
    """Return whether a label prefers neither answer: the mean of p and 1 − p is one half but for rounding.

    >>> is_tie(0.5 + 1e-16), is_tie(0.501)
    (True, False)
    """
    return abs(prob_a - 0.5) <= _TIE_MARGIN


@dataclass(frozen=True, slots=True)
class Preference:
    """A comparison with a soft label.

    `prob_a` in [0, 1] is None where no vote of an order that was asked could be read. `origin` tells how
    the label came about: asked from a judge, by construction (a revision over its draft), or by a human.
    """

    comparison: Comparison
    prob_a: float | None
    origin: Origin
    judge: str | None
    constitution_hash: str | None
    votes: tuple[Vote | Unparsed, ...]

    def swap(self) -> "Preference":
        """Return the preference with A and B exchanged; the meaning is unchanged."""
        votes = tuple(vote.swap() for vote in self.votes)
        prob_a = None if self.prob_a is None else 1.0 - self.prob_a
        return replace(self, comparison=self.comparison.swap(), prob_a=prob_a, votes=votes)
