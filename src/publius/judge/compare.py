"""Ask a model which of two answers is better: the questions in every order, and a vote on each.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1. Departures: both orders, because small judges pick the same
place most of the time (the audit shows the share); each answer alone (`points.py`); calibration
(`calibrate.py`).
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from publius.engines.flow import Flow, RunFlows
from publius.engines.protocol import Choice, ChooseRequest
from publius.judge.calibrate import content_free
from publius.judge.form import JudgeForm, JudgeQuestion
from publius.judge.points import judge_points
from publius.judge.prompts import Asked, options_of, verdict_prompt
from publius.judge.reading import calibrate, mass_of, readable
from publius.judge.reason import reason
from publius.records import Unparsed, Vote, derive_seed


class _Ballot(NamedTuple):
    """One vote to ask for; `thought` is the reasoning before it, or why there is none to vote after."""

    asked: Asked
    number: int
    thought: str | Unparsed | None


def judge_comparisons(
    questions: Sequence[JudgeQuestion],
    run: RunFlows,
    *,
    form: JudgeForm = JudgeForm(),
    seed: int = 0,
) -> tuple[tuple[Vote | Unparsed, ...], ...]:
    """Return the votes on every question, in the order of `questions`; see `judge_questions`."""
    flows = (judge_questions([question], form=form, seed=seed) for question in questions)
    return tuple(votes for (votes,) in run(flows, expected=len(questions) * form.n_calls()))


def judge_questions(
    questions: Sequence[JudgeQuestion], *, form: JudgeForm = JudgeForm(), seed: int = 0
) -> Flow[tuple[tuple[Vote | Unparsed, ...], ...]]:
    """Return the votes on each question; all are asked at once.

    With "both-orders" a question gets two votes, A first and B first; with "one-order" the order is drawn
    from the seed and the comparison's id; "pointwise" gives one vote, whose order is None. With K reasonings
    an order has K votes, one after each. The seed also draws the worked examples and the reasonings.
    """
    if not questions:
        return ()
    if form.method == "pointwise":
        votes = yield from judge_points(questions, n_shots=form.n_shots)
        return tuple((vote,) for vote in votes)
    biases: Mapping[str, float | str] = {}
    if form.calibration == "content-free":
        biases = yield from content_free(questions, form, seed=seed)
    asked = [Asked(one, a_first) for one in questions for a_first in _orders(one, form, seed)]
    thoughts: Sequence[Sequence[str | Unparsed | None]] = [(None,)] * len(asked)
    if form.reasonings:
        thoughts = yield from reason(asked, form, seed=seed)
    ballots = [
        _Ballot(one, number, thought)
        for one, own in zip(asked, thoughts, strict=True)
        for number, thought in enumerate(own)
    ]
    requests = tuple(
        _request(ballot, form, seed) for ballot in ballots if not isinstance(ballot.thought, Unparsed)
    )
    said = iter((yield requests) if requests else ())
    votes = (
        ballot.thought
        if isinstance(ballot.thought, Unparsed)
        else _read(ballot, readable(next(said)), biases)
        for ballot in ballots
    )
    return tuple(tuple(islice(votes, len(ballots) // len(questions))) for _ in questions)


def _orders(question: JudgeQuestion, form: JudgeForm, seed: int) -> tuple[bool, ...]:
    if form.method == "both-orders":
        return (True, False)
    draw = derive_seed(seed, "order", question.comparison.id, question.principle_id)
    return (draw % 2 == 0,)


def _request(ballot: _Ballot, form: JudgeForm, seed: int) -> ChooseRequest:
    assert not isinstance(ballot.thought, Unparsed)
    prompt = verdict_prompt(ballot.asked.pair, form, seed=seed, reasoning=ballot.thought)
    id = ballot.asked.id if ballot.thought is None else f"{ballot.asked.id}/{ballot.number}"
    return ChooseRequest(id, prompt.messages, options_of(form.layout), prompt.prefill)


def _read(ballot: _Ballot, read: Choice | str, biases: Mapping[str, float | str]) -> Vote | Unparsed:
    asked = ballot.asked
    bias = biases.get(asked.question.text)
    if isinstance(read, str):
        return asked.unparsed(read)
    if isinstance(bias, str):
        return asked.unparsed(bias)
    first, second = read.logprobs
    logprob_a, logprob_b = (first, second) if asked.a_first else (second, first)
    assert ballot.thought is None or isinstance(ballot.thought, str)
    vote = Vote(
        asked.question.principle_id, asked.a_first, logprob_a, logprob_b, mass_of(read), ballot.thought
    )
    return vote if bias is None else calibrate(vote, bias)
