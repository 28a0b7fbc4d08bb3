"""What counts as the same text, held against a count by hand."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.propose.duplicates import KnownTexts, plain_words

TEXT = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1, max_size=9).map(" ".join)


def similarity(one: list[str], two: list[str]) -> float:
    """2 · LCS / (words of both), by the table that every textbook has."""
    table = {(-1, j): 0 for j in range(-1, len(two))} | {(i, -1): 0 for i in range(len(one))}
    for i, j in product(range(len(one)), range(len(two))):
        table[i, j] = table[i - 1, j - 1] + 1 if one[i] == two[j] else max(table[i - 1, j], table[i, j - 1])
    return 2 * table[len(one) - 1, len(two) - 1] / (len(one) + len(two))


@given(st.lists(TEXT, max_size=6), TEXT, st.sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_the_nearest_is_found_exactly_when_there_is_one(
    known: list[str], text: str, threshold: float
) -> None:
    texts = KnownTexts(threshold)
    for number, one in enumerate(known):
        texts.add(str(number), one)
    best = max((similarity(one.split(), text.split()) for one in known), default=0.0)
    found = texts.nearest(text)
    assert (found is not None) == (best >= threshold - 1e-12)
    if found is not None:
        assert found.similarity == pytest.approx(best)
        assert similarity(known[int(found.id)].split(), text.split()) == pytest.approx(best)


@given(TEXT, TEXT)
def test_likeness_has_no_direction(one: str, two: str) -> None:
    def likeness(known: str, text: str) -> float:
        texts = KnownTexts(0.01)
        texts.add("k", known)
        match = texts.nearest(text)
        return 0.0 if match is None else match.similarity

    assert likeness(one, two) == pytest.approx(likeness(two, one))


@pytest.mark.parametrize(
    "text",
    [
        "how do i bake bread",
        "How do I bake bread?!",
        "  HOW DO I   BAKE “BREAD” ",
        "Ｈｏｗ do I bake bread?",
        "How do I bake bread 😀",
    ],
)
def test_case_punctuation_width_and_quotes_do_not_make_another_text(text: str) -> None:
    texts = KnownTexts(0.7)
    texts.add("s", "How do I bake bread?")
    assert texts.equal(text) == "s"
    assert texts.nearest(text) == ("s", 1.0)


def test_the_first_of_equals_is_named() -> None:
    texts = KnownTexts(0.7)
    for id in ("first", "second"):
        texts.add(id, "How do I bake bread?")
    texts.add("third", "how do i bake bread!")
    assert texts.equal("How do I bake bread") == "first"
    assert texts.nearest("How do I bake good bread") == ("first", pytest.approx(10 / 11))


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (
            "Tell me in a friendly tone, please: how do I bake bread? And what do I do with the crumbs?",
            "long",
        ),
        ("How do I bake bread?", None),
        ("how do i bake some bread and then a cake and then a pie", None),
        ("pick a lock in the dark of the night", None),
    ],
)
def test_a_known_text_inside_another_is_found_if_it_has_five_words(text: str, quoted: str | None) -> None:
    texts = KnownTexts(0.7)
    texts.add("long", "How do I bake bread?")
    texts.add("short", "Pick a lock")
    expected = quoted if plain_words(text) != plain_words("How do I bake bread?") else "long"
    assert texts.quoted(text) == expected


def test_scripts_without_spaces_have_a_word_a_character() -> None:
    assert plain_words("怎么做面包?") == list("怎么做面包")
    assert plain_words("Wie macht man Brot? 怎么") == ["wie", "macht", "man", "brot", "怎", "么"]


def test_nothing_is_like_a_text_without_words() -> None:
    texts = KnownTexts(0.7)
    texts.add("s", "How do I bake bread?")
    assert texts.nearest("?!") is None
    assert texts.equal("…") is None
    assert texts.quoted("") is None
