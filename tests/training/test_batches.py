"""The order of training rows."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from publius.training.batches import cut_by_tokens, grouped_order


@given(
    st.lists(st.integers(1, 900), max_size=60),
    st.integers(1, 7),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_every_row_comes_once_an_epoch(lengths: list[int], batch_size: int, epochs: int, seed: int) -> None:
    order = grouped_order(lengths, batch_size=batch_size, epochs=epochs, seed=seed)
    assert Counter(order) == dict.fromkeys(range(len(lengths)), epochs)
    assert order == grouped_order(lengths, batch_size=batch_size, epochs=epochs, seed=seed)


def test_batches_are_of_like_length_and_not_in_order_of_length() -> None:
    lengths = [(i * 37) % 101 for i in range(64)]
    order = grouped_order(lengths, batch_size=8, epochs=1, seed=3)
    batches = [[lengths[i] for i in order[start : start + 8]] for start in range(0, 64, 8)]
    padded = sum(max(batch) * 8 for batch in batches)
    assert padded < 1.15 * sum(lengths)
    longest = [max(batch) for batch in batches]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))
    assert order != grouped_order(lengths, batch_size=8, epochs=1, seed=4)


def test_no_rows_no_order() -> None:
    assert grouped_order([], batch_size=4, epochs=2, seed=0) == []


@given(st.lists(st.integers(1, 900), max_size=24), st.integers(1, 2000), st.integers(1, 9))
def test_micro_batches_hold_every_row_once_within_the_budget(
    lengths: list[int], budget: int, n_least: int
) -> None:
    batches = cut_by_tokens(lengths, budget=budget, n_least=n_least)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget
    assert len(batches) >= min(n_least, len(lengths))


def test_micro_batches_are_the_best_cut() -> None:
    # worked by hand: all four in one take 4 · 100 + 64; the long one apart 3 · 20 + 100 + 2 · 64
    assert cut_by_tokens([20, 100, 20, 20], budget=1000) == [[0, 2, 3], [1]]
    assert cut_by_tokens([80, 100, 80, 80], budget=1000) == [[0, 2, 3, 1]]


def test_a_row_over_the_budget_is_alone() -> None:
    assert cut_by_tokens([50, 5000, 50], budget=100) == [[0, 2], [1]]
