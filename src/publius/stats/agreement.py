"""How far two judges agree, beyond what chance alone would give.

Paper: none. Cohen 1960 (Educational and Psychological Measurement 20:37).
"""

from collections import Counter
from collections.abc import Hashable, Sequence

from publius.errors import DataError
from publius.stats.intervals import Estimate, rate


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


def _n_same(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    return sum(a == b for a, b in zip(left, right, strict=True))


def _checked_length(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    if len(left) != len(right):
        raise DataError(f"{len(left)} labels of one judge came with {len(right)} of the other")
    if not left:
        raise DataError("there are no labels to compare", todo="report the number as absent")
    return len(left)
