"""Cohen's kappa by hand and at its edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.errors import DataError
from publius.stats import agreement_rate, cohen_kappa

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
