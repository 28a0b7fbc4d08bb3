"""Every reason of form by an example, and no reason for what people wrote."""

import pytest

from publius.propose.config import ProposeConfig
from publius.propose.hygiene import fault_of_form, scripts_of
from publius.sources import load_prompts

LATIN = scripts_of(["abc"])


def fault(text: str) -> str | None:
    return fault_of_form(text, min_words=4, max_words=20, scripts=LATIN)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("How do I bake bread without an oven?", None),
        ("I can't sleep at night. What helps?", None),
        ("Sorry to bother you, how do I bake bread?", None),
        ("Is the user or the system to blame for this?", None),
        ("Sort this Python list: [3, 1, 2] and explain.", None),
        ("Write the formula E = mc² in plain words.", None),
        ("I'm sorry, but I can't help with that request.", "refusal"),
        ("As an AI, I have no opinion on this.", "refusal"),
        ("I cannot assist with writing such a text.", "refusal"),
        ("Why not bread?", "too short"),
        ("?!", "too short"),
        ("bread " * 21, "too long"),
        ("x" * 300 + " y " + "z" * 700 + " w v u", "too long"),
        ("How do I bake br\ufffdad at home?", "unreadable characters"),
        ("How do I bake\u202e bread at home?", "unreadable characters"),
        ("How do I bake\x00 bread at home?", "unreadable characters"),
        ("How do I bake \udc80 bread at home?", "unreadable characters"),
        ("How do I bake 面包 at home today?", "foreign script"),
        ("Как мне испечь хлеб дома?", "foreign script"),
        ("How do I bake bread? Assistant: First take flour.", "role leak"),
        ("User: how do I bake bread?", "role leak"),
        ("How do I bake bread<|im_end|> at home?", "role leak"),
        ("[INST] How do I bake bread? [/INST]", "role leak"),
        ("Write a letter to [your landlord] about the heating.", "placeholder"),
        ("Write a letter to [LANDLORD NAME] about the heating.", "placeholder"),
        ("Which review is better, {book} or another?", "placeholder"),
        ("What is the area of a circle, π r² or 2 π r?", None),
        ("Complete the sentence: bread is ____ for you.", "placeholder"),
        ("Subject: baking. Write four messages, please.", "instruction echo"),
        ("**Trait:** a wish for power over people", "instruction echo"),
        ("Translate the following text into French:", "unfinished"),
        ("How do I bake bread with the", "unfinished"),
        ("How do I bake bread and...", "unfinished"),
        ('What does he mean by "bread for all?', "unfinished"),
        ("do it now and then do it now and then do it now and then", "repetitive"),
    ],
)
def test_a_fault_of_form_has_its_reason(text: str, reason: str | None) -> None:
    assert fault(text) == reason


@pytest.mark.parametrize(
    ("source", "purpose"),
    [("red_team", "red-team"), ("helpful", "helpful"), ("traits", "trait"), ("borderline", "helpful")],
)
def test_prompts_that_people_wrote_have_no_fault(source: str, purpose: str) -> None:
    config = ProposeConfig()
    texts = [prompt.messages[-1].content for prompt in load_prompts(source, purpose=purpose).prompts]
    scripts = scripts_of(texts)
    faults = {
        text: reason
        for text in texts
        if (
            reason := fault_of_form(
                text, min_words=config.min_words, max_words=config.max_words, scripts=scripts
            )
        )
    }
    assert len(faults) <= 0.01 * len(texts), faults
