"""What an audit of a judge says, in numbers: made by `feedback`, shown by `report`.

A figure without data is None, never 0. Shares and probabilities are in [0, 1]; where a prompt has several
comparisons the intervals are over prompts. A comparison "counts for people" when people prefer one of its
answers.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 and Fig. 9.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from publius.stats.calibration import Bin
from publius.stats.intervals import Estimate
from publius.stats.panel import Panel

Finding: TypeAlias = Literal["trusted", "chance", "inverted", "unread", "unlabelled"]
"""What a judge is worth. trusted: the interval of its accuracy lies above one half; inverted: where it takes
a side, the interval lies below; chance: neither; unread: no vote was readable; unlabelled: people labelled
nothing."""


@dataclass(frozen=True, slots=True)
class ClampHits:
    """The share of labels that clamping to [low, high] changes, at each end."""

    low: float
    high: float
    below: Estimate | None
    above: Estimate | None


@dataclass(frozen=True, slots=True)
class LengthFigures:
    """Does the judge prefer the longer answer (in characters)?

    `judge` and `people` are the shares of comparisons in which they prefer the longer answer; `excess` is
    their difference on the comparisons that both decided. `accuracy` is by whether people's answer is the
    shorter one, about equal, or the longer one (by more than a quarter).
    """

    judge: Estimate | None
    people: Estimate | None
    excess: Estimate | None
    accuracy: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class CalibrationFigures:
    """Does a soft label of 0.7 mean 70 %? Labels against the people's, over `n` comparisons.

    `ece` in [0, 1] is 0 at best; `ece_by_chance` is what labels that are right would show at this n. A
    `temperature` above 1 says that the judge is too sure; None when no finite one fits.
    """

    n: int
    bins: tuple[Bin, ...]
    ece: Estimate | None
    ece_by_chance: float
    brier: Estimate | None
    temperature: float | None


@dataclass(frozen=True, slots=True)
class PrincipleFigures:
    """One principle: on how many comparisons it gave a label, how sure, and how often with whom.

    `confidence` is the mean probability of the preferred answer, in [0.5, 1]. `accuracy` is against people.
    `with_others` is the share of comparisons in which it names the same answer as the mean over the other
    principles does.
    """

    principle_id: str
    n: int
    n_votes: int
    n_unparsed: int
    confidence: Estimate | None
    accuracy: Estimate | None
    with_others: Estimate | None


@dataclass(frozen=True, slots=True)
class Audit:
    """How a judge labelled comparisons, and how far people agree with it.

    `n` comparisons have a label, `n_unlabelled` have no readable vote. `unparsed` counts unreadable votes by
    reason, with their numbers written as "…". `accuracy`: the share of comparisons where the label's side
    is the people's; a label of exactly 0.5 counts as wrong, and there are `n_ties` of them. `one_order`: the
    same with A first only. `share_first`: how often the option shown first is preferred (0.5 is unbiased;
    None when answers are shown alone). `position_bias`: the mean of P(A | A first) − P(A | B first), in
    [−1, 1], above 0 where the first option gains. `order_consistency`: the share of comparisons whose two
    orders name the same answer. `label_mass`: the mean probability of both options together. `labels` are
    the figures of the labels that this judge then gave in a run. `form` is how it was asked.
    """

    judge: str
    form: dict[str, Any]
    question: str
    n: int
    n_ties: int
    n_unlabelled: int
    n_prompts: int
    n_votes: int
    n_unparsed: int
    unparsed: dict[str, int]
    accuracy: Estimate | None
    one_order: Estimate | None
    share_first: Estimate | None
    position_bias: Estimate | None
    order_consistency: Estimate | None
    label_mass: Estimate | None
    clamp: ClampHits | None
    by_kind: dict[str, Estimate]
    length: LengthFigures
    calibration: CalibrationFigures | None
    principles: tuple[PrincipleFigures, ...]
    among_principles: Panel | None
    finding: Finding
    trusted: bool
    labels: "Audit | None" = None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """One audit or several on the same comparisons, and the agreement among their judges.

    `source` says where the comparisons came from, `left_out` why rows of it could not be used.
    """

    source: str
    n: int
    audits: tuple[Audit, ...]
    panel: Panel | None = None
    left_out: dict[str, int] = field(default_factory=dict[str, int])
