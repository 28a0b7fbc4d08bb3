"""Krippendorff's alpha against the worked examples of the literature, and what must not move it."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publius.errors import DataError
from publius.stats import bootstrap_alpha, effective_judges, krippendorff_alpha

_ = None
# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", part C: 4 observers, 12 units, some missing
FOUR_OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3),
    (_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _),
)
# three coders of 15 units, the example of several textbooks and of the library `krippendorff`
THREE_CODERS = (
    (_, _, _, _, _, 3, 4, 1, 2, 1, 1, 3, 3, _, 3),
    (1, _, 2, 1, 3, 3, 4, 3, _, _, _, _, _, _, _),
    (_, _, 2, 1, 3, 4, 4, _, 2, 1, 1, 3, 3, _, 4),
)
# the same paper, part A: two observers, binary, nothing missing
TWO_OBSERVERS = ((0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0))
ITEMS = st.lists(
    st.lists(st.sampled_from([1, 2, 5, None]), min_size=3, max_size=3).map(tuple), min_size=1, max_size=25
)


def items_of(observers):
    return list(zip(*observers, strict=True))


@pytest.mark.parametrize(
    ("observers", "metric", "alpha"),
    [  # rounded to three places by the sources; all places computed with `krippendorff` 0.9.0
        (FOUR_OBSERVERS, "nominal", 0.743421052631579),
        (FOUR_OBSERVERS, "interval", 0.8491071428571428),
        (THREE_CODERS, "nominal", 0.691358024691358),
        (THREE_CODERS, "interval", 0.8108448928121059),
        (TWO_OBSERVERS, "nominal", 0.09523809523809534),
    ],
)
def test_alpha_of_the_worked_examples(observers, metric, alpha):
    assert krippendorff_alpha(items_of(observers), metric=metric) == pytest.approx(alpha, abs=1e-12)


def test_alpha_is_absent_where_nothing_can_be_compared():
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([(1, None), (None, 2)]) is None
    assert krippendorff_alpha(["AAA", "AA"]) is None
    assert bootstrap_alpha(["AAA", "AA"], seed=0) is None
    assert bootstrap_alpha(["AB"], seed=0) is None
    assert krippendorff_alpha(["AB"]) == 0.0


def test_a_label_that_is_no_number_has_no_interval_distance():
    for bad in (math.nan, math.inf, "1"):
        with pytest.raises(DataError, match="finite"):
            krippendorff_alpha([(bad, 1.0), (0.0, 1.0)], metric="interval")


@given(ITEMS, st.randoms(use_true_random=False), st.sampled_from(["nominal", "interval"]))
def test_order_of_items_and_judges_moves_nothing(items, random, metric):
    alpha = krippendorff_alpha(items, metric=metric)
    shuffled = [tuple(random.sample(item, 3)) for item in random.sample(items, len(items))]
    assert krippendorff_alpha(shuffled, metric=metric) == pytest.approx(alpha, abs=1e-9)
    unread = [*items, (None, None, None), (1, None, None)]
    assert krippendorff_alpha(unread, metric=metric) == pytest.approx(alpha, abs=1e-9)


def test_order_of_items_and_judges_moves_no_interval():
    items = ["AAB", "BBA", "ABC", "CCC", "ACA", "BBB", "CAB", "AAA"]
    turned = [item[::-1] for item in items[::-1]]
    first, again = (bootstrap_alpha(each, n_resamples=100, seed=0) for each in (items, turned))
    assert first is not None
    assert again is not None
    assert (again.low, again.high) == pytest.approx((first.low, first.high))


@given(ITEMS)
def test_names_of_labels_and_scales_of_numbers_move_nothing(items):
    names = {1: "wine", 2: "beer", 5: "tea", None: None}
    renamed = [tuple(names[label] for label in item) for item in items]
    assert krippendorff_alpha(renamed) == pytest.approx(krippendorff_alpha(items), abs=1e-9)
    moved = [tuple(None if label is None else 1e6 - 3 * label for label in item) for item in items]
    alpha = krippendorff_alpha(items, metric="interval")
    assert krippendorff_alpha(moved, metric="interval") == pytest.approx(alpha, abs=1e-6)
    assert alpha is None or alpha <= 1


@given(ITEMS)
@settings(max_examples=30)
def test_the_interval_holds_the_value(items):
    alpha = bootstrap_alpha(items, n_resamples=100, seed=3)
    if alpha is not None:
        assert alpha.value == pytest.approx(krippendorff_alpha(items))
        assert alpha.low <= alpha.value <= alpha.high <= 1 + 1e-9


def test_more_units_narrow_the_interval_and_repeated_prompts_do_not():
    items = items_of(FOUR_OBSERVERS)
    once = bootstrap_alpha(items, seed=0)
    often = bootstrap_alpha(items * 9, seed=0)
    repeated = bootstrap_alpha(items * 9, clusters=[str(i) for i in range(12)] * 9, seed=0)
    assert once is not None
    assert often is not None
    assert repeated is not None
    assert often.high - often.low < 0.5 * (once.high - once.low)
    assert repeated.high - repeated.low > 0.8 * (once.high - once.low)
    assert (once.n, often.n, repeated.n) == (11, 99, 11)
    with pytest.raises(DataError, match="clusters"):
        bootstrap_alpha(items, clusters=["p"], seed=0)


def test_judges_that_err_together_are_worth_one_and_independent_ones_their_number():
    assert effective_judges([(True,) * 9, (False,) * 9, (True,) * 9]) == pytest.approx(1.0)
    independent = [tuple(bool(bits >> j & 1) for j in range(4)) for bits in range(16)]
    assert effective_judges(independent) == pytest.approx(4.0)
    # Kish: k / (1 + (k - 1) rho), here of 3 judges of whom two are one
    twins = [(a, a, b) for a in (True, False) for b in (True, False)]
    assert effective_judges(twins) == pytest.approx(3 / (1 + 2 * (1 / 3)))


def test_judges_that_never_err_have_no_effective_number():
    assert effective_judges([]) is None
    assert effective_judges([(True, True)] * 5) is None
    assert effective_judges([(True, False), (False, True)]) is None  # their mean never moves: without end
    with pytest.raises(DataError, match="fewer judges"):
        effective_judges([(True, True), (True,)])
