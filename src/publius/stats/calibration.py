"""Do probabilities mean what they say? Reliability bins, ECE, Brier score, temperature.

`probs` are predicted probabilities in [0, 1], `outcomes` what happened: 0, 1, or a soft label between.

Paper: Bai et al. 2022, arXiv:2212.08073, Fig. 9 (labels' probability against how often they are right)
and arXiv:2204.05862 (a preference model's calibration). Temperature: Guo et al. 2017, arXiv:1706.04599,
for two classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from publius.errors import DataError
from publius.stats.intervals import (
    Estimate,
    Floats,
    Resampling,
    percentile_tail,
    resample_totals,
    wilson,
)

_N_RESAMPLES = 1000
_N_FLOOR_DRAWS = 200
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Bin:
    """The predictions in [low, high) (the last bin includes 1): their mean, and the share that came true."""

    low: float
    high: float
    mean_prob: float
    outcome: Estimate


def reliability_bins(
    probs: Sequence[float], outcomes: Sequence[float], *, n_bins: int = 10
) -> tuple[Bin, ...]:
    """Return the bins of equal width that hold predictions, from low to high; empty ones are absent.

    Raises:
        DataError: There are no predictions, one is outside [0, 1], or the lengths differ.

    >>> [(bin.low, bin.mean_prob, bin.outcome.value) for bin in reliability_bins([0.2, 0.9, 1.0], [0, 1, 1])]
    [(0.2, 0.2, 0.0), (0.9, 0.95, 1.0)]
    """
    prob_N, outcome_N = _checked(probs, outcomes, in_unit=True)
    if n_bins < 1:
        raise DataError(f"n_bins={n_bins!r} is below 1", todo="use 10")
    place_N = _bin_of(prob_N, n_bins)
    bins: list[Bin] = []
    for place in sorted({int(place) for place in place_N}):
        inside = place_N == place
        n = int(inside.sum())
        came_true = min(math.fsum(outcome_N[inside]), float(n))
        interval = wilson(came_true, n)
        outcome = Estimate(came_true / n, interval.low, interval.high, n, interval.level)
        mean_prob = math.fsum(prob_N[inside]) / n
        bins.append(Bin(place / n_bins, (place + 1) / n_bins, mean_prob=mean_prob, outcome=outcome))
    return tuple(bins)


def expected_calibration_error(
    probs: Sequence[float], outcomes: Sequence[float], *, n_bins: int = 10
) -> float:
    """Return the mean over predictions of |mean prediction − share that came true| of their bin, in [0, 1].

    With few predictions chance alone makes it positive, so compare only equally many.

    Raises:
        DataError: There are no predictions, one is outside [0, 1], or the lengths differ.

    >>> round(expected_calibration_error([0.8, 0.8, 0.2], [1, 1, 0]), 9)
    0.2
    """
    bins = reliability_bins(probs, outcomes, n_bins=n_bins)
    return math.fsum(b.outcome.n * abs(b.mean_prob - b.outcome.value) for b in bins) / len(probs)


def bootstrap_calibration_error(
    probs: Sequence[float],
    outcomes: Sequence[float],
    *,
    clusters: Sequence[str],
    n_bins: int = 10,
    seed: int,
) -> Estimate | None:
    """Return the expected calibration error with a 95 % interval over clusters, or None for fewer than two.

    Chance alone makes the error positive, and resampling adds to it as much again. So the interval is the
    percentile one reflected at the value (the basic bootstrap) and cut at 0; it may reach 0, and its upper
    end may be the value itself. `n` of the result counts clusters.

    Raises:
        DataError: There are no predictions, one is outside [0, 1], or the lengths differ.

    >>> error = bootstrap_calibration_error([0.9, 0.9], [1, 1], clusters=["p", "q"], seed=0)
    >>> error is not None and round(error.value, 9)
    0.1
    """
    prob_N, outcome_N = _checked(probs, outcomes, in_unit=True)
    if len(clusters) != len(probs):
        raise DataError(f"{len(probs)} predictions came with {len(clusters)} clusters")
    rows = {name: row for row, name in enumerate(sorted(set(clusters)))}
    if len(rows) < 2:
        return None
    table = np.zeros((len(rows), n_bins + 1))  # by bin: predictions less outcomes; last: how many
    row_N = np.array([rows[name] for name in clusters])
    np.add.at(table, (row_N, _bin_of(prob_N, n_bins)), prob_N - outcome_N)
    table[:, n_bins] = np.bincount(row_N, minlength=len(rows))
    _, draws = resample_totals(table, _error_of_totals, Resampling(_N_RESAMPLES, _LEVEL, seed))
    value = expected_calibration_error(probs, outcomes, n_bins=n_bins)
    tail = percentile_tail(len(rows), _LEVEL)
    low, high = (2 * value - float(end) for end in np.quantile(draws, [1 - tail, tail]))
    return Estimate(value, min(max(low, 0.0), value), max(high, value), n=len(rows), level=_LEVEL)


def error_if_calibrated(probs: Sequence[float], *, n_bins: int = 10, seed: int) -> float:
    """Return the mean calibration error that these predictions would show if every one were right.

    This is what chance alone makes of outcomes that are drawn, 0 or 1, with the predicted probabilities,
    each on its own; an error near it is no evidence of miscalibration.

    Raises:
        DataError: There are no predictions, or one is outside [0, 1].

    >>> 0.05 < error_if_calibrated([0.5] * 50, seed=0) < 0.065  # sqrt(2 / pi) of a coin's 0.071
    True
    """
    prob_N, _ = _checked(probs, probs, in_unit=True)
    generator = np.random.default_rng(seed)
    drawn_DN = generator.random((_N_FLOOR_DRAWS, len(prob_N))) < prob_N
    place_N = _bin_of(prob_N, n_bins)
    error_D = np.zeros(_N_FLOOR_DRAWS)
    for place in np.unique(place_N):
        inside = place_N == place
        error_D += np.abs((drawn_DN[:, inside] - prob_N[inside]).sum(axis=1))
    return float(error_D.mean()) / len(prob_N)


def brier_score(probs: Sequence[float], outcomes: Sequence[float]) -> float:
    """Return the mean squared difference of prediction and outcome, in [0, 1]; lower is better.

    0.25 is what a constant 0.5 scores on hard outcomes. For an interval give the single squares to
    `bootstrap_mean`.

    Raises:
        DataError: There are no predictions, one is outside [0, 1], or the lengths differ.

    >>> brier_score([1.0, 0.5], [1, 0])
    0.125
    """
    prob_N, outcome_N = _checked(probs, outcomes, in_unit=True)
    return math.fsum((prob_N - outcome_N) ** 2) / len(prob_N)


def fit_temperature(logits: Sequence[float], outcomes: Sequence[float]) -> float | None:
    """Return the T above 0 for which sigmoid(logit / T) has the highest likelihood, or None if none has.

    A logit is the natural log-odds that the outcome is 1; for a preference model the reward of A minus
    the reward of B. T above 1 means that the model was over-confident. None when no finite T is
    best: every outcome is on the side its logit says (T → 0), or the logits tell nothing or the
    opposite (T → ∞ and beyond).

    Raises:
        DataError: There is no data, a logit is not finite, an outcome is outside [0, 1], or the
            lengths differ.

    >>> round(fit_temperature([2.0, 2.0, 2.0, 2.0], [1, 1, 1, 0]), 4)
    1.8205
    """
    logit_N, outcome_N = _checked(logits, outcomes, in_unit=False)
    scale = float(np.abs(logit_N).max())
    if scale == 0:
        return None
    x_N = logit_N / scale
    # the slope of the loss in b = 1/T rises with b, so there is one zero, or none
    slope_at_infinity = math.fsum(np.where(x_N > 0, 1 - outcome_N, -outcome_N) * x_N)
    if _slope(x_N, outcome_N, 0.0) >= 0 or slope_at_infinity <= 0:
        return None
    low, high = 0.0, 1.0
    while _slope(x_N, outcome_N, high) < 0:
        low, high = high, 2 * high
        if math.isinf(high):
            return None
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _slope(x_N, outcome_N, middle) < 0 else (low, middle)
    return scale / high


def _bin_of(prob_N: Floats, n_bins: int) -> NDArray[np.int64]:
    # compared with the printed edges, so that a prediction of exactly 0.3 falls into [0.3, 0.4)
    edges = np.array([i / n_bins for i in range(1, n_bins)])
    return np.searchsorted(edges, prob_N, side="right")


def _error_of_totals(totals: Floats) -> Floats:
    """Return the calibration error from sums by bin of predictions less outcomes, and the count."""
    return np.abs(totals[:, :-1]).sum(axis=1) / totals[:, -1]


def _slope(x_N: Floats, outcome_N: Floats, inverse_t: float) -> float:
    """Return the derivative in 1/T of the summed log loss."""
    prob_N = np.exp(-np.logaddexp(0.0, -inverse_t * x_N))
    return math.fsum((prob_N - outcome_N) * x_N)


def _checked(
    predictions: Sequence[float], outcomes: Sequence[float], *, in_unit: bool
) -> tuple[Floats, Floats]:
    if len(predictions) != len(outcomes):
        raise DataError(f"{len(predictions)} predictions came with {len(outcomes)} outcomes")
    if len(predictions) == 0:
        raise DataError("there are no predictions to measure", todo="report the number as absent")
    prediction_N = np.asarray(predictions, dtype=np.float64)
    outcome_N = np.asarray(outcomes, dtype=np.float64)
    # written as "not all inside", so that NaN is outside
    if not np.isfinite(prediction_N).all() or (in_unit and not _all_in_unit(prediction_N)):
        raise DataError(f"a prediction is not {'in [0, 1]' if in_unit else 'a finite number'}")
    if not _all_in_unit(outcome_N):
        raise DataError("an outcome is not in [0, 1]", todo="count unreadable answers instead")
    return prediction_N, outcome_N


def _all_in_unit(values_N: Floats) -> bool:
    return bool(((values_N >= 0) & (values_N <= 1)).all())
