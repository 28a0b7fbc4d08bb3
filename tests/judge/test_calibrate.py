"""What a prompt prefers when it shows nothing is taken from every vote, and written down."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from by_rule import run_by
from publius.engines.protocol import Choice, ChooseRequest
from publius.engines.scripted import ScriptedEngine
from publius.judge import (
    JudgeForm,
    JudgeQuestion,
    Layout,
    judge_comparisons,
    prob_a,
)
from publius.judge.calibrate import PLACEHOLDERS
from publius.judge.reading import calibrate
from publius.records import Unparsed, Vote
from publius.store import Journal, JournaledEngine

from .asking import QUESTION, comparison, layouts, odds, shown


def biased(bonus: float, *, empty_mass: float = 0.9) -> Callable[[ChooseRequest], Choice]:
    """A judge that likes "good", with a bonus for the first place, all that an empty prompt shows."""

    def choose(request: ChooseRequest) -> Choice:
        parts = shown(request)
        margin = 2.0 * (("good" in parts.first) - ("good" in parts.second)) + bonus
        is_empty = parts.first == parts.second
        if is_empty:
            assert parts.turns == (("Human", parts.first),)
            assert parts.first in PLACEHOLDERS
        return odds(request, margin, mass=empty_mass if is_empty else 0.8)

    return choose


@layouts
@pytest.mark.parametrize("bonus", [-3.0, 0.0, 4.0])
def test_a_calibrated_vote_has_no_bias_left_in_either_order(layout: Layout, bonus: float) -> None:
    form = JudgeForm(layout=layout, calibration="content-free")
    (votes,) = judge_comparisons([QUESTION], run_by(biased(bonus)), form=form)
    assert [prob_a(vote) for vote in votes] == pytest.approx([1 / (1 + math.exp(-2))] * 2)
    assert [vote.bias for vote in votes] == pytest.approx([bonus] * 2)
    assert [vote.label_mass for vote in votes] == pytest.approx([0.8] * 2)
    assert [math.exp(vote.logprob_a) + math.exp(vote.logprob_b) for vote in votes] == pytest.approx([0.8] * 2)
    (raw,) = judge_comparisons([QUESTION], run_by(biased(bonus)), form=JudgeForm(layout=layout))
    assert [vote.bias for vote in raw] == [None, None]


def test_the_empty_prompts_are_asked_once_for_a_question(tmp_path: Path) -> None:
    engine = ScriptedEngine(choose=lambda request: biased(1.0)(request).logprobs)
    run = JournaledEngine(engine, Journal(tmp_path / "journal.sqlite"), step="test").run
    questions = [
        JudgeQuestion(comparison(f"c{i}"), id, text)
        for i in range(5)
        for id, text in (("kind", "Which is kinder?"), ("true", "Which is truer?"))
    ]
    judge_comparisons(questions, run, form=JudgeForm(calibration="content-free"))
    assert len(engine.asked) == 2 * len(PLACEHOLDERS) + 10 * 2


def test_a_vote_is_unparsed_where_its_bias_cannot_be_read() -> None:
    form = JudgeForm(calibration="content-free")
    (votes,) = judge_comparisons([QUESTION], run_by(biased(1.0, empty_mass=1e-4)), form=form)
    reason = "the empty prompt: label mass 0.0001 is under 0.01"
    assert votes == (Unparsed("kind", True, reason), Unparsed("kind", False, reason))


@given(
    st.floats(-8, 0), st.floats(-8, 0), st.floats(-8, 8), st.booleans(),
)  # fmt: skip
def test_calibration_moves_the_log_odds_by_the_bias_and_survives_a_swap(
    a: float, b: float, bias: float, a_first: bool
) -> None:
    vote = Vote("p", a_first, a, b, min(1.0, math.exp(a) + math.exp(b)))
    moved = calibrate(vote, bias)
    shift = moved.logprob_a - moved.logprob_b - (a - b)
    assert shift == pytest.approx(-bias if a_first else bias, abs=1e-9)
    assert math.exp(moved.logprob_a) + math.exp(moved.logprob_b) == pytest.approx(vote.label_mass)
    swapped = calibrate(vote.swap(), bias)
    assert prob_a(swapped) == pytest.approx(prob_a(moved.swap()))
    assert swapped.bias == moved.swap().bias
