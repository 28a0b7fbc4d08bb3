"""Ask a model which of two answers is better, in both orders, and read soft labels from it.

prob_a = P(A) / (P(A) + P(B)) from the option letters' probabilities, each order by itself, then the
mean over orders and principles. An answer whose two letters together hold less than `MIN_LABEL_MASS`
of the probability is `Unparsed`: the model was about to say something else.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1. Departure: both orders are asked by default, because
small judges pick the first option most of the time (the audit shows the share).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from publius.engines.protocol import Choice, Choose, ChooseRequest, Failure
from publius.judge.prompts import OPTIONS, PREFILL, comparison_messages
from publius.records import Comparison, Unparsed, Vote, derive_seed

MIN_LABEL_MASS = 0.01
Orders: TypeAlias = Literal["both", "one"]


@dataclass(frozen=True, slots=True)
class JudgeQuestion:
    """One question about one comparison: the principle it comes from, and its wording."""

    comparison: Comparison
    principle_id: str
    text: str


def judge_comparisons(
    questions: Sequence[JudgeQuestion], choose: Choose, *, orders: Orders = "both", seed: int = 0
) -> tuple[tuple[Vote | Unparsed, ...], ...]:
    """Return the votes on every question, in the order of `questions`.

    With `orders="both"` a question gets two votes, A first and B first; with "one" the order is drawn
    from the seed and the comparison's id.
    """
    requests = [
        _request(question, a_first=a_first)
        for question in questions
        for a_first in _orders(question, orders, seed)
    ]
    answers = choose(requests)
    return tuple(
        tuple(_read(question, answers, a_first=a_first) for a_first in _orders(question, orders, seed))
        for question in questions
    )


def both_orders(votes: Sequence[Vote | Unparsed]) -> tuple[float, float] | None:
    """Return P(A is better) asked with A first and asked with B first, or None if one is unreadable."""
    first = [prob_a(vote) for vote in votes if isinstance(vote, Vote) and vote.a_first]
    second = [prob_a(vote) for vote in votes if isinstance(vote, Vote) and not vote.a_first]
    if not first or not second:
        return None
    return sum(first) / len(first), sum(second) / len(second)


def soft_label(votes: Sequence[Vote | Unparsed]) -> float | None:
    """Return the mean P(A is better) over the readable votes, each order weighing the same; None if none.

    >>> vote = Vote("p", True, -0.1, -3.0, 0.95)
    >>> round(soft_label([vote]), 3)
    0.948
    >>> soft_label([Unparsed("p", True, "label mass 0.002")]) is None
    True
    """
    by_order = [
        [prob_a(vote) for vote in votes if isinstance(vote, Vote) and vote.a_first is a_first]
        for a_first in (True, False)
    ]
    means = [sum(probs) / len(probs) for probs in by_order if probs]
    return sum(means) / len(means) if means else None


def prob_a(vote: Vote) -> float:
    """Return P(A) / (P(A) + P(B)) of one vote, in [0, 1].

    >>> prob_a(Vote("p", True, -1.0, -1.0, 0.7))
    0.5
    """
    return 1.0 / (1.0 + math.exp(min(700.0, vote.logprob_b - vote.logprob_a)))


def _orders(question: JudgeQuestion, orders: Orders, seed: int) -> tuple[bool, ...]:
    if orders == "both":
        return (True, False)
    draw = derive_seed(seed, "order", question.comparison.id, question.principle_id)
    return (draw % 2 == 0,)


def _request(question: JudgeQuestion, *, a_first: bool) -> ChooseRequest:
    shown = question.comparison if a_first else question.comparison.swap()
    return ChooseRequest(
        id=_request_id(question, a_first=a_first),
        messages=comparison_messages(shown, question.text),
        options=OPTIONS,
        prefill=PREFILL,
    )


def _request_id(question: JudgeQuestion, *, a_first: bool) -> str:
    order = "ab" if a_first else "ba"
    return f"{question.comparison.id}/{question.principle_id}/{order}"


def _read(
    question: JudgeQuestion, answers: Mapping[str, Choice | Failure], *, a_first: bool
) -> Vote | Unparsed:
    answer = answers[_request_id(question, a_first=a_first)]
    if isinstance(answer, Failure):
        return Unparsed(question.principle_id, a_first, f"{answer.owner}: {answer.reason}")
    mass = min(1.0, sum(math.exp(logprob) for logprob in answer.logprobs))
    if mass < MIN_LABEL_MASS:
        return Unparsed(question.principle_id, a_first, f"label mass {mass:.2g} is under {MIN_LABEL_MASS}")
    first, second = answer.logprobs
    logprob_a, logprob_b = (first, second) if a_first else (second, first)
    return Vote(question.principle_id, a_first, logprob_a, logprob_b, mass)
