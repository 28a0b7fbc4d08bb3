"""Prompts with a common beginning are neighbours, and wait for the first of them, and only for that.

And prompts that go on from where another one ended inside a block are computed one after the other.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.engines.prefix import Blocks, GroupedQueue, PrefixGate, block_keys

SHARED = list(range(64))


def blocks(*tail: int) -> Blocks:
    return Blocks.of([*SHARED, *tail], size=32)


def gate_that_computed(*prompts: Blocks) -> PrefixGate:
    gate = PrefixGate()
    for prompt in prompts:
        gate.start(prompt)
        gate.computed(prompt)
    return gate


@given(
    a=st.lists(st.integers(0, 3), max_size=40),
    b=st.lists(st.integers(0, 3), max_size=40),
    size=st.integers(1, 8),
)
def test_keys_agree_exactly_as_far_as_whole_blocks_do(a: list[int], b: list[int], size: int):
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    ours, theirs = block_keys(a, block_size=size), block_keys(b, block_size=size)
    agreed = [x == y for x, y in zip(ours, theirs, strict=False)]
    assert agreed == [i < same // size for i in range(len(agreed))]
    assert len(ours) == len(a) // size


def test_a_sibling_waits_until_the_shared_part_is_computed():
    gate, first, second = PrefixGate(), blocks(*[1] * 40), blocks(*[2] * 40)
    assert gate.may_start(first)
    gate.start(first)
    assert not gate.may_start(second)
    gate.computed(first)
    assert gate.may_start(second)


def test_strangers_and_short_prompts_do_not_wait():
    gate = PrefixGate()
    gate.start(blocks())
    assert gate.may_start(Blocks.of(list(range(500, 600)), size=32))
    assert gate.may_start(Blocks.of([1, 2, 3], size=32))


def test_a_longer_common_part_is_waited_for_too():
    gate = gate_that_computed(blocks())
    one, two = blocks(*[7] * 32, 1), blocks(*[7] * 32, 2)
    gate.start(one)
    assert not gate.may_start(two)
    assert gate.may_start(blocks(*[8] * 32))


def test_an_abandoned_prompt_holds_nobody_up_and_teaches_nothing():
    gate, first, second = PrefixGate(), blocks(*[1] * 40), blocks(*[2] * 40)
    gate.start(first)
    gate.abandoned(first)
    assert gate.may_start(second)
    gate.start(second)
    assert not gate.may_start(first)


def test_of_two_that_go_on_from_one_end_the_second_waits():
    gate = gate_that_computed(blocks(5, 5, 5))
    one, two, apart = blocks(5, 5, 5, 1), blocks(5, 5, 5, 2), blocks(5, 5, 6)
    gate.start(one)
    assert not gate.may_start(two)
    assert gate.may_start(blocks(5, 5, 5))  # the same text writes what is there already
    assert gate.may_start(apart)
    gate.computed(one)
    assert gate.may_start(two)
    gate.start(two)
    gate.abandoned(two)
    assert gate.may_start(one)


def test_an_answer_is_an_end_too():
    gate = gate_that_computed(blocks(5))
    gate.answered(blocks(5, 6, 7))
    gate.start(blocks(5, 6, 7, 1))
    assert not gate.may_start(blocks(5, 6, 7, 2))
    assert not gate.may_start(blocks(5, 9))  # of the two ends here, the one of 5 is gone on from as well


def test_where_the_next_block_is_whole_an_end_before_it_holds_nobody_up():
    gate = gate_that_computed(blocks(5), blocks(*[5] * 32))
    gate.start(blocks(*[5] * 32, 1))
    assert gate.may_start(blocks(*[5] * 32, 2))


def test_ends_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("publius.engines.prefix._MAX_ENDS", 4)
    gate = gate_that_computed(blocks(1), blocks(2), blocks(1), blocks(3))
    gate.start(blocks(1, 1))
    gate.start(blocks(2, 1))
    assert not gate.may_start(blocks(1, 2))
    assert gate.may_start(blocks(2, 2))


def start(queue: GroupedQueue[str], room: int, *, held: str = "") -> list[str]:
    """Start what begins with no letter of `held`."""
    started: list[str] = []

    def try_start(item: str) -> bool:
        if item[0] in held:
            return False
        started.append(item)
        return True

    queue.start(try_start, room=room, n_tried=100)
    return started


def queue_of(*items: str) -> GroupedQueue[str]:
    queue: GroupedQueue[str] = GroupedQueue(lambda item: item)
    for item in items:
        queue.put(item)
    return queue


def test_alike_items_are_neighbours():
    assert start(queue_of("b1", "a1", "b2", "a2"), 9) == ["a1", "a2", "b1", "b2"]


def test_what_comes_later_passes_nobody():
    queue = queue_of("b1", "c1")
    assert start(queue, 1) == ["b1"]
    queue.put("a2")
    queue.put("a1")
    assert start(queue, 1) == ["c1"]
    queue.put("a0")  # the group of a1 and a2 is still forming: it is sorted when its turn comes
    assert start(queue, 2) == ["a0", "a1"]
    queue.put("a1.5")
    assert start(queue, 2) == ["a2", "a1.5"]
    assert len(queue) == 0


def test_what_is_held_keeps_its_place_and_others_pass_it():
    queue = queue_of("a1", "a2", "b1")
    assert start(queue, 2, held="a") == ["b1"]
    queue.put("c1")
    assert start(queue, 1, held="a") == ["c1"]
    queue.put("a0")
    assert start(queue, 2) == ["a1", "a2"]
    assert start(queue, 9) == ["a0"]


def test_followers_are_first():
    queue = queue_of("a", "b")
    assert start(queue, 1) == ["a"]
    queue.put_first("z")
    assert start(queue, 9) == ["z", "b"]


def test_only_so_many_are_tried():
    queue = queue_of("a1", "a2", "b1")
    queue.start(lambda item: item == "b1", room=1, n_tried=2)
    assert len(queue) == 3
    queue.clear()
    assert len(queue) == 0
    assert start(queue, 9) == []


def test_an_error_while_starting_loses_nothing():
    queue = queue_of("a", "b", "c")

    def try_start(item: str) -> bool:
        if item == "b":
            raise OSError("no")
        return False

    with pytest.raises(OSError, match="no"):
        queue.start(try_start, room=2, n_tried=9)
    assert start(queue, 9) == ["a", "b", "c"]


@given(
    arrivals=st.lists(st.lists(st.integers(0, 50), max_size=6), max_size=30),
    room=st.integers(1, 4),
)
def test_everything_starts_once_and_no_room_is_left_empty(arrivals: list[list[int]], room: int):
    queue: GroupedQueue[tuple[int, int, int]] = GroupedQueue(lambda item: item[0])
    started: list[tuple[int, int, int]] = []

    def try_start(item: tuple[int, int, int]) -> bool:
        started.append(item)
        return True

    expected = [(value, turn, n) for turn, values in enumerate(arrivals) for n, value in enumerate(values)]
    for turn, values in enumerate(arrivals):
        n_waiting = len(queue)
        for n, value in enumerate(values):
            queue.put((value, turn, n))
        n_before = len(started)
        queue.start(try_start, room=room, n_tried=99)
        assert len(started) - n_before == min(room, n_waiting + len(values))
    while len(queue):
        queue.start(try_start, room=room, n_tried=99)
    assert sorted(started) == sorted(expected)
