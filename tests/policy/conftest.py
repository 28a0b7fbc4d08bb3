"""What the trainers of this room are given in tests."""

import pytest

from publius.records import Demonstration, Prompt, conversation

_PURPOSES = ("helpful", "red-team", "trait")


@pytest.fixture
def demonstrations() -> list[Demonstration]:
    return [
        Demonstration(f"d{i}", conversation(("user", f"Question {i}?")), "Yes, good.", "helpful", 0, None)
        for i in range(12)
    ]


@pytest.fixture
def prompts() -> list[Prompt]:
    return [
        Prompt(f"p{i}", _PURPOSES[i % 3], "kind", "train", conversation(("user", f"Question {i}?")))
        for i in range(12)
    ]
