"""Agreement among judges: who is compared on what, and what must not move a number."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publius.errors import DataError
from publius.stats import cohen_kappa, krippendorff_alpha, measure_panel
from publius.stats.panel import share_of, verdict_of

LEFT = {"1": 0.9, "2": 0.2, "3": 0.7, "4": 0.4, "5": 0.5}
RIGHT = {"1": 0.8, "2": 0.6, "3": 0.9, "4": 0.1, "6": 0.9}
PROMPTS = {str(i): f"p{i}" for i in range(10)}
LABELS = st.dictionaries(st.sampled_from("123456789"), st.sampled_from([0.1, 0.4, 0.5, 0.8]), max_size=9)


def test_two_judges_are_compared_on_what_both_labelled():
    panel = measure_panel({"left": LEFT, "right": RIGHT}, prompts=PROMPTS)
    assert panel is not None
    (pair,) = panel.pairs
    assert (pair.left, pair.right, pair.agreement.value, pair.agreement.n) == ("left", "right", 0.75, 4)
    assert pair.kappa is not None
    assert pair.kappa.value == cohen_kappa("ABAB", "AAAB")
    assert panel.n == 4
    assert panel.alpha_verdicts is not None
    assert panel.alpha_verdicts.value == pytest.approx(krippendorff_alpha(["AA", "BA", "AA", "BB"]))
    assert panel.alpha_labels is not None
    both = [(LEFT[id], RIGHT[id]) for id in "1234"]
    assert panel.alpha_labels.value == pytest.approx(krippendorff_alpha(both, metric="interval"))
    assert (panel.effective, panel.n_effective) == (None, 0)


def test_the_worth_of_judges_needs_people():
    people = {"1": 1.0, "2": 0.0, "3": 0.0, "4": 0.0, "5": 1.0}
    panel = measure_panel({"left": LEFT, "right": RIGHT}, prompts=PROMPTS, people=people)
    assert panel is not None
    assert panel.n_effective == 4
    # right in 1, 2, 4 and in 1, 4: variances 3/16 and 4/16, that of the mean 11/64
    assert panel.effective == pytest.approx((7 / 32) / (11 / 64))


def test_judges_without_anything_in_common_agree_on_nothing():
    assert measure_panel({"left": {"1": 0.9}, "right": {"2": 0.9}}, prompts=PROMPTS) is None
    assert measure_panel({"left": LEFT}, prompts=PROMPTS) is None
    assert measure_panel({}, prompts=PROMPTS) is None
    with pytest.raises(DataError, match="no prompt"):
        measure_panel({"left": {"x": 0.9}}, prompts=PROMPTS)


def test_comparisons_of_one_prompt_widen_the_interval():
    labels = {"left": LEFT | {"5": 0.9}, "right": RIGHT | {"5": 0.1}}
    alone = measure_panel(labels, prompts=PROMPTS)
    grouped = measure_panel(labels, prompts=dict.fromkeys(PROMPTS, "p") | {"1": "q"})
    assert alone is not None
    assert grouped is not None
    assert (alone.pairs[0].agreement.n, grouped.pairs[0].agreement.n) == (5, 2)


@given(LABELS, LABELS, LABELS, st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_neither_names_nor_order_move_a_number(a, b, c, random):
    def numbers(panel):
        if panel is None:
            return None
        alphas = [one and one.value for one in (panel.alpha_verdicts, panel.alpha_labels)]
        shares = {frozenset((pair.left, pair.right)): pair.agreement.value for pair in panel.pairs}
        return panel.n, *alphas, panel.effective, sorted(shares.values())

    people = dict.fromkeys(PROMPTS, 1.0)
    panel = measure_panel({"a": a, "b": b, "c": c}, prompts=PROMPTS, people=people)
    shuffled = {
        name: dict(random.sample(list(own.items()), len(own))) for name, own in (("z", c), ("y", a), ("x", b))
    }
    again = measure_panel(shuffled, prompts=PROMPTS, people=people, with_kappa=False)
    first, second = numbers(panel), numbers(again)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert second[:1] == first[:1]
        assert second[1:4] == pytest.approx(first[1:4])
        assert second[4] == pytest.approx(first[4])


def test_the_interval_of_kappa_is_the_same_either_way_round():
    a = dict(zip(PROMPTS, (0.9, 0.8, 0.2, 0.7, 0.5), strict=False))
    b = dict(zip(PROMPTS, (0.9, 0.1, 0.2, 0.3, 0.6), strict=False))
    panels = (measure_panel(labels, prompts=PROMPTS) for labels in ({"a": a, "b": b}, {"b": b, "a": a}))
    kappas = [panel.pairs[0].kappa for panel in panels if panel is not None]
    assert kappas[0] is not None
    assert kappas[0] == kappas[1]


def test_one_half_is_no_side_whatever_rounding_makes_of_it():
    assert verdict_of((0.3 + (1 - 0.3)) / 2) == verdict_of((0.1 + 0.2 + 0.7) / 2) == ""
    assert verdict_of(0.500001) == "A"


def test_a_share_without_outcomes_is_absent():
    assert share_of([], []) is None
    assert share_of([True] * 4, ["p"] * 4).n == 1
