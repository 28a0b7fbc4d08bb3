"""What the principles of a constitution move: the figures, without how they come about.

Sign: a positive effect means that answers picked with the principle are better on the axis. Effects are Elo
points; 100 are a 64 % win rate. A figure without data is None.

Paper: none; `publius.feedback.effects` has the estimators.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from publius.stats.intervals import Estimate

Finding: TypeAlias = Literal["agree", "disagree", "undecided"]


@dataclass(frozen=True, slots=True)
class AxisEffect:
    """What a principle moves on one axis.

    `sampled`: an answer is picked with the probability that the label gives it, as by a policy at temperature
    1. `best`: the preferred answer is picked, as in best of two; its pairs differ seldom.
    """

    axis: str
    sampled: Estimate | None
    best: Estimate | None


@dataclass(frozen=True, slots=True)
class PrincipleEffect:
    """What leaving out one principle does, on the `n` pairs on which it and another have a readable vote.

    `n_unread` are pairs without. `shift` is the mean of |label with − label without|, in [0, 1], `flips` the
    share of pairs whose preferred answer changes. `pulls_against` and `repeats` name other principles (see
    `PrinciplePair`).
    """

    principle_id: str
    n: int
    n_unread: int
    shift: Estimate | None
    flips: Estimate | None
    axes: tuple[AxisEffect, ...]
    pulls_against: tuple[str, ...]
    repeats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrinciplePair:
    """How the votes of two principles go together, in [−1, 1].

    `correlation` is that of 2·P(A is better) − 1, taken about 0, so that it does not matter which answer is
    called A. `beyond` is what is left of it when the mean of the other principles is held fixed; None where
    there are no others. Two principles pull against each other where `beyond` (or `correlation`, for two
    alone) has its whole interval below 0; one repeats the other where that of `correlation` is above 0.9.
    """

    left: str
    right: str
    correlation: Estimate
    beyond: Estimate | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Of `n` intervals, `n_found` exclude zero; `by_chance` would if there were nothing to find."""

    n: int
    n_found: int
    by_chance: float


@dataclass(frozen=True, slots=True)
class PrincipleEffects:
    """The effects of all principles on `n` pairs of `n_prompts` prompts.

    `moved` tallies the intervals of `sampled`, both sides; `opposed` the pairs that pull against each other.
    """

    n: int
    n_prompts: int
    principles: tuple[PrincipleEffect, ...]
    pairs: tuple[PrinciplePair, ...]
    moved: Tally
    opposed: Tally


@dataclass(frozen=True, slots=True)
class RetrainedEffect:
    """A principle's effect on one axis by labels and by preference models trained with and without it.

    `sampled` is the effect by labels on all pairs. `by_labels` and `by_models` are of the best of two on the
    same held-out pairs; `gap` is `by_models` − `by_labels`, paired by prompt. `finding`: "disagree" where the
    gap's interval excludes zero; "agree" where those of `sampled` and `by_models` lie on one side of zero.
    """

    principle_id: str
    axis: str
    sampled: Estimate | None
    by_labels: Estimate | None
    by_models: Estimate | None
    gap: Estimate | None
    finding: Finding


@dataclass(frozen=True, slots=True)
class Retraining:
    """The check by retraining. `n_train`, `n_held_out` are pairs, `steps` those of one model's training.

    `n_unscored` held-out pairs have no reward of some model. `accuracy` is the share of the labeller's labels
    there that the model of all principles agrees with. `noise` is, by axis, the gain of a second model of the
    full constitution, from another seed, over the first: an effect of that size is none.
    """

    n_train: int
    n_held_out: int
    n_unscored: int
    steps: int
    accuracy: Estimate | None
    effects: tuple[RetrainedEffect, ...]
    noise: dict[str, Estimate | None] = field(default_factory=dict[str, "Estimate | None"])


@dataclass(frozen=True, slots=True)
class EffectsReport:
    """Everything about the effects of a constitution's principles on a run's pairs.

    `labeller` cast the votes; `judges` say by axis who found which answer better, and `own_judge` names the
    axes whose judge has the labeller's weights. `n_unread` counts by axis the pairs that its judge gave no
    readable verdict on. `effects` is None where no vote could be read. `statements` are the principles' texts
    by id, in the constitution's order.
    """

    source: str
    constitution: str
    constitution_hash: str
    labeller: str
    judges: dict[str, str]
    own_judge: tuple[str, ...]
    n_pairs: int
    n_unread: dict[str, int]
    n_unparsed: int
    unparsed: dict[str, int]
    effects: PrincipleEffects | None
    retraining: Retraining | None = None
    statements: dict[str, str] = field(default_factory=dict[str, str])
