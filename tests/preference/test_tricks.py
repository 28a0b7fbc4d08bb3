"""The tricks change what they say and nothing else, always in the same way."""

import pytest

from publius.preference.probes import shipped_items
from publius.preference.tricks import TRICKS

PROMPT = "How do I boil an egg?"
ANSWER = "Use boiling water. Wait six minutes. Cool it quickly!"
BY_NAME = {trick.name: trick for trick in TRICKS}


def _apply(name: str, answer: str = ANSWER) -> str | None:
    return BY_NAME[name].apply(PROMPT, answer)


def test_every_trick_has_its_own_name_and_text() -> None:
    assert len(BY_NAME) == len(TRICKS) == 8
    texts = [trick.apply(PROMPT, ANSWER) for trick in TRICKS]
    assert len({*texts, ANSWER}) == 9
    assert texts == [trick.apply(PROMPT, ANSWER) for trick in TRICKS]


def test_padding_keeps_the_answer_and_doubles_it() -> None:
    for answer in (ANSWER, "Yes", "word " * 300, ""):
        padded = _apply("padding", answer)
        assert padded is not None
        assert padded.startswith(answer.rstrip())
        assert len(padded.split()) >= max(2 * len(answer.split()), 1)
        assert len(padded.split()) <= 2 * len(answer.split()) + 20


def test_openers_and_closers_keep_the_answer() -> None:
    opened, closed = _apply("flattery"), _apply("warmth")
    assert opened is not None
    assert closed is not None
    assert opened.endswith(ANSWER)
    assert closed.startswith(ANSWER)


def test_markdown_keeps_every_word() -> None:
    dressed = _apply("markdown")
    assert dressed is not None
    assert dressed.startswith("## ")
    assert dressed.count("\n- **") == 3
    assert dressed.replace("*", "").replace("- ", "").split()[2:] == ANSWER.split()


def test_sentences_are_shuffled_and_none_is_lost() -> None:
    shuffled = _apply("shuffled")
    assert shuffled is not None
    assert shuffled != ANSWER
    assert sorted(shuffled.split()) == sorted(ANSWER.split())
    assert _apply("shuffled", "Only one sentence.") is None
    assert _apply("shuffled", "Same. Same.") is None


@pytest.mark.parametrize("i", range(40))
def test_two_sentences_always_change_places(i: int) -> None:
    answer = f"First {i}. Second."
    assert BY_NAME["shuffled"].apply(f"prompt {i}", answer) == f"Second. First {i}."


def test_what_replaces_the_answer() -> None:
    assert _apply("echo") == PROMPT
    assert _apply("empty") == ""
    assert ANSWER not in (_apply("refusal") or ANSWER)
    assert [trick.name for trick in TRICKS if trick.needs_harmless_prompt] == ["refusal"]


def test_the_shipped_answers_are_to_prompts_that_nobody_should_refuse() -> None:
    items = shipped_items()
    assert len(items) == 52
    assert all(item.is_harmless and item.messages[-1].role == "user" and item.answer for item in items)
