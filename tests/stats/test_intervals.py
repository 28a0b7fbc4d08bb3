"""Intervals: worked arithmetic, reference values, coverage, and what may not change them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publius.errors import DataError
from publius.stats import bootstrap_difference, bootstrap_mean, clustered_rate, rate, wilson
from publius.stats.intervals import percentile_tail

FINITE = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)


def test_wilson_worked_by_hand():
    # p = 0.8, n = 10, z = 1.96: centre (0.8 + 0.19207)/1.38415, spread 1.96·sqrt(0.016 + 0.009604)/1.38415
    interval = wilson(8, 10)
    assert interval.low == pytest.approx(0.71673 - 0.22658, abs=2e-4)
    assert interval.high == pytest.approx(0.71673 + 0.22658, abs=2e-4)
    assert interval.level == 0.95


def test_wilson_at_the_edges_is_exact_and_not_empty():
    none, every = wilson(0, 20), wilson(20, 20)
    assert none.low == 0.0
    assert every.high == 1.0
    # z² / (n + z²) with z = 1.959964
    assert none.high == pytest.approx(3.841459 / 23.841459, abs=1e-6)
    assert every.low == pytest.approx(20 / 23.841459, abs=1e-6)


@given(st.integers(1, 400), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilson_holds_the_rate_and_stays_in_the_unit_interval(n, share, level):
    successes = share * n
    interval = wilson(successes, n, level=level)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1
    wider = wilson(successes, n, level=(1 + level) / 2)
    assert wider.low <= interval.low + 1e-12
    assert wider.high >= interval.high - 1e-12


@pytest.mark.parametrize(
    ("successes", "n", "level"), [(0, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (1, 5, 0.0)]
)
def test_wilson_refuses_what_is_no_rate(successes, n, level):
    with pytest.raises(DataError):
        wilson(successes, n, level=level)


def test_rate_without_data_is_absent_not_zero():
    assert rate(0, 0) is None
    with pytest.raises(DataError):
        rate(1, 0)
    with pytest.raises(DataError):
        rate(0, -1)
    half = rate(2, 4)
    assert half is not None
    assert (half.value, half.n) == (0.5, 4)


def test_clustered_rate_counts_agreeing_clusters_once():
    # ten prompts, each answered ten times alike: the information of ten answers, not of a hundred
    clusters = [f"p{i // 10}" for i in range(100)]
    outcomes = [i // 10 < 5 for i in range(100)]
    clustered, naive = clustered_rate(outcomes, clusters), wilson(50, 100)
    assert clustered is not None
    assert (clustered.value, clustered.n) == (0.5, 10)
    ten = wilson(5, 10)
    assert clustered.high - clustered.low >= ten.high - ten.low
    assert clustered.high - clustered.low > 2.5 * (naive.high - naive.low)


def test_clustered_rate_of_single_answers_is_nearly_wilson():
    outcomes = [i % 3 == 0 for i in range(300)]
    single = clustered_rate(outcomes, [str(i) for i in range(300)])
    plain = wilson(100, 300)
    assert single is not None
    assert single.low == pytest.approx(plain.low, abs=2e-3)
    assert single.high == pytest.approx(plain.high, abs=2e-3)


def test_clustered_rate_stays_open_when_all_outcomes_agree():
    none = clustered_rate([False] * 60, [f"p{i // 10}" for i in range(60)])
    assert none is not None
    assert (none.low, none.high) == (0.0, wilson(0, 6).high)
    assert clustered_rate([], []) is None


def test_mean_is_over_values_and_n_counts_clusters():
    found = bootstrap_mean([1.0, 1.0, 1.0, 5.0], clusters=["a", "a", "a", "b"], seed=3)
    assert (found.value, found.n) == (2.0, 2)
    # two clusters: every draw is aa (1), ab (2) or bb (5)
    assert (found.low, found.high) == (1.0, 5.0)


@settings(max_examples=40)
@given(st.lists(st.tuples(FINITE, st.integers(0, 5)), min_size=2, max_size=30), st.randoms())
def test_mean_knows_neither_order_nor_names_of_clusters(rows, shuffler):
    rows = [*rows, (0.0, 6), (1.0, 7)]
    names = {i: f"prompt-{i}" for i in range(8)}
    other_names = {i: f"{(i * 5 + 3) % 8}" for i in range(8)}
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    found = [
        bootstrap_mean([v for v, _ in data], clusters=[n[c] for _, c in data], n_resamples=200, seed=1)
        for data, n in ((rows, names), (shuffled, names), (rows, other_names))
    ]
    assert found[0] == found[1] == found[2]
    assert found[0].low <= found[0].value <= found[0].high


def test_mean_depends_on_the_seed_only():
    values = np.random.default_rng(0).normal(size=50).tolist()
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


def test_mean_agrees_with_the_normal_interval_on_many_values():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=2000).tolist()
    found = bootstrap_mean(values, n_resamples=4000, seed=0)
    half = 1.96 * np.std(values, ddof=1) / math.sqrt(2000)
    assert found.low == pytest.approx(found.value - half, abs=0.01)
    assert found.high == pytest.approx(found.value + half, abs=0.01)


@pytest.mark.parametrize(
    ("values", "clusters"),
    [([], None), ([1.0], None), ([1.0, 2.0], ["p", "p"]), ([1.0, math.nan], None), ([1.0, 2.0], ["p"])],
)
def test_mean_refuses_what_has_no_spread_to_measure(values, clusters):
    with pytest.raises(DataError):
        bootstrap_mean(values, clusters=clusters, seed=0)


def test_resampling_refuses_settings_without_meaning():
    for wrong in ({"level": 1.0}, {"n_resamples": 10}, {"seed": -1}):
        with pytest.raises(DataError):
            bootstrap_mean([1.0, 2.0], **{"seed": 0, **wrong})


def test_coverage_of_clustered_means_is_near_the_level():
    rng = np.random.default_rng(11)
    covered_clustered = covered_naive = 0
    n_trials, n_prompts, n_answers = 200, 12, 6
    clusters = [f"p{i // n_answers}" for i in range(n_prompts * n_answers)]
    for trial in range(n_trials):
        prompt_effect = np.repeat(rng.normal(size=n_prompts), n_answers)
        values = (prompt_effect + 0.5 * rng.normal(size=n_prompts * n_answers)).tolist()
        clustered = bootstrap_mean(values, clusters=clusters, n_resamples=400, seed=trial)
        naive = bootstrap_mean(values, n_resamples=400, seed=trial)
        covered_clustered += clustered.low <= 0 <= clustered.high
        covered_naive += naive.low <= 0 <= naive.high
    # binomial spread of 200 trials at 0.95: ± 0.03 at two standard deviations
    assert 0.90 <= covered_clustered / n_trials <= 0.99
    assert covered_naive / n_trials < 0.75  # why clusters are resampled


def test_difference_is_the_difference_of_means_and_pairs_cancel():
    rng = np.random.default_rng(2)
    hardness = {f"p{i}": float(h) for i, h in enumerate(rng.normal(0, 10, size=40))}
    before = {p: [h, h + 0.2] for p, h in hardness.items()}
    after = {p: [h + 1.0 + 0.1 * float(rng.normal())] for p, h in hardness.items()}
    found = bootstrap_difference(after, before, seed=0)
    mean_after = sum(v[0] for v in after.values()) / 40
    mean_before = sum(sum(v) for v in before.values()) / 80
    assert found.value == pytest.approx(mean_after - mean_before)
    assert found.n == 40
    assert found.high - found.low < 0.2  # the prompts' own spread of 10 has cancelled
    assert found.low <= 0.9 <= found.high


def test_difference_is_antisymmetric_and_knows_no_order():
    after = {"a": [1.0], "b": [0.0, 1.0], "c": [0.5]}
    before = {"c": [0.0], "a": [0.25, 0.75], "b": [1.0]}
    one = bootstrap_difference(after, before, seed=0)
    assert one == bootstrap_difference(dict(reversed(after.items())), dict(reversed(before.items())), seed=0)
    assert bootstrap_difference(before, after, seed=0).value == -one.value


@pytest.mark.parametrize(
    ("after", "before"),
    [
        ({"a": [1.0], "b": [1.0]}, {"a": [1.0], "c": [1.0]}),
        ({"a": [1.0], "b": []}, {"a": [1.0], "b": [1.0]}),
        ({"a": [1.0]}, {"a": [1.0]}),
        ({}, {}),
    ],
)
def test_difference_refuses_unpaired_clusters(after, before):
    with pytest.raises(DataError):
        bootstrap_difference(after, before, seed=0)


def test_percentile_tail_matches_students_t():
    stats = pytest.importorskip("scipy.stats")
    for n in (2, 3, 4, 6, 11, 31, 501):
        expected = stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1))
        assert percentile_tail(n, 0.95) == pytest.approx(expected, abs=2e-4)
