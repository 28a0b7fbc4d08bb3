"""Ask a model which of two answers is better, and read soft labels from it.

Both orders (or one): both answers in one prompt; prob_a = P(A) / (P(A) + P(B)) from the
options' probabilities, then the mean over orders. Pointwise: each answer alone, "good" or "bad";
prob_a = σ(logit(A) − logit(B)) with logit = ln P(good) − ln P(bad); there is no order to be biased by.
Options that together hold less than `MIN_LABEL_MASS` of the probability are `Unparsed`: the model was
about to say something else.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1. Departures: both orders, because small judges pick the same
place most of the time (the audit shows the share); the pointwise form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from publius.engines.flow import Flow, RunFlows
from publius.engines.protocol import Answer, Choice, ChooseRequest, Failure
from publius.judge.prompts import PAIR_OPTIONS, POINT_OPTIONS, pair_messages, point_messages
from publius.records import Comparison, Unparsed, Vote, content_hash, derive_seed

MIN_LABEL_MASS = 0.01
Method: TypeAlias = Literal["both-orders", "one-order", "pointwise"]


@dataclass(frozen=True, slots=True)
class JudgeQuestion:
    """One question about one comparison: the principle it comes from, and its wording."""

    comparison: Comparison
    principle_id: str
    text: str


def judge_comparisons(
    questions: Sequence[JudgeQuestion],
    run: RunFlows,
    *,
    method: Method = "both-orders",
    seed: int = 0,
) -> tuple[tuple[Vote | Unparsed, ...], ...]:
    """Return the votes on every question, in the order of `questions`; see `judge_questions`."""
    flows = (judge_questions([question], method=method, seed=seed) for question in questions)
    expected = len(questions) * (1 if method == "one-order" else 2)
    return tuple(votes for (votes,) in run(flows, expected=expected))


def judge_questions(
    questions: Sequence[JudgeQuestion], *, method: Method = "both-orders", seed: int = 0
) -> Flow[tuple[tuple[Vote | Unparsed, ...], ...]]:
    """Return the votes on each question; all are asked at once.

    With "both-orders" a question gets two votes, A first and B first; with "one-order" the order is drawn
    from the seed and the comparison's id; "pointwise" gives one vote, whose order is None.
    """
    if method == "pointwise":
        pairs = [
            tuple(_point_request(question, text) for text in _answers(question)) for question in questions
        ]
        said = iter((yield tuple(request for pair in pairs for request in pair)))
        return tuple(
            (_read_points(question, _readable(next(said)), _readable(next(said))),) for question in questions
        )
    asked = [(question, a_first) for question in questions for a_first in _orders(question, method, seed)]
    said = iter((yield tuple(_pair_request(question, a_first) for question, a_first in asked)))
    return tuple(
        tuple(
            _read_pair(question, _readable(next(said)), a_first=a_first)
            for a_first in _orders(question, method, seed)
        )
        for question in questions
    )


def _answers(question: JudgeQuestion) -> tuple[str, str]:
    return question.comparison.answer_a, question.comparison.answer_b


def both_orders(votes: Sequence[Vote | Unparsed]) -> tuple[float, float] | None:
    """Return P(A is better) asked with A first and asked with B first, or None if one is missing."""
    means = [_mean(_probs(votes, a_first)) for a_first in (True, False)]
    return None if means[0] is None or means[1] is None else (means[0], means[1])


def soft_label(votes: Sequence[Vote | Unparsed]) -> float | None:
    """Return the mean P(A is better) over the readable votes, each order weighing the same; None if none.

    >>> vote = Vote("p", True, -0.1, -3.0, 0.95)
    >>> round(soft_label([vote]), 3)
    0.948
    >>> soft_label([Unparsed("p", True, "label mass 0.002")]) is None
    True
    """
    means = [mean for a_first in (True, False, None) if (mean := _mean(_probs(votes, a_first))) is not None]
    return _mean(means)


def prob_a(vote: Vote) -> float:
    """Return P(A) / (P(A) + P(B)) of one vote, in [0, 1].

    >>> prob_a(Vote("p", True, -1.0, -1.0, 0.7))
    0.5
    """
    return 1.0 / (1.0 + math.exp(max(-700.0, min(700.0, vote.logprob_b - vote.logprob_a))))


def _probs(votes: Sequence[Vote | Unparsed], a_first: bool | None) -> list[float]:
    return [prob_a(vote) for vote in votes if isinstance(vote, Vote) and vote.a_first is a_first]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _orders(question: JudgeQuestion, method: Method, seed: int) -> tuple[bool, ...]:
    if method == "both-orders":
        return (True, False)
    draw = derive_seed(seed, "order", question.comparison.id, question.principle_id)
    return (draw % 2 == 0,)


def _pair_request(question: JudgeQuestion, a_first: bool) -> ChooseRequest:
    shown = question.comparison if a_first else question.comparison.swap()
    id = f"{question.comparison.id}/{question.principle_id}/{'ab' if a_first else 'ba'}"
    return ChooseRequest(id, pair_messages(shown, question.text), PAIR_OPTIONS)


def _read_pair(question: JudgeQuestion, read: Choice | str, *, a_first: bool) -> Vote | Unparsed:
    if isinstance(read, str):
        return Unparsed(question.principle_id, a_first, read)
    first, second = read.logprobs
    logprob_a, logprob_b = (first, second) if a_first else (second, first)
    return Vote(question.principle_id, a_first, logprob_a, logprob_b, _mass(read))


def _point_request(question: JudgeQuestion, answer: str) -> ChooseRequest:
    # the id is that of the question, so an answer that stands in several comparisons is asked once
    messages = point_messages(question.comparison.messages, answer, question.text)
    return ChooseRequest(content_hash(messages), messages, POINT_OPTIONS)


def _read_points(question: JudgeQuestion, a: Choice | str, b: Choice | str) -> Vote | Unparsed:
    if isinstance(a, str) or isinstance(b, str):
        return Unparsed(question.principle_id, None, a if isinstance(a, str) else str(b))
    margin = (a.logprobs[0] - a.logprobs[1]) - (b.logprobs[0] - b.logprobs[1])
    return Vote(
        question.principle_id,
        None,
        -_softplus(-margin),
        -_softplus(margin),
        min(_mass(a), _mass(b)),
    )


def _readable(answer: Answer) -> Choice | str:
    """Return the choice, or the reason why it says nothing."""
    if isinstance(answer, Failure):
        return f"{answer.owner}: {answer.reason}"
    assert isinstance(answer, Choice)
    mass = _mass(answer)
    return answer if mass >= MIN_LABEL_MASS else f"label mass {mass:.2g} is under {MIN_LABEL_MASS}"


def _mass(choice: Choice) -> float:
    return min(1.0, sum(math.exp(logprob) for logprob in choice.logprobs))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
