"""A slope through the origin with an interval from resampled clusters.

Differences inside pairs have no intercept: whatever both sides share has cancelled, and a difference of
zero in x must mean one of zero in y.

Paper: none.
"""

import math
from collections.abc import Sequence

import numpy as np

from publius.errors import DataError
from publius.stats.intervals import Estimate, Floats, Resampling, percentile_tail, resample_totals

_N_RESAMPLES = 2000
_LEVEL = 0.95


def bootstrap_slope(
    xs: Sequence[float], ys: Sequence[float], *, clusters: Sequence[str], seed: int
) -> Estimate | None:
    """Return the least-squares b of y = b·x with a 95 % interval, or None where it cannot be told.

    It cannot with fewer than two clusters that have an x other than 0; pairs with x = 0 carry nothing and
    are left out. `n` of the result counts the clusters that remain.

    Raises:
        DataError: The lengths differ, or a value is not finite.

    >>> bootstrap_slope([1.0, -2.0], [3.0, -6.0], clusters=["p", "q"], seed=0).value
    3.0
    """
    if not len(xs) == len(ys) == len(clusters):
        raise DataError(f"{len(xs)} x came with {len(ys)} y and {len(clusters)} clusters")
    if not all(map(math.isfinite, (*xs, *ys))):
        raise DataError("a value is not a finite number", todo="leave out and count what was not measured")
    groups: dict[str, list[tuple[float, float]]] = {}
    for x, y, cluster in zip(xs, ys, clusters, strict=True):
        if x != 0:
            groups.setdefault(cluster, []).append((x * y, x * x))
    if len(groups) < 2:
        return None
    table = np.array(
        [(math.fsum(xy for xy, _ in group), math.fsum(xx for _, xx in group)) for group in groups.values()]
    )
    value, draws = resample_totals(table, _ratio, Resampling(_N_RESAMPLES, _LEVEL, seed))
    tail = percentile_tail(len(table), _LEVEL)
    low, high = (float(end) for end in np.quantile(draws, [tail, 1 - tail]))
    return Estimate(value, min(low, value), max(high, value), n=len(table), level=_LEVEL)


def _ratio(totals: Floats) -> Floats:
    return totals[:, 0] / totals[:, 1]
