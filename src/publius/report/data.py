"""What the report of a run shows: one frozen record, built by the pipeline, drawn by `page`.

A part that was not run is None (or empty), and the page says so. A number that was not measured is
None, never 0. Every rate is an `Estimate`: the number, its interval and n. Units: shares and
probabilities in [0, 1]; Elo in points, where 100 points are a 64% win rate; KL in nats per answer;
lengths in tokens; times in seconds.

Paper: none; which parts there are follows Bai et al. 2022, arXiv:2212.08073 (Figures 2, 3, 5, 8, 9).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from publius.constitution.principle import Constitution
from publius.errors import DataError
from publius.records import Conversation, Preference, RevisionChain
from publius.stats.audit import Audit
from publius.stats.calibration import Bin
from publius.stats.intervals import Estimate
from publius.stats.pareto import ParetoChart
from publius.stats.raters import RaterAgreement
from publius.stats.ratings import EloTable

Unit: TypeAlias = Literal["share", "elo", "number"]
StageState: TypeAlias = Literal["done", "reused", "skipped", "failed", "not run"]


@dataclass(frozen=True, slots=True)
class Version:
    """A program or library and its version."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class JudgeTie:
    """A judge that is not independent of the training: it labelled its data, or was its reward."""

    judge: str
    tie: Literal["labeller", "reward"]


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Which weights played a role (policy, critic, feedback, judge, …), and on which engine."""

    role: str
    name: str
    revision: str
    engine: str


@dataclass(frozen=True, slots=True)
class StageSummary:
    """What a stage did. `n_calls` and `n_tokens` (read and written) count its model calls."""

    name: str
    state: StageState
    seconds: float | None = None
    n_rows: int | None = None
    n_calls: int | None = None
    n_tokens: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PrincipleRevisions:
    """How often a principle was drawn, and how often its revision left the answer as it was."""

    principle_id: str
    n_revisions: int
    n_identical: int
    n_leaks: int


@dataclass(frozen=True, slots=True)
class RevisionSummary:
    """Counts over all chains, and the chains to show.

    `n_leaks` counts tries cut because the model spoke for another role; `n_failures` chains that
    stopped early; `n_identical` revisions equal to the answer that they revise.
    """

    n_chains: int
    n_revisions: int
    n_leaks: int
    n_failures: int
    n_identical: int
    per_principle: tuple[PrincipleRevisions, ...]
    examples: tuple[RevisionChain, ...]


@dataclass(frozen=True, slots=True)
class HistogramBin:
    """`n` values in [low, high)."""

    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class OriginCount:
    """How many labels came about in one way."""

    origin: Literal["asked", "construction", "human"]
    n: int


@dataclass(frozen=True, slots=True)
class PrincipleLabels:
    """The mean soft label P(A is better) under one principle, before it was clamped or made hard."""

    principle_id: str
    mean_prob_a: Estimate | None


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """The preferences of one label stage (`stage`: "label", "label-2") as a whole, and some to show.

    `audit` is that of the feedback model before it labelled; `n_unread` comparisons have no readable vote and
    so no label. `examples` are drawn with the run's seed from those that have one, some of each origin.
    """

    stage: str
    audit: Audit | None
    origins: tuple[OriginCount, ...]
    n_unread: int
    histogram: tuple[HistogramBin, ...]
    per_principle: tuple[PrincipleLabels, ...]
    examples: tuple[Preference, ...] = ()


@dataclass(frozen=True, slots=True)
class TrickEffect:
    """What a trick does to the reward of answers that it makes no better.

    `change` is the mean change in standard deviations of the reward, `higher` the share of prompts on which
    the reward rises.
    """

    name: str
    summary: str
    change: Estimate | None
    higher: Estimate | None


@dataclass(frozen=True, slots=True)
class TemperedError:
    """The calibration error with either half's temperature fitted on the other (`n_fitted` or more)."""

    temperature: float
    n_fitted: int
    n_measured: int
    ece: float
    chance: float


@dataclass(frozen=True, slots=True)
class PMSummary:
    """The preference model on comparisons that it did not learn from.

    `ece` is the expected calibration error and `brier` the Brier score, both in [0, 1], 0 is best; `chance`
    is the error that chance alone would make. `longer_better` is the accuracy where the longer answer is the
    better one, `twice_as_long` the reward of twice the length in standard deviations.
    """

    accuracy: Estimate | None
    ece: float | None
    brier: float | None
    temperature: float | None
    bins: tuple[Bin, ...]
    chance: float | None = None
    tempered: TemperedError | None = None
    longer_better: Estimate | None = None
    shorter_better: Estimate | None = None
    twice_as_long: Estimate | None = None
    tricks: tuple[TrickEffect, ...] = ()


@dataclass(frozen=True, slots=True)
class RLStep:
    """One step of reinforcement learning; what was not logged is None.

    `reward` and `reward_std` are of the training PM, `held_out_reward` of a PM that the policy does
    not train against; `kl` is from the policy to its start, `length` the mean answer.
    """

    step: int
    reward: float | None = None
    reward_std: float | None = None
    held_out_reward: float | None = None
    kl: float | None = None
    length: float | None = None


@dataclass(frozen=True, slots=True)
class MonitorPoint:
    """What a monitor read at a snapshot; None where it could not be measured."""

    step: int
    value: float | None
    estimate: Estimate | None
    is_alarm: bool


@dataclass(frozen=True, slots=True)
class MonitorCurve:
    """A monitor over the snapshots of a run; `is_least`: an alarm is below the bound, not above it."""

    name: str
    what: str
    bound: float
    is_least: bool
    points: tuple[MonitorPoint, ...]


@dataclass(frozen=True, slots=True)
class RLSummary:
    """Reinforcement learning, step by step; every point is a mean over `n_per_step` answers.

    `stopped` says why it ended early, if it did; `best_step` is the best snapshot (0: the start) and
    `kept_step` the one that is the model, if it is another one.
    """

    algorithm: str
    n_per_step: int
    steps: tuple[RLStep, ...]
    stopped: str | None = None
    best_step: int | None = None
    kept_step: int | None = None
    monitors: tuple[MonitorCurve, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """One policy's value of a measurement, and its change against the policy that training began from."""

    policy: str
    value: Estimate | None
    change: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement of several policies: a text monitor, absolute harm, a trait, sycophancy.

    `note` says in a sentence what is counted and which way is better.
    """

    name: str
    unit: Unit
    values: tuple[PolicyValue, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What one policy answered."""

    policy: str
    text: str


@dataclass(frozen=True, slots=True)
class SampleAnswers:
    """One prompt and the answers of the policies, in the order in which to show them."""

    prompt_id: str
    messages: Conversation
    answers: tuple[PolicyAnswer, ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything the report shows. The first conclusion is its headline.

    `conclusions` are sentences on what changed and what did not, `caveats` on what could not be
    concluded; `labels` has every round's; `peak_memory` is in bytes, `created` in UTC.

    Raises:
        DataError: `created` has no time zone.
    """

    run: str
    created: datetime
    command: str
    versions: tuple[Version, ...]
    seed: int
    models: tuple[ModelUse, ...]
    stages: tuple[StageSummary, ...]
    conclusions: tuple[str, ...]
    caveats: tuple[str, ...]
    peak_memory: int | None = None
    constitution: Constitution | None = None
    revision: RevisionSummary | None = None
    labels: tuple[LabelSummary, ...] = ()
    pm: PMSummary | None = None
    rl: RLSummary | None = None
    pareto: ParetoChart | None = None
    elo: tuple[EloTable, ...] = ()
    ties: tuple[JudgeTie, ...] = ()
    agreement: tuple[RaterAgreement, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    samples: tuple[SampleAnswers, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a time that could be any of 24 hours."""
        if self.created.utcoffset() is None:
            raise DataError(
                f"the time {self.created.isoformat()} has no time zone", where="ReportData.created"
            )
