"""How far can the feedback model be trusted? Its agreement with people, with intervals.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 (438 comparisons, one fixed principle "helpful, honest,
harmless"). Departure: both orders, and the order's own effect is reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from publius.engines.flow import RunFlows
from publius.errors import JudgeNotTrusted
from publius.judge import (
    GENERAL_QUESTION,
    JudgeQuestion,
    Method,
    both_orders,
    judge_comparisons,
    prob_a,
    soft_label,
)
from publius.records import Preference, Unparsed, Vote, derive_seed
from publius.stats import Estimate, bootstrap_mean, rate

PRINCIPLE_ID = "audit"


@dataclass(frozen=True, slots=True)
class Audit:
    """The figures of an audit; a figure without data is None.

    `accuracy`: share of comparisons where the label's side is the people's side (a label of exactly
    0.5 is on no side and counts as wrong). `one_order`: the same with A first only. `share_first`: how
    often the option shown first is preferred (0.5 is unbiased; None when answers are shown alone).
    `order_consistency`: share of comparisons whose two orders name the same answer. `label_mass`: mean
    probability of both options.
    """

    judge: str
    method: Method
    question: str
    n: int
    n_unparsed: int
    accuracy: Estimate | None
    one_order: Estimate | None
    share_first: Estimate | None
    order_consistency: Estimate | None
    label_mass: Estimate | None
    by_kind: dict[str, Estimate]
    trusted: bool


def audit_judge(
    labelled: Sequence[Preference], run: RunFlows, *, judge: str, method: Method = "both-orders"
) -> Audit:
    """Return how a judge does on comparisons that people labelled (`prob_a` is their label)."""
    questions = [JudgeQuestion(item.comparison, PRINCIPLE_ID, GENERAL_QUESTION) for item in labelled]
    all_votes = judge_comparisons(questions, run, method=method)
    right: list[bool] = []
    right_first: list[bool] = []
    consistent: list[bool] = []
    by_kind: dict[str, list[bool]] = {}
    votes = [vote for votes in all_votes for vote in votes]
    readable = [vote for vote in votes if isinstance(vote, Vote)]
    for item, own in zip(labelled, all_votes, strict=True):
        label = soft_label(own)
        if label is None or item.prob_a is None:
            continue
        a_is_better = item.prob_a > 0.5
        hit = label != 0.5 and (label > 0.5) == a_is_better
        right.append(hit)
        by_kind.setdefault(_kind(item), []).append(hit)
        right_first += [(prob_a(v) > 0.5) == a_is_better for v in own if isinstance(v, Vote) and v.a_first]
        orders = both_orders(own)
        if orders is not None:
            consistent.append((orders[0] > 0.5) == (orders[1] > 0.5))
    accuracy = _rate(right)
    return Audit(
        judge=judge,
        method=method,
        question=GENERAL_QUESTION,
        n=len(right),
        n_unparsed=sum(isinstance(vote, Unparsed) for vote in votes),
        accuracy=accuracy,
        one_order=_rate(right_first),
        share_first=_rate([(prob_a(v) > 0.5) == v.a_first for v in readable if v.a_first is not None]),
        order_consistency=_rate(consistent),
        label_mass=_mean_mass(all_votes),
        by_kind={
            kind: estimate for kind, hits in sorted(by_kind.items()) if (estimate := _rate(hits)) is not None
        },
        trusted=accuracy is not None and accuracy.low > 0.5,
    )


def draw_audit(labelled: Sequence[Preference], n: int, *, seed: int) -> tuple[Preference, ...]:
    """Return `n` comparisons drawn with the seed, or all for n = 0; a larger n adds to a smaller one's."""
    drawn = sorted(labelled, key=lambda item: derive_seed(seed, "audit", item.comparison.id))
    return tuple(drawn[: n or None])


def require_trust(audit: Audit) -> None:
    """Raise unless the audit's interval lies above chance.

    Raises:
        JudgeNotTrusted: The interval contains 0.5, or nothing could be read.
    """
    if audit.trusted:
        return
    found = (
        f"agrees with people on {audit.accuracy.value:.1%} of {audit.n} comparisons "
        f"(95 % interval {audit.accuracy.low:.1%}–{audit.accuracy.high:.1%})"
        if audit.accuracy is not None
        else f"gave no readable answer ({audit.n_unparsed} unreadable)"
    )
    raise JudgeNotTrusted(
        f"the feedback model {audit.judge} {found}: that is not above chance, so its labels teach nothing",
        where="label",
        todo="use a stronger feedback model (--set models.feedback.model=…), or train anyway with "
        "--set label.train_on_chance=true",
    )


def _kind(item: Preference) -> str:
    # shipped audit ids read audit-KIND-NNN; other sets have one kind
    parts = item.comparison.id.split("-")
    return parts[1] if len(parts) == 3 and parts[0] == "audit" else "all"


def _rate(hits: Sequence[bool]) -> Estimate | None:
    return rate(sum(hits), len(hits))


def _mean_mass(all_votes: Sequence[Sequence[Vote | Unparsed]]) -> Estimate | None:
    masses = [
        (str(index), vote.label_mass)
        for index, votes in enumerate(all_votes)
        for vote in votes
        if isinstance(vote, Vote)
    ]
    clusters = [cluster for cluster, _ in masses]
    if len(set(clusters)) < 2:
        return None
    return bootstrap_mean([mass for _, mass in masses], clusters=clusters, seed=0)
