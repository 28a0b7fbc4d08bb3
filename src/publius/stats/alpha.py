"""How far any number of judges agree, and how many independent ones they are worth.

Krippendorff's alpha is 1 − observed / expected disagreement, over all pairs of labels of one item: 1 is full
agreement, 0 what shuffled labels give, below 0 worse than that. A judge may leave items out. "nominal": two
labels are the same or not; "interval": the squared difference of numbers counts.

Paper: none. Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability". Effective number: the design
effect of Kish 1965, as in arXiv:2605.29800 (nine judges worth two).
"""

import math
from collections.abc import Hashable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from publius.errors import DataError
from publius.stats.intervals import Estimate, Floats, Resampling
from publius.stats.reweighting import reweigh

Metric: TypeAlias = Literal["nominal", "interval"]


def krippendorff_alpha(items: Sequence[Sequence[Hashable]], *, metric: Metric = "nominal") -> float | None:
    """Return Krippendorff's alpha, at most 1; `items` are the labels of each item, None where one is missing.

    The order of items and of judges changes nothing. None where there is nothing to compare: no item has two
    labels, or all labels are the same.

    Raises:
        DataError: With "interval", a label is not a finite number.

    >>> krippendorff_alpha(["AA", "BB", "AA", "BA"])
    0.5333333333333333
    >>> krippendorff_alpha([(0.1, 0.2), (0.9, 0.8), (None, 0.5)], metric="interval") > 0.9
    True
    """
    paired = [given for labels in items if len(given := _given(labels)) > 1]
    if len({label for given in paired for label in given}) < 2:
        return None
    return float(_alpha(_pairs(paired, metric).sum(axis=0, keepdims=True))[0])


def bootstrap_alpha(
    items: Sequence[Sequence[Hashable]],
    *,
    metric: Metric = "nominal",
    clusters: Sequence[str] | None = None,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int,
) -> Estimate | None:
    """Return alpha with an interval over items, or over the `clusters` (prompts) they come from.

    None where alpha is None, or where fewer than two clusters leave no spread to measure. `n` of the result
    counts the clusters that hold an item with two labels.

    Raises:
        DataError: With "interval", a label is not a finite number; or the lengths differ.
    """
    names = [str(i) for i in range(len(items))] if clusters is None else clusters
    if len(names) != len(items):
        raise DataError(f"{len(items)} items came with {len(names)} clusters", todo="name one each")
    if krippendorff_alpha(items, metric=metric) is None:
        return None
    both = zip(names, items, strict=True)
    paired = [(name, given) for name, labels in both if len(given := _given(labels)) > 1]
    row = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in paired))}
    table = _pairs([given for _, given in paired], metric)
    summed = np.zeros((len(row), table.shape[1]))
    np.add.at(summed, [row[name] for name, _ in paired], table)
    return reweigh(summed, _alpha, Resampling(n_resamples, level, seed)) if len(row) > 1 else None


def effective_judges(hits: Sequence[Sequence[bool]]) -> float | None:
    """Return how many judges with independent errors would be worth as much as these, at least 1.

    `hits` tell for every item which of the judges were right; an item that one of them did not judge must be
    left out. It is the judges' mean variance over the variance of their mean: k judges who err on the same
    items are worth 1, k who err independently k, and more where one errs when the other does not (then it
    may be infinite, and None is returned). None too where no judge ever erred, or none was ever right.

    Raises:
        DataError: The items have different numbers of judges.

    >>> effective_judges([(True, True), (False, False), (True, True)])
    1.0
    >>> effective_judges([(True, True), (False, True), (True, False), (False, False)])
    2.0
    """
    if len({len(item) for item in hits}) > 1:
        raise DataError("some items have fewer judges than others", todo="leave these items out")
    if not hits or not hits[0]:
        return None
    hit_NJ = np.array(hits, dtype=np.float64)
    own = math.fsum(hit_NJ.var(axis=0)) / hit_NJ.shape[1]
    joint = float(hit_NJ.mean(axis=1).var())
    # rounding leaves some 1e-17 where the variances are nothing
    return None if own < 1e-12 or joint < 1e-12 else max(1.0, own / joint)


def _given(labels: Sequence[Hashable]) -> list[Hashable]:
    return [label for label in labels if label is not None]


def _pairs(items: Sequence[Sequence[Hashable]], metric: Metric) -> Floats:
    """Return what each item adds to the sums that alpha is made of; every item has two labels or more.

    Columns: its disagreement, its number of labels m, its sum of squares, and its sums of the coordinates.
    A label is a point whose squared distance is the metric: a number, or for "nominal" a corner of a
    simplex with edges of length 1.
    """
    points = _points([label for labels in items for label in labels], metric)
    rows: list[Floats] = []
    start = 0
    for labels in items:
        own = points[start : start + len(labels)]
        start += len(labels)
        squares, sums = float((own**2).sum()), own.sum(axis=0)
        apart = max(0.0, 2 * (len(labels) * squares - float((sums**2).sum()))) / (len(labels) - 1)
        rows.append(np.array([apart, len(labels), squares, *sums]))
    return np.array(rows)


def _points(labels: Sequence[Hashable], metric: Metric) -> Floats:
    if metric == "nominal":
        # in an order of their own: the rows that are drawn are sorted by these columns
        place = {label: i for i, label in enumerate(sorted(set(labels), key=repr))}
        corners = np.eye(len(place)) / math.sqrt(2)
        return corners[[place[label] for label in labels]]
    numbers = [float(x) if isinstance(x, int | float) else math.nan for x in labels]
    if not all(map(math.isfinite, numbers)):
        raise DataError("a label is not a finite number", todo='use metric="nominal"')
    point_N = np.array(numbers, dtype=np.float64)
    # about their mean, so that no digits are lost in the squares
    return (point_N - point_N.mean())[:, None]


def _expected(totals: Floats) -> Floats:
    """Return the squared distances summed over all ordered pairs of labels, shape (draws,)."""
    return 2 * (totals[:, 1] * totals[:, 2] - (totals[:, 3:] ** 2).sum(axis=1))


def _alpha(totals: Floats) -> Floats:
    return 1 - (totals[:, 1] - 1) * totals[:, 0] / _expected(totals)
