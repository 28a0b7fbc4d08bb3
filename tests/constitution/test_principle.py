"""Hashes, subsets, draws, differences and the terminal rendering."""

from collections import Counter
from dataclasses import replace

import pytest

from publius.constitution import Constitution, draw_principle, draw_principles, load_constitution
from publius.constitution.diff import Change, diff
from publius.constitution.principle import Principle, principle_from
from publius.constitution.show import escape_controls, show
from publius.errors import DataError


def make(*principles: Principle) -> Constitution:
    return Constitution("made", "1.2.3", "Made up", "For tests.", "", principles)


def rule(id: str, *, weight: float = 1.0, sets: tuple[str, ...] = ()) -> Principle:
    return principle_from(id, f"The assistant should do {id}.", forms={}, weight=weight, sets=sets)


ABC = make(rule("a"), rule("b", weight=2.0, sets=("x",)), rule("c", weight=5.0, sets=("x", "y")))

# 0.999 quantiles of the chi-squared distribution, by degrees of freedom.
CHI_SQUARED_999 = {2: 13.82, 15: 37.70}


def test_the_hash_of_a_principle_covers_what_models_see() -> None:
    one = rule("a")
    assert one.hash == replace(one, id="z", weight=3.0, sets=("x",)).hash
    for form in ("statement", "critique", "revision", "comparison"):
        assert one.hash != replace(one, **{form: "Other."}).hash


def test_the_hash_of_a_constitution_covers_principles_and_no_names() -> None:
    assert ABC.hash == replace(ABC, name="other", version="9.0.0", title="", description="", source="s").hash
    assert ABC.hash != replace(ABC, principles=ABC.principles[:2]).hash
    heavier = replace(ABC.principles[0], weight=1.5)
    assert ABC.hash != replace(ABC, principles=(heavier, *ABC.principles[1:])).hash
    assert (
        ABC.hash == replace(ABC, principles=(replace(ABC.principles[0], weight=1), *ABC.principles[1:])).hash
    )


def test_subset_and_principle_by_name() -> None:
    subset = ABC.subset("x")
    assert [principle.id for principle in subset.principles] == ["b", "c"]
    assert subset.name == "made.x"
    assert ABC.sets == ("x", "y")
    assert ABC.principle("c").weight == 5.0
    with pytest.raises(DataError, match="no set 'z' in the constitution 'made'"):
        ABC.subset("z")
    with pytest.raises(DataError, match="no principle 'd'"):
        ABC.principle("d")
    with pytest.raises(DataError, match="there are no sets"):
        make(rule("a")).subset("x")


# --- Draws -------------------------------------------------------------------------------------------


def chi_squared(counts: Counter[str], expected: dict[str, float]) -> float:
    return sum((counts[id] - n) ** 2 / n for id, n in expected.items())


def test_draws_follow_the_weights() -> None:
    counts = Counter(draw_principle(ABC, seed=seed).id for seed in range(10_000))
    expected = {"a": 1250.0, "b": 2500.0, "c": 6250.0}
    assert chi_squared(counts, expected) < CHI_SQUARED_999[2]


def test_draws_of_equal_weight_are_uniform() -> None:
    harmlessness = load_constitution("harmlessness")
    counts = Counter(draw_principle(harmlessness, seed=seed).id for seed in range(10_000))
    expected = {principle.id: 10_000 / 16 for principle in harmlessness.principles}
    assert chi_squared(counts, expected) < CHI_SQUARED_999[15]


def test_two_draws_follow_the_weights_without_replacement() -> None:
    counts = Counter(
        "".join(principle.id for principle in draw_principles(ABC, k=2, seed=seed)) for seed in range(10_000)
    )
    # P(first) · P(second | the first is gone), with weights 1, 2 and 5.
    expected = {
        first + second: 10_000 * w1 / 8 * w2 / (8 - w1)
        for first, w1 in (("a", 1), ("b", 2), ("c", 5))
        for second, w2 in (("a", 1), ("b", 2), ("c", 5))
        if first != second
    }
    assert sum(counts.values()) == pytest.approx(sum(expected.values()))
    assert chi_squared(counts, expected) < 20.52  # 5 degrees of freedom


def test_draws_are_the_same_for_the_same_seed_and_any_order_of_the_file() -> None:
    turned = replace(ABC, principles=ABC.principles[::-1])
    for seed in range(200):
        assert draw_principles(ABC, k=3, seed=seed) == draw_principles(turned, k=3, seed=seed)


def test_a_new_principle_moves_only_the_draws_that_it_wins() -> None:
    more = replace(ABC, principles=(*ABC.principles, rule("d")))
    moved = 0
    for seed in range(2000):
        before, after = draw_principle(ABC, seed=seed).id, draw_principle(more, seed=seed).id
        assert after in (before, "d")
        moved += after == "d"
    assert 150 < moved < 300  # one in nine


def test_an_edited_text_moves_no_draw() -> None:
    edited = replace(ABC, principles=(replace(ABC.principles[0], statement="Other."), *ABC.principles[1:]))
    for seed in range(200):
        assert draw_principle(ABC, seed=seed).id == draw_principle(edited, seed=seed).id


@pytest.mark.parametrize("k", [0, -1, 4])
def test_too_many_or_no_draws_are_refused(k: int) -> None:
    with pytest.raises(DataError, match="ask for 1 to 3"):
        draw_principles(ABC, k=k, seed=0)


def test_all_draws_are_a_permutation() -> None:
    assert {principle.id for principle in draw_principles(ABC, k=3, seed=1)} == {"a", "b", "c"}


# --- Differences ------------------------------------------------------------------------------------


def test_diff_names_what_changed() -> None:
    edited = principle_from(
        "b", "The assistant should do b.", forms={"critique": "Find b."}, weight=3.0, sets=("x", "z")
    )
    new = make(rule("d"), rule("c", weight=5.0, sets=("x", "y")), edited)
    change = diff(ABC, new)
    assert [principle.id for principle in change.added] == ["d"]
    assert [principle.id for principle in change.removed] == ["a"]
    assert change.n_unchanged == 1
    assert change.changed == (
        Change("b", "critique", ABC.principle("b").critique, "Find b."),
        Change("b", "weight", "2.0", "3.0"),
        Change("b", "sets", "x", "x, z"),
    )
    assert not change.is_empty


def test_a_changed_statement_changes_its_derived_forms() -> None:
    new = make(principle_from("a", "The assistant should do better.", forms={}), *ABC.principles[1:])
    assert [change.form for change in diff(ABC, new).changed] == [
        "statement",
        "critique",
        "revision",
        "comparison",
    ]


def test_no_difference_is_empty_whatever_the_order() -> None:
    change = diff(ABC, replace(ABC, principles=ABC.principles[::-1], name="other"))
    assert change.is_empty
    assert change.n_unchanged == 3


# --- Rendering --------------------------------------------------------------------------------------


def test_show_marks_derived_forms() -> None:
    text = show(
        make(principle_from("a", "Be kind.", forms={"critique": "Find it."}, weight=2.5, sets=("m",)))
    )
    assert text.startswith("Made up (made 1.2.3)\nFor tests.\n1 principle, sha256:")
    assert "1. a  [weight 2.5; sets: m]\n   Be kind.\n" in text
    assert "   critique request:\n      Find it.\n" in text
    assert "   revision request (derived):\n" in text
    assert "   comparison question (derived):\n" in text


def test_show_lets_no_text_control_the_terminal() -> None:
    hostile = "red\x1b[31m \x07 \u202eback \u2066 \ud800 \x9b2J\r"
    text = show(replace(make(principle_from("a", hostile, forms={})), title=hostile, description=hostile))
    assert text.isascii() or not any(character in text for character in "\x1b\x07\u202e\u2066\ud800\x9b\r")
    text.encode("utf-8")
    assert "\\x1b[31m" in text
    assert "\\u202eback" in text


def test_escape_keeps_lines_and_letters() -> None:
    assert escape_controls("naïve\nनमस्ते 👩\u200d🔬") == "naïve\nनमस्ते 👩\u200d🔬"
