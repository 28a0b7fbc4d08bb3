"""The measures of diversity against plain definitions, their bounds, and what has no number."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from publius.errors import DataError
from publius.records import Comparison, conversation
from publius.stats.diversity import (
    centred,
    compression_ratio,
    edit_distance,
    measure_diversity,
    self_bleu,
    token_distance,
)

_text = st.lists(st.sampled_from(["a", "b", "c", "dog", "No,", "…"]), max_size=8).map(" ".join)


def pair(prompt: int, a: str, b: str, sources: tuple[str, str] = ("m", "m"), id: str = "") -> Comparison:
    messages = conversation(("user", f"Question {prompt}?"))
    return Comparison(id or f"c{prompt}{a}{b}", f"p{prompt}", messages, a, b, *sources)


# --- two texts ----------------------------------------------------------------------------------------


@given(_text, _text)
def test_distances_are_symmetric_bounded_and_zero_for_the_same_words(a: str, b: str) -> None:
    for distance in (token_distance, edit_distance):
        found = distance(a, b)
        assert found == distance(b, a)
        assert found is None or 0 <= found <= 1
        assert distance(a, a) in (0.0, None)
        assert (found is None) == (not any(char.isalnum() for char in a + b))


def test_order_counts_for_edits_and_not_for_tokens() -> None:
    assert token_distance("to be or not", "not or be to") == 0
    assert edit_distance("to be or not", "not or be to") == 1.0
    assert token_distance("a a a", "a") == pytest.approx(1 - 2 / 4)  # how often counts
    assert token_distance("", "word") == edit_distance("", "word") == 1.0


@given(_text, _text)
def test_the_edit_distance_is_levenshtein_s_over_words(a: str, b: str) -> None:
    from publius.stats.text import words

    left, right = words(a), words(b)
    rows = [list(range(len(right) + 1))]
    for i, one in enumerate(left, 1):
        rows.append([i])
        for j, other in enumerate(right, 1):
            rows[i].append(min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (one != other)))
    longer = max(len(left), len(right))
    expected = rows[-1][-1] / longer if longer else None
    assert edit_distance(a, b) == (None if expected is None else pytest.approx(expected))


# --- several texts ------------------------------------------------------------------------------------


def test_self_bleu_by_hand() -> None:
    # precisions of the first: 3/4 words, (2 + 1)/(3 + 1), (1 + 1)/(2 + 1), (0 + 1)/(1 + 1); same length
    first = math.exp((math.log(3 / 4) + math.log(3 / 4) + math.log(2 / 3) + math.log(1 / 2)) / 4)
    assert self_bleu(["a b c d", "a b c e"]) == pytest.approx(first)
    short = math.exp(1 - 4 / 2)  # "a b" against a text twice as long
    long = math.exp((math.log(2 / 4) + math.log(2 / 4) + math.log(1 / 3) + math.log(1 / 2)) / 4)
    assert self_bleu(["a b", "a b c d"]) == pytest.approx((short + long) / 2)


def test_self_bleu_takes_the_best_of_the_others() -> None:
    assert self_bleu(["a b c d", "a b c d", "w x y z"]) == pytest.approx(2 / 3)
    assert self_bleu(["only one"]) is self_bleu(["one", "…", ""]) is None


def test_what_repeats_compresses() -> None:
    varied = ["The cat sat on the mat.", "Why do tides follow the moon?"]
    ratio, repeated = compression_ratio(varied), compression_ratio(varied[:1] * 9)
    assert ratio is not None
    assert repeated is not None
    assert ratio < repeated
    assert compression_ratio([]) is compression_ratio([""]) is None


# --- vectors ------------------------------------------------------------------------------------------


def test_centring_takes_the_common_direction_away() -> None:
    vectors = np.array([[100.0, 1.0], [100.0, -1.0], [100.0, 0.0]])
    assert centred(vectors).tolist() == [[0.0, 1.0], [0.0, -1.0], [0.0, 0.0]]


def embed_first_letter(texts: Sequence[str]) -> NDArray[np.float64]:
    """A meaning for tests: texts of one first letter say the same."""
    return np.array([[100.0, *(float(text[0] == letter) for letter in "abcd")] for text in texts])


def test_form_and_content_are_told_apart() -> None:
    reworded = [pair(i, f"{letter} one two", f"{letter} three four") for i, letter in enumerate("abcd")]
    unrelated = [pair(i + 9, "a one two", f"{letter} one two", ("n", "n")) for i, letter in enumerate("bcd")]
    form, content = measure_diversity([*reworded, *unrelated], embed=embed_first_letter, seed=0).pairs
    figures = [(one.figures["token_distance"], one.figures["semantic_distance"]) for one in (form, content)]
    assert all(estimate is not None for own in figures for estimate in own)
    (form_words, form_meaning), (content_words, content_meaning) = (
        [estimate.value for estimate in own if estimate is not None] for own in figures
    )
    assert (form_meaning, form_words) == (pytest.approx(0.0), pytest.approx(2 / 3))
    assert content_meaning > 1 > form_words > content_words


@pytest.mark.parametrize("shape", [(1, 3), (2,), (3, 3)])
def test_embeddings_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="embeddings of 2 texts"):
        measure_diversity([pair(1, "x", "y")], embed=lambda texts: np.ones(shape), seed=0)
    with pytest.raises(DataError, match="not finite"):
        measure_diversity([pair(1, "x", "y")], embed=lambda texts: np.full((2, 2), np.nan), seed=0)


# --- groups and intervals -----------------------------------------------------------------------------


def test_pairs_are_grouped_by_their_sources_whichever_is_a() -> None:
    pairs = [pair(1, "x", "y", ("hot", "cold")), pair(2, "x", "z", ("cold", "hot")), pair(3, "x", "y")]
    found = measure_diversity(pairs, seed=0).pairs
    assert [(one.source, one.n_prompts, one.n_samples) for one in found] == [
        ("cold against hot", 2, 2.0),
        ("m", 1, 2.0),
    ]
    assert set(found[1].figures.values()) == {None}  # one prompt has no interval


def test_samples_are_the_different_answers_of_a_source_to_a_prompt() -> None:
    texts = ["red fox", "red hen", "blue hen"]
    pairs = [pair(prompt, a, b, id=a + b) for prompt in (1, 2) for a, b in combinations(texts, 2)]
    alone = [pair(3, "red fox", "grey hen", ("m", "other"))]
    (found,) = measure_diversity([*pairs, *alone], seed=0).samples
    assert (found.source, found.n_prompts, found.n_samples, found.words) == ("m", 2, 3.0, 2.0)
    distance, distinct = found.figures["token_distance"], found.figures["distinct_1"]
    assert distance is not None
    assert distinct is not None
    assert (distance.value, distance.n) == (pytest.approx((0.5 + 1 + 0.5) / 3), 2)
    assert distinct.value == pytest.approx(4 / 6)


def test_intervals_are_over_prompts_and_the_order_changes_nothing() -> None:
    answers = ["one two", "one three", "four five", "one two six"]
    pairs = [pair(i % 6, a, b, id=f"{i}") for i, (a, b) in enumerate(combinations(answers * 2, 2)) if a != b]
    found = measure_diversity(pairs, seed=3).pairs
    assert found == measure_diversity(pairs[::-1], seed=3).pairs
    estimate = found[0].figures["edit_distance"]
    assert estimate is not None
    assert estimate.n == found[0].n_prompts == 6
    assert estimate.low <= estimate.value <= estimate.high


def test_no_pairs_give_no_groups() -> None:
    assert measure_diversity([], embed=embed_first_letter, seed=0).pairs == ()
    assert measure_diversity([pair(1, "x", "y", ("m", "n"))], seed=0).samples == ()
