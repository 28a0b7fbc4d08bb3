"""Labels do not depend on the order of the options, and what cannot be read is no label."""

import math
from pathlib import Path

import pytest

from by_rule import run_by
from publius.engines.flow import RunFlows
from publius.engines.protocol import Choice, ChooseRequest, Failure
from publius.engines.scripted import ScriptedEngine
from publius.judge import JudgeQuestion, both_orders, judge_comparisons, parse_pair, soft_label
from publius.records import Comparison, Unparsed, Vote, conversation
from publius.store import Journal, JournaledEngine


def comparison(id: str = "c1", a: str = "good answer", b: str = "bad") -> Comparison:
    return Comparison(id, "p", conversation(("user", "Hi")), a, b, "x", "y")


def judge(*, likes: str, first_bonus: float = 0.0, mass: float = 1.0) -> RunFlows:
    """A judge that prefers an answer holding `likes`, with a bonus (in logits) for the option shown first."""

    def choose(request: ChooseRequest) -> Choice:
        parts = parse_pair(request.messages)
        margin = 2.0 * ((likes in parts.first) - (likes in parts.second)) + first_bonus
        prob = 1 / (1 + math.exp(-margin))
        return Choice(request.id, (math.log(mass * prob), math.log(mass * (1 - prob))), 10)

    return run_by(choose)


def label(run: RunFlows, item: Comparison, **options) -> float | None:
    (votes,) = judge_comparisons([JudgeQuestion(item, "kind", "Which is kinder?")], run, **options)
    return soft_label(votes)


def test_the_liked_answer_wins_wherever_it_stands() -> None:
    choose = judge(likes="good")
    assert label(choose, comparison()) == pytest.approx(1 / (1 + math.exp(-2)))
    assert label(choose, comparison().swap()) == pytest.approx(1 / (1 + math.exp(2)))


def test_a_judge_that_always_takes_the_first_option_says_nothing() -> None:
    choose = judge(likes="nothing", first_bonus=3.0)
    assert label(choose, comparison()) == pytest.approx(0.5)


def test_both_orders_undo_the_letters() -> None:
    question = JudgeQuestion(comparison(), "kind", "Which?")
    (votes,) = judge_comparisons([question], judge(likes="good", first_bonus=1.0))
    orders = both_orders(votes)
    assert orders is not None
    assert orders == (pytest.approx(1 / (1 + math.exp(-3))), pytest.approx(1 / (1 + math.exp(-1))))


def test_one_order_is_drawn_from_the_id_and_recorded() -> None:
    questions = [JudgeQuestion(comparison(f"c{i}"), "kind", "Which?") for i in range(200)]
    votes = judge_comparisons(questions, judge(likes="good"), method="one-order", seed=1)
    first = [vote.a_first for (vote,) in votes]
    assert 60 < sum(first) < 140
    assert votes == judge_comparisons(questions, judge(likes="good"), method="one-order", seed=1)
    assert all(soft_label(own) == pytest.approx(1 / (1 + math.exp(-2))) for own in votes)


def test_a_judge_that_wants_to_say_something_else_is_unparsed() -> None:
    (votes,) = judge_comparisons(
        [JudgeQuestion(comparison(), "kind", "Which?")], judge(likes="good", mass=1e-4)
    )
    assert all(isinstance(vote, Unparsed) for vote in votes)
    assert soft_label(votes) is None
    assert both_orders(votes) is None


def test_a_failure_is_unparsed_with_its_owner() -> None:
    broken = run_by(lambda request: Failure(request.id, "input", "too long"))
    (votes,) = judge_comparisons([JudgeQuestion(comparison(), "kind", "Which?")], broken)
    assert votes == (Unparsed("kind", True, "input: too long"), Unparsed("kind", False, "input: too long"))


def test_one_readable_order_is_still_a_label() -> None:
    votes = (Vote("p", True, -0.1, -3.0, 0.95), Unparsed("p", False, "x"))
    assert soft_label(votes) == pytest.approx(1 / (1 + math.exp(-2.9)))


def rate(**logits: float) -> RunFlows:
    """A judge of single answers: ln P(good) − ln P(bad) by a word in the answer."""
    return run_by(lambda request: rated(request, logits))


def rated(request: ChooseRequest, logits: dict[str, float]) -> Choice:
    shown = request.messages[-1].content
    logit = next(value for word, value in logits.items() if f'Response: "{word}' in shown)
    return Choice(request.id, (-math.log1p(math.exp(-logit)), -math.log1p(math.exp(logit))), 10)


def test_pointwise_labels_are_the_difference_of_logits_and_have_no_order() -> None:
    choose = rate(good=1.5, bad=-0.5)
    (votes,) = judge_comparisons([JudgeQuestion(comparison(), "kind", "Which?")], choose, method="pointwise")
    assert soft_label(votes) == pytest.approx(1 / (1 + math.exp(-2)))
    assert [vote.a_first for vote in votes] == [None]
    assert label(choose, comparison().swap(), method="pointwise") == pytest.approx(1 / (1 + math.exp(2)))


LOGITS = {"one": 1.0, "two": 0.0, "three": -1.0}


def test_an_answer_of_several_comparisons_is_rated_once(tmp_path: Path) -> None:
    engine = ScriptedEngine(choose=lambda request: rated(request, LOGITS).logprobs)
    run = JournaledEngine(engine, Journal(tmp_path / "journal.sqlite"), step="test").run
    pairs = [
        comparison("c1", "one", "two"),
        comparison("c2", "one", "three"),
        comparison("c3", "two", "three"),
    ]
    questions = [JudgeQuestion(item, "kind", "Which?") for item in pairs]
    votes = judge_comparisons(questions, run, method="pointwise")
    assert len(engine.asked) == 3
    labels = [soft_label(own) for own in votes]
    assert labels == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-1))])
