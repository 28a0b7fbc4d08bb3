"""Which prompts an RL run sees."""

from collections import Counter

import pytest

from publius.errors import DataError
from publius.policy.mix import draw_prompts
from publius.records import Prompt, conversation

WEIGHTS = {"helpful": 0.5, "red-team": 0.25, "trait": 0.25}


def _prompts(**counts: int) -> list[Prompt]:
    names = {"helpful": "helpful", "red": "red-team", "trait": "trait"}
    return [
        Prompt(f"{name}-{i}", names[name], "kind", "train", conversation(("user", "?")))
        for name, n in counts.items()
        for i in range(n)
    ]


def test_every_step_holds_the_shares() -> None:
    drawn = draw_prompts(_prompts(helpful=10, red=10, trait=10), weights=WEIGHTS, n=40, seed=0)
    for start in range(0, 40, 4):
        purposes = Counter(prompt.purpose for prompt in drawn[start : start + 4])
        assert purposes == {"helpful": 2, "red-team": 1, "trait": 1}


def test_an_absent_purpose_leaves_its_share_to_the_others() -> None:
    drawn = draw_prompts(_prompts(helpful=10, red=10), weights=WEIGHTS, n=30, seed=0)
    assert Counter(prompt.purpose for prompt in drawn) == {"helpful": 20, "red-team": 10}


def test_each_prompt_once_before_any_again() -> None:
    drawn = draw_prompts(_prompts(helpful=5), weights=WEIGHTS, n=12, seed=0)
    assert len({prompt.id for prompt in drawn[:5]}) == 5
    assert [prompt.id for prompt in drawn[5:10]] == [prompt.id for prompt in drawn[:5]]


def test_the_seed_decides_and_the_order_given_does_not() -> None:
    given = _prompts(helpful=10, red=10, trait=10)
    assert draw_prompts(given, weights=WEIGHTS, n=20, seed=1) == draw_prompts(
        given[::-1], weights=WEIGHTS, n=20, seed=1
    )
    assert draw_prompts(given, weights=WEIGHTS, n=20, seed=1) != draw_prompts(
        given, weights=WEIGHTS, n=20, seed=2
    )


def test_no_prompt_with_a_weight() -> None:
    with pytest.raises(DataError, match="none of 3 prompts"):
        draw_prompts(_prompts(trait=3), weights={"helpful": 1.0, "trait": 0.0}, n=4, seed=0)
