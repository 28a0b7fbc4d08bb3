"""Several judges of the same comparisons: who agrees with whom, and how many they are worth together.

A label is P(A is better). The verdict that it stands for is A above one half, B below, and no side at
one half.

Paper: none; the coefficients are those of `agreement` and `alpha`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from publius.errors import DataError
from publius.stats.agreement import bootstrap_kappa
from publius.stats.alpha import bootstrap_alpha, effective_judges
from publius.stats.intervals import Estimate, clustered_rate, rate

_TIE_MARGIN = 1e-9  # the mean of p and 1 − p is one half but for rounding


@dataclass(frozen=True, slots=True)
class JudgePair:
    """Two judges on what both labelled: how often they name the same answer, and Cohen's kappa of that."""

    left: str
    right: str
    agreement: Estimate
    kappa: Estimate | None


@dataclass(frozen=True, slots=True)
class Panel:
    """Agreement among judges (or among the principles under which one judge was asked).

    `n` comparisons have labels of two judges or more. `alpha_verdicts` is Krippendorff's alpha of the
    verdicts (nominal), `alpha_labels` of the soft labels (interval). `effective` is how many independent
    judges they are worth, from their errors on the `n_effective` comparisons that all of them labelled and
    people too; None where it cannot be told.
    """

    judges: tuple[str, ...]
    n: int
    pairs: tuple[JudgePair, ...]
    alpha_verdicts: Estimate | None
    alpha_labels: Estimate | None
    effective: float | None
    n_effective: int


def verdict_of(label: float) -> str:
    """Return the answer that a soft label stands for: "A", "B", or "" for neither.

    >>> verdict_of(0.7), verdict_of(0.2), verdict_of(0.5)
    ('A', 'B', '')
    """
    if abs(label - 0.5) <= _TIE_MARGIN:
        return ""
    return "A" if label > 0.5 else "B"


def share_of(outcomes: Sequence[bool], prompts: Sequence[str]) -> Estimate | None:
    """Return the share of true outcomes; its interval knows prompts that repeat. None for no outcome.

    >>> share_of([True, False], ["p", "q"]) == rate(1, 2), share_of([True, True], ["p", "p"]).n
    (True, 1)
    """
    if len(set(prompts)) == len(prompts):
        return rate(sum(outcomes), len(outcomes))
    return clustered_rate(outcomes, prompts)


def measure_panel(
    labels: Mapping[str, Mapping[str, float]],
    *,
    prompts: Mapping[str, str],
    people: Mapping[str, float] | None = None,
    with_kappa: bool = True,
    seed: int = 0,
) -> Panel | None:
    """Return the agreement among judges, or None where no comparison has labels of two.

    `labels` are P(A is better) by judge and comparison; a judge may lack some. `prompts` name the prompt of
    every comparison, `people` are people's labels of those that have one. Neither the order of the judges
    nor that of the comparisons changes a number. `with_kappa=False` leaves out the kappas of the pairs,
    whose intervals take long for many judges.

    Raises:
        DataError: A comparison has no prompt.
    """
    names = tuple(labels)
    items = sorted({item for own in labels.values() for item in own})
    lost = [item for item in items if item not in prompts]
    if lost:
        raise DataError(f"the comparison {lost[0]!r} has no prompt", todo="name the prompt of each")
    rows = [[labels[name].get(item) for name in names] for item in items]
    clusters = [prompts[item] for item in items]
    n = sum(sum(label is not None for label in row) > 1 for row in rows)
    if n == 0:
        return None
    verdicts = [[None if label is None else verdict_of(label) for label in row] for row in rows]
    common = [item for item in items if all(item in own for own in labels.values())]
    told = [item for item in common if people is not None and verdict_of(people.get(item, 0.5))]
    hits = [
        tuple(verdict_of(own[item]) == verdict_of(people[item]) for own in labels.values())
        for item in told
        if people is not None
    ]
    pairs = (
        _pair(left, right, labels, prompts=prompts, seed=seed if with_kappa else None)
        for left, right in combinations(names, 2)
    )
    return Panel(
        judges=names,
        n=n,
        pairs=tuple(pair for pair in pairs if pair is not None),
        alpha_verdicts=bootstrap_alpha(verdicts, clusters=clusters, seed=seed),
        alpha_labels=bootstrap_alpha(rows, metric="interval", clusters=clusters, seed=seed),
        effective=effective_judges(hits),
        n_effective=len(hits),
    )


def _pair(
    left: str,
    right: str,
    labels: Mapping[str, Mapping[str, float]],
    *,
    prompts: Mapping[str, str],
    seed: int | None,
) -> JudgePair | None:
    """Return how two judges agree, without kappa for no seed; None where they have nothing in common."""
    both = sorted(set(labels[left]) & set(labels[right]))
    sides = [[verdict_of(labels[name][item]) for item in both] for name in (left, right)]
    clusters = [prompts[item] for item in both]
    agreement = share_of([a == b for a, b in zip(*sides, strict=True)], clusters)
    if agreement is None:
        return None
    # kappa is the same either way round, what is drawn for its interval is not
    kappa = None if seed is None else bootstrap_kappa(*sorted(sides), clusters=clusters, seed=seed)
    return JudgePair(left, right, agreement, kappa)
