"""How far two judges agree, beyond what chance alone would give.

Paper: none. Cohen 1960 (Educational and Psychological Measurement 20:37). For any number of judges:
`alpha`.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from publius.errors import DataError
from publius.stats.intervals import Estimate, Floats, Resampling, rate
from publius.stats.reweighting import reweigh


def agreement_rate(left: Sequence[Hashable], right: Sequence[Hashable]) -> Estimate:
    """Return the share of items with the same label from both judges, with Wilson's interval.

    Raises:
        DataError: There are no items, or the lengths differ.

    >>> agreement_rate("ABBA", "ABBB").value
    0.75
    """
    n = _checked_length(left, right)
    agreed = rate(_n_same(left, right), n)
    assert agreed is not None  # n is positive
    return agreed


def cohen_kappa(left: Sequence[Hashable], right: Sequence[Hashable]) -> float | None:
    """Return Cohen's kappa in [−1, 1]: 1 full agreement, 0 what chance gives, below 0 worse than chance.

    Chance means that each judge keeps its own shares of labels. None when both gave every item the
    same one label: chance already agrees always, and kappa is 0/0. Leave out items that either judge
    could not read, and report how many.

    Raises:
        DataError: There are no items, or the lengths differ.

    >>> cohen_kappa("AABB", "AABA"), cohen_kappa("AAAA", "AAAA")
    (0.5, None)
    """
    n = _checked_length(left, right)
    shares_left, shares_right = Counter(left), Counter(right)
    # whole numbers up to the division, so that 0/0 is seen exactly: both are n² times the shares
    expected = sum(shares_left[label] * shares_right[label] for label in shares_left)
    if expected == n * n:
        return None
    return (n * _n_same(left, right) - expected) / (n * n - expected)


def bootstrap_kappa(
    left: Sequence[Hashable],
    right: Sequence[Hashable],
    *,
    clusters: Sequence[str] | None = None,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int,
) -> Estimate | None:
    """Return Cohen's kappa with an interval over items, or over the `clusters` (prompts) they come from.

    None where kappa is None, or where fewer than two clusters leave no spread to measure. `n` of the result
    counts clusters. Judges that never differ give an interval without width.

    Raises:
        DataError: There are no items, or the lengths differ.

    >>> kappa = bootstrap_kappa("AABBAABB", "AABAAABA", seed=0)
    >>> kappa.value, -1 <= kappa.low < 0.5 < kappa.high <= 1
    (0.5, True)
    """
    value = cohen_kappa(left, right)
    names = [str(i) for i in range(len(left))] if clusters is None else clusters
    if len(names) != len(left):
        raise DataError(f"{len(left)} items came with {len(names)} clusters", todo="name one each")
    if value is None or len(set(names)) < 2:
        return None
    # in an order of their own: the rows that are drawn are sorted by these columns
    place = {label: i for i, label in enumerate(sorted({*left, *right}, key=repr))}
    row = {name: i for i, name in enumerate(dict.fromkeys(names))}
    table_CLL = np.zeros((len(row), len(place), len(place)))
    for name, a, b in zip(names, left, right, strict=True):
        table_CLL[row[name], place[a], place[b]] += 1

    def kappa_of(totals: Floats) -> Floats:
        counts_RLL = totals.reshape(-1, len(place), len(place))
        n_R = counts_RLL.sum(axis=(1, 2))
        agreed_R = np.trace(counts_RLL, axis1=1, axis2=2) / n_R
        expected_R = (counts_RLL.sum(axis=1) * counts_RLL.sum(axis=2)).sum(axis=1) / n_R**2
        return (agreed_R - expected_R) / (1 - expected_R)

    drawn = reweigh(table_CLL.reshape(len(row), -1), kappa_of, Resampling(n_resamples, level, seed))
    return replace(drawn, value=value, low=min(drawn.low, value), high=max(drawn.high, value))


def _n_same(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    return sum(a == b for a, b in zip(left, right, strict=True))


def _checked_length(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    if len(left) != len(right):
        raise DataError(f"{len(left)} labels of one judge came with {len(right)} of the other")
    if not left:
        raise DataError("there are no labels to compare", todo="report the number as absent")
    return len(left)
