"""The order of training rows."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from publius.training.batches import grouped_order


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
