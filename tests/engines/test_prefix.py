"""Prompts with a common beginning wait for the first of them, and only for that."""

from hypothesis import given
from hypothesis import strategies as st

from publius.engines.prefix import PrefixGate, block_keys

SHARED = list(range(64))


def keys(*tail: int) -> tuple[int, ...]:
    return block_keys([*SHARED, *tail], block_size=32)


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
    gate, first, second = PrefixGate(), keys(*[1] * 40), keys(*[2] * 40)
    assert gate.may_start(first)
    gate.start(first)
    assert not gate.may_start(second)
    gate.computed(first)
    assert gate.may_start(second)


def test_strangers_and_short_prompts_do_not_wait():
    gate = PrefixGate()
    gate.start(keys())
    assert gate.may_start(block_keys(list(range(500, 600)), block_size=32))
    assert gate.may_start(())


def test_a_longer_common_part_is_waited_for_too():
    gate = PrefixGate()
    gate.start(keys())
    gate.computed(keys())
    one, two = keys(*[7] * 32, 1), keys(*[7] * 32, 2)
    gate.start(one)
    assert not gate.may_start(two)
    assert gate.may_start(keys(*[8] * 32))


def test_an_abandoned_prompt_holds_nobody_up_and_teaches_nothing():
    gate, first, second = PrefixGate(), keys(*[1] * 40), keys(*[2] * 40)
    gate.start(first)
    gate.abandoned(first)
    assert gate.may_start(second)
    gate.start(second)
    assert not gate.may_start(first)
