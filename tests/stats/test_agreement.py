"""Cohen's kappa by hand, at its edges, and its interval."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publius.errors import DataError
from publius.stats import agreement_rate, bootstrap_kappa, cohen_kappa

LABELS = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("ABC")), min_size=1, max_size=50)


def test_kappa_of_the_textbook_table():
    # 20 both yes, 5 yes/no, 10 no/yes, 15 both no: observed 0.7, expected 0.5·0.6 + 0.5·0.4 = 0.5
    left = ["yes"] * 25 + ["no"] * 25
    right = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(left, right) == pytest.approx(0.4)
    observed = agreement_rate(left, right)
    assert (observed.value, observed.n) == (0.7, 50)


def test_kappa_at_its_edges():
    assert cohen_kappa("ABAB", "ABAB") == 1.0
    assert cohen_kappa("ABAB", "BABA") == -1.0
    assert cohen_kappa("AABB", "ABAB") == 0.0
    assert cohen_kappa("AB", "AA") == 0.0
    assert cohen_kappa("AAA", "AAA") is None


@given(LABELS)
def test_kappa_is_symmetric_bounded_and_blind_to_names(pairs):
    left, right = zip(*pairs, strict=True)
    kappa = cohen_kappa(left, right)
    assert cohen_kappa(right, left) == kappa
    assert cohen_kappa([ord(x) for x in left], [ord(x) for x in right]) == kappa
    assert kappa is None or -1 <= kappa <= 1


@pytest.mark.parametrize(("left", "right"), [("", ""), ("A", ""), ("AB", "A")])
def test_labels_that_do_not_pair_are_refused(left, right):
    for measure in (cohen_kappa, agreement_rate):
        with pytest.raises(DataError):
            measure(left, right)


def test_the_interval_of_kappa_holds_its_value_and_narrows_with_items():
    left, right = "AAAABBBBAB" * 4, "AAABBBBAAB" * 4
    few = bootstrap_kappa(left[:10], right[:10], seed=0)
    many = bootstrap_kappa(left, right, seed=0)
    assert few is not None
    assert many is not None
    assert many.value == few.value == cohen_kappa(left, right)
    assert few.low < many.low < many.value < many.high < few.high
    assert (few.n, many.n) == (10, 40)


def test_the_interval_of_kappa_agrees_with_its_large_sample_formula():
    # Fleiss, Cohen and Everitt 1969, for the table 20, 5, 10, 15: kappa 0.4, standard error 0.1270
    left = ["yes"] * 25 + ["no"] * 25
    right = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    kappa = bootstrap_kappa(left, right, seed=0)
    assert kappa is not None
    assert (kappa.high - kappa.low) / 2 == pytest.approx(1.96 * 0.127, rel=0.1)


def test_items_of_one_prompt_are_one_observation():
    left, right = "ABABABAA" * 2, "ABBBABAB" * 2
    alone = bootstrap_kappa(left, right, seed=0)
    grouped = bootstrap_kappa(left, right, clusters=[str(i % 8) for i in range(16)], seed=0)
    assert alone is not None
    assert grouped is not None
    assert (alone.n, grouped.n) == (16, 8)
    assert grouped.high - grouped.low > 1.2 * (alone.high - alone.low)


def test_kappa_without_spread_has_no_interval():
    assert bootstrap_kappa("AAA", "AAA", seed=0) is None
    assert bootstrap_kappa("AB", "AB", clusters=["p", "p"], seed=0) is None
    same = bootstrap_kappa("ABAB", "ABAB", seed=0)
    assert same is not None
    assert (same.low, same.value, same.high) == (1.0, 1.0, 1.0)
    with pytest.raises(DataError, match="clusters"):
        bootstrap_kappa("AB", "AB", clusters=["p"], seed=0)


@given(LABELS, st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_order_of_items_moves_no_interval(pairs, random):
    left, right = zip(*pairs, strict=True)
    shuffled = random.sample(pairs, len(pairs))
    first = bootstrap_kappa(left, right, n_resamples=100, seed=1)
    again = bootstrap_kappa(*zip(*shuffled, strict=True), n_resamples=100, seed=1)
    assert (first is None) == (again is None)
    if first is not None and again is not None:
        assert again.value == first.value
        assert first.low <= first.value <= first.high <= 1 + 1e-9
        assert (again.low, again.high) == pytest.approx((first.low, first.high))
