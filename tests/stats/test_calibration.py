"""Calibration: bins, ECE, Brier and temperature by hand, and the cases without an answer."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from publius.errors import DataError
from publius.stats import brier_score, expected_calibration_error, fit_temperature, reliability_bins

UNIT = st.floats(0, 1)
PAIRS = st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=60)


def test_bins_by_hand():
    bins = reliability_bins([0.05, 0.1, 0.12, 0.95, 1.0], [0, 1, 0, 1, 1])
    assert [(b.low, b.high, b.outcome.n) for b in bins] == [(0.0, 0.1, 1), (0.1, 0.2, 2), (0.9, 1.0, 2)]
    assert [b.mean_prob for b in bins] == pytest.approx([0.05, 0.11, 0.975])
    assert [b.outcome.value for b in bins] == [0.0, 0.5, 1.0]
    assert bins[1].outcome.low < 0.5 < bins[1].outcome.high


@pytest.mark.parametrize("tenth", range(10))
def test_an_edge_belongs_to_the_bin_above(tenth):
    (found,) = reliability_bins([tenth / 10], [1])
    assert found.low == tenth / 10


@given(PAIRS, st.integers(1, 20))
def test_bins_hold_every_prediction_once(pairs, n_bins):
    probs, outcomes = zip(*pairs, strict=True)
    bins = reliability_bins(probs, outcomes, n_bins=n_bins)
    assert sum(b.outcome.n for b in bins) == len(pairs)
    assert [b.low for b in bins] == sorted({b.low for b in bins})
    for b in bins:
        assert b.low - 1e-12 <= b.mean_prob <= b.high + 1e-12
    assert 0 <= expected_calibration_error(probs, outcomes, n_bins=n_bins) <= 1


def test_ece_by_hand():
    # bin [0.8, 0.9): four at 0.8, two came true: gap 0.3; bin [0.2, 0.3): one at 0.2, none: gap 0.2
    found = expected_calibration_error([0.8] * 4 + [0.2], [1, 1, 0, 0, 0])
    assert found == pytest.approx((4 * 0.3 + 1 * 0.2) / 5)


def test_ece_of_a_calibrated_predictor_is_small():
    rng = np.random.default_rng(0)
    probs = rng.random(20_000)
    outcomes = (rng.random(20_000) < probs).astype(float)
    assert expected_calibration_error(probs.tolist(), outcomes.tolist()) < 0.02
    assert expected_calibration_error((probs**3).tolist(), outcomes.tolist()) > 0.15


def test_brier_by_hand():
    assert brier_score([0.8, 0.3], [1, 0]) == pytest.approx((0.04 + 0.09) / 2)
    assert brier_score([0.5] * 4, [0, 1, 0, 1]) == 0.25
    assert brier_score([0.7], [0.6]) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "measure", [reliability_bins, expected_calibration_error, brier_score, fit_temperature]
)
@pytest.mark.parametrize(
    ("predictions", "outcomes"),
    [([], []), ([0.5], []), ([math.nan], [1]), ([0.5], [1.5]), ([0.5], [math.nan])],
)
def test_no_data_is_no_number(measure, predictions, outcomes):
    with pytest.raises(DataError):
        measure(predictions, outcomes)


def test_probabilities_outside_the_unit_interval_are_refused():
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        brier_score([1.2], [1])


def test_temperature_by_hand():
    # three of four right at logit 2: sigmoid(2/T) = 0.75, so T = 2 / log 3
    assert fit_temperature([2.0] * 4, [1, 1, 1, 0]) == pytest.approx(2 / math.log(3))
    # the same with signs turned, and with soft labels
    assert fit_temperature([2.0, -2.0], [0.75, 0.25]) == pytest.approx(2 / math.log(3))


def test_temperature_recovers_the_planted_one():
    rng = np.random.default_rng(1)
    true_logits = rng.normal(0, 1.5, size=20_000)
    outcomes = (rng.random(20_000) < 1 / (1 + np.exp(-true_logits))).astype(float)
    assert fit_temperature((3 * true_logits).tolist(), outcomes.tolist()) == pytest.approx(3, abs=0.15)


@pytest.mark.parametrize(
    ("logits", "outcomes"),
    [
        ([1.0, -2.0], [1, 0]),  # all on the right side: ever sharper is better
        ([1.0, -2.0], [0, 1]),  # all on the wrong side
        ([1.0, 1.0], [1, 0]),  # the logits tell nothing
        ([0.0, 0.0], [1, 0]),
    ],
)
def test_temperature_is_absent_when_none_is_best(logits, outcomes):
    assert fit_temperature(logits, outcomes) is None


@given(
    st.lists(st.tuples(st.floats(-20, 20), st.floats(0.05, 0.95)), min_size=1, max_size=30),
    st.floats(1e-3, 1e3),
)
def test_temperature_scales_with_the_logits_and_is_a_minimum(pairs, scale):
    logits, outcomes = zip(*pairs, strict=True)
    found = fit_temperature(logits, outcomes)
    assume(found is not None and 1e-3 < found < 1e3)
    assert found is not None
    assert fit_temperature([scale * x for x in logits], outcomes) == pytest.approx(scale * found, rel=1e-6)

    def loss(temperature):
        x = np.array(logits) / temperature
        return float((np.logaddexp(0, x) - np.array(outcomes) * x).sum())

    assert loss(found) <= min(loss(found * 1.01), loss(found / 1.01)) + 1e-9
