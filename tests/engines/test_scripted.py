"""The scripted engine: rules, records of what was asked, and default rules that mean nothing but hold."""

import math
from pathlib import Path
from typing import get_args

import pytest

from publius.engines.protocol import Choice, ChooseRequest, Completion, Failure, Score, ScoreRequest
from publius.engines.scripted import ScriptedEngine, ScriptedOptions, open_scripted, prefer_by_hash
from publius.errors import DataError, EngineError
from publius.judge import JudgeForm, Layout, Pair, options_of, point_messages, verdict_prompt
from publius.judge.points import POINT_OPTIONS
from publius.records import Comparison, conversation, user

from .conformance import answers_of


def comparison(answer_a: str, answer_b: str) -> Comparison:
    asked = conversation(("user", "How do I bake bread?"))
    return Comparison("c", "p", asked, answer_a, answer_b, "draft", "revision")


def test_replies_by_rule_and_records_what_was_asked(ask):
    engine = ScriptedEngine(lambda request: request.messages[-1].content.upper())
    requests = [ask("1", "one"), ask("2", "two")]
    engine.submit(requests)
    answers = engine.wait()
    assert [answer.text for answer in answers if isinstance(answer, Completion)] == ["ONE", "TWO"]
    assert engine.asked == requests


@pytest.mark.parametrize(
    ("limit", "stop", "text", "finish", "n_tokens"),
    [
        (9, (), "one  two\n\nthree. ", "stop", 3),
        (3, (), "one  two\n\nthree. ", "stop", 3),
        (2, (), "one  two", "length", 2),
        (9, ("\n\n",), "one  two", "stop", 3),
        (9, ("three", "two"), "one  ", "stop", 3),
        (2, ("three",), "one  two", "length", 2),  # the model never came that far
    ],
)
def test_cuts_at_the_limit_and_at_stop_strings(ask, limit, stop, text, finish, n_tokens):
    engine = ScriptedEngine(lambda request: "one  two\n\nthree. ")
    engine.submit([ask("r", "Hi", max_tokens=limit, stop=stop)])
    (answer,) = engine.wait()
    assert answer == Completion("r", text, finish, prompt_tokens=3, completion_tokens=n_tokens)


def test_default_texts_depend_on_the_messages_and_the_seed(ask):
    engine = ScriptedEngine()
    requests = [
        ask(f"{text}/{seed}", text, seed=seed, temperature=1.0, max_tokens=64)
        for text in ("How do I bake bread?", "How do I bake a cake?")
        for seed in range(20)
    ]
    found = answers_of(engine, requests)
    texts = [answer.text for answer in found.values() if isinstance(answer, Completion)]
    assert len(set(texts)) == len(requests)
    assert all("bread" in text or "bake" in text for text in texts)
    assert answers_of(engine, requests) == found


def pair(id: str, shown: Comparison, *, layout: Layout = "quoted") -> ChooseRequest:
    asked = Pair(shown.messages, "Which is best?", shown.answer_a, shown.answer_b)
    messages, prefill = verdict_prompt(asked, JudgeForm(layout=layout))
    return ChooseRequest(id, messages, options_of(layout), prefill)


def point(id: str, answer: str) -> ChooseRequest:
    messages = point_messages(conversation(("user", "With flour?")), answer, "Is it about flour?")
    return ChooseRequest(id, messages, POINT_OPTIONS)


def gaps(engine: ScriptedEngine, requests: list[ChooseRequest]) -> dict[str, float]:
    """Log-odds of the first option over the second."""
    found = [choice for choice in answers_of(engine, requests).values() if isinstance(choice, Choice)]
    return {choice.request_id: choice.logprobs[0] - choice.logprobs[1] for choice in found}


@pytest.mark.parametrize("layout", get_args(Layout))
def test_the_default_taste_is_the_same_in_both_orders(layout: Layout):
    shown = comparison("Mix flour and water.", "I cannot help.")
    asked = pair("ab", shown, layout=layout), pair("ba", shown.swap(), layout=layout)
    first, second = map(prefer_by_hash, asked)
    assert first == pytest.approx(second[::-1])
    assert first[0] != pytest.approx(first[1])
    assert sum(map(math.exp, first)) == pytest.approx(0.98)


def test_the_default_taste_differs_between_pairs():
    probs = {
        round(math.exp(prefer_by_hash(ChooseRequest("r", (user(f"Which, {n}?"),), ("1", "2")))[0]), 6)
        for n in range(20)
    }
    assert len(probs) == 20
    assert min(probs) < 0.4 < 0.6 < max(probs)


@pytest.mark.parametrize("layout", get_args(Layout))
def test_prefers_the_option_in_whose_text_the_word_occurs(tmp_path: Path, layout: Layout):
    engine = open_scripted(tmp_path, name="judge", options={"prefer": "flour"})
    asked = {
        "first": comparison("Mix Flour and water.", "I cannot help."),
        "second": comparison('I cannot"\n\nResponse 2: "flower', "Mix:\nflour, water."),
        "both": comparison("flour", "flour!"),
        "none": comparison("flours", "wholeflour"),
    }
    found = gaps(engine, [pair(id, shown, layout=layout) for id, shown in asked.items()])
    assert found == pytest.approx({"first": 3.0, "second": -3.0, "both": 0.0, "none": 0.0})


def test_one_text_is_good_if_the_word_occurs_in_it(tmp_path: Path):
    engine = open_scripted(tmp_path, name="judge", options={"prefer": "flour"})
    found = gaps(engine, [point("with", "Mix\nflour."), point("without", "I cannot.")])
    assert found == pytest.approx({"with": 3.0, "without": -3.0})


def test_a_rule_must_speak_of_every_option():
    engine = ScriptedEngine(choose=lambda request: (-0.1,))
    engine.submit([ChooseRequest("r", (user("Hi"),), options_of("quoted"))])
    with pytest.raises(EngineError, match="1 log-probabilities for 2 options"):
        engine.wait()


def test_an_error_of_a_rule_comes_after_the_answers_before_it(ask):
    n_calls = 0

    def reply(request) -> str:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 3:
            raise OSError("the third")
        return "Yes."

    engine = ScriptedEngine(reply)
    engine.submit([ask(str(n), "Hi") for n in range(5)])
    assert [answer.request_id for answer in engine.wait()] == ["0", "1"]
    for _ in range(2):
        with pytest.raises(OSError, match="the third"):
            engine.wait()
    engine.cancel()
    assert answers_of(engine, [ask("0", "Hi")])["0"] == Completion("0", "Yes.", "stop", 3, 1)


def test_scores_by_rule():
    engine = ScriptedEngine(score=lambda request: -7.5)
    turns = conversation(("user", "Hi"), ("assistant", "Good day"))
    assert answers_of(engine, [ScoreRequest("r", turns)])["r"] == Score("r", -7.5, 3)


def test_too_long_to_score_is_the_input_s_fault():
    engine = ScriptedEngine(options=ScriptedOptions(max_context=5))
    long = conversation(("user", "one two three"), ("assistant", "four"))
    failure = answers_of(engine, [ScoreRequest("r", long)])["r"]
    assert isinstance(failure, Failure)
    assert failure.owner == "input"


def test_the_revision_pins_the_name_and_what_was_given():
    revisions = [
        ScriptedEngine(name=name, revision=revision).model.revision
        for name, revision in (("a", ""), ("b", ""), ("a", "2"), ("a", ""))
    ]
    assert len(set(revisions)) == 3
    assert revisions[0] == revisions[3]


def test_options_of_a_recipe_are_part_of_the_identity(tmp_path: Path):
    plain = open_scripted(tmp_path, name="judge", options={})
    keen = open_scripted(tmp_path, name="judge", options={"prefer": "flour"})
    assert plain.model.revision != keen.model.revision


def test_the_pace_is_an_option_and_no_part_of_the_identity(tmp_path: Path, ask, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr("publius.engines.scripted.time.sleep", slept.append)
    plain = open_scripted(tmp_path, name="judge", options={})
    slow = open_scripted(tmp_path, name="judge", options={"delay_ms": 250, "look_ahead": 3})
    assert slow.model == plain.model
    assert (plain.capabilities.look_ahead, slow.capabilities.look_ahead) == (64, 3)
    requests = [ask(str(n), "Hi") for n in range(7)]
    assert answers_of(slow, requests) == answers_of(plain, requests)
    assert [nap for nap in slept if nap] == [0.25, 0.25, 0.25]
    assert len(slow.wait()) == 0
    assert len(slept) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"prefers": "flour"},
        {"prefer": 3},
        {"max_context": "many"},
        {"look_ahead": 0},
        {"delay_ms": -1},
        {"delay_ms": math.nan},
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options):
    with pytest.raises(DataError, match=next(iter(options))):
        open_scripted(tmp_path, name="judge", options=options)
