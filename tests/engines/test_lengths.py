"""Static batches: within their bounds, of similar lengths, and nobody is left waiting."""

import random

from hypothesis import given
from hypothesis import strategies as st

from publius.engines.lengths import LengthQueue, Size, batches

SIZES = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 40)), max_size=60)


def queue_of(sizes: list[tuple[int, int]], *, turn: int = 0, seed: int = 0) -> LengthQueue[str]:
    queue: LengthQueue[str] = LengthQueue(max_tokens=300, max_rows=12)
    rows = [(f"{index:03}", Size(*size)) for index, size in enumerate(sizes)]
    for id, size in random.Random(seed).sample(rows, k=len(rows)):
        queue.put(id, size, id=id, turn=turn)
    return queue


def drained(queue: LengthQueue[str]) -> list[list[str]]:
    found: list[list[str]] = []
    while batch := queue.take():
        found.append(batch)
    return found


@given(sizes=SIZES, seed=st.integers(0, 99))
def test_what_came_together_makes_the_same_batches_in_any_order(sizes: list[tuple[int, int]], seed: int):
    found = drained(queue_of(sizes, seed=seed))
    assert found == drained(queue_of(sizes, seed=seed + 1))
    ordered = sorted(sizes)
    parts = batches(ordered, max_tokens=300, max_rows=12)
    assert [sorted(sizes[int(id)] for id in batch) for batch in found] == [ordered[part] for part in parts]


@given(sizes=st.lists(st.tuples(st.integers(1, 200), st.integers(0, 40)), min_size=1, max_size=30))
def test_the_oldest_are_served_while_others_keep_coming(sizes: list[tuple[int, int]]):
    queue = queue_of(sizes)
    left = {f"{index:03}" for index in range(len(sizes))}
    for turn in range(1, len(sizes) + 1):
        for n in range(20):  # more than a batch, of all lengths
            queue.put(f"new {turn} {n}", Size(10 * n + 1, 5), id=f"new {turn} {n}", turn=turn)
        if left:
            assert queue.oldest == 0
            batch = set(queue.take())
            assert batch & left
            left -= batch
    assert not left


def test_later_ones_fill_a_batch_up():
    queue = queue_of([(20, 5)])
    queue.put("like it", Size(22, 5), id="like it", turn=1)
    queue.put("longer", Size(150, 5), id="longer", turn=1)
    assert queue.take() == ["000", "like it"]
    assert queue.take() == ["longer"]
    assert queue.take() == []
    assert queue.oldest is None


def test_cleared_is_empty():
    queue = queue_of([(20, 5), (30, 5)])
    queue.clear()
    assert queue.take() == []


def test_batches_keep_within_tokens_and_rows():
    sizes = sorted([(n % 37 + 1, n % 11) for n in range(200)])
    parts = list(batches(sizes, max_tokens=300, max_rows=12))
    covered = [row for part in parts for row in range(part.start, part.stop)]
    assert covered == list(range(200))
    for part in parts:
        rows = sizes[part]
        assert len(rows) <= 12
        assert len(rows) * (max(p for p, _ in rows) + max(a for _, a in rows)) <= 300


def test_a_row_over_the_bound_is_a_batch_of_its_own():
    assert list(batches([(5000, 5), (5000, 5)], max_tokens=100, max_rows=8)) == [slice(0, 1), slice(1, 2)]
    assert list(batches([], max_tokens=100, max_rows=8)) == []
