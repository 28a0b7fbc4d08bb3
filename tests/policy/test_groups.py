"""Which answers of a step share their prompt, and which are computed together."""

import pytest

pytest.importorskip("torch")
import torch

from publius.policy.groups import Group, cut_groups, groups_of

# two prompts padded on the left, answers padded on the right
IDS = torch.tensor([[0, 7, 8, 5, 6, 0], [1, 2, 3, 9, 0, 0], [0, 7, 8, 4, 0, 0]])
MASK = torch.tensor([[0, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0]])


def test_answers_to_one_prompt_are_a_group() -> None:
    assert groups_of(IDS, MASK, 3) == [
        Group((1, 2, 3), ([9],), (1,)),
        Group((7, 8), ([4], [5, 6]), (2, 0)),
    ]
    assert [group.places for group in groups_of(IDS, MASK, 3, together=False)] == [(1,), (2,), (0,)]


def test_parts_hold_whole_groups_within_the_budget() -> None:
    groups = [
        Group((i,), tuple([1] * n for n in lengths), ()) for i, lengths in enumerate([[9, 9], [3], [4]])
    ]
    assert cut_groups(groups, budget=12) == [[groups[1], groups[2]], [groups[0]]]


def test_as_many_parts_as_the_other_processes_have() -> None:
    group = Group((1,), ([2], [3], [4]), (0, 1, 2))
    parts = cut_groups([group], budget=100, n_least=3)
    assert sorted(one.places for part in parts for one in part) == [(0,), (1,), (2,)]
    assert len(parts) == 3
    assert len(cut_groups([group], budget=100, n_least=9)) == 3
