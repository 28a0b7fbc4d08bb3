"""Questions to a judge, and judges by rule that read what a prompt shows in whatever layout."""

import math
from collections.abc import Callable
from typing import get_args

import pytest

from by_rule import run_by
from publius.engines.flow import RunFlows
from publius.engines.protocol import Answer, Choice, ChooseRequest, Completion, GenerateRequest
from publius.judge import JudgeQuestion, Layout, PairParts, options_of, parse_pair
from publius.records import Comparison, conversation

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
layouts = pytest.mark.parametrize("layout", LAYOUTS)


def comparison(id: str = "c1", a: str = "good answer", b: str = "bad") -> Comparison:
    return Comparison(id, "p", conversation(("user", "Hi")), a, b, "x", "y")


def shown(request: ChooseRequest) -> PairParts:
    """Return what a verdict prompt shows, in whatever layout."""
    layout: Layout = "pretrained" if not request.messages else "chat"
    if request.options == options_of("quoted"):
        layout = "prefix" if request.messages[1].content.startswith("Human:") else "quoted"
    return parse_pair(request.messages, layout=layout, prefill=request.prefill)


def odds(request: ChooseRequest, margin: float, *, mass: float = 1.0) -> Choice:
    """Say the first option with log-odds of `margin`."""
    probs = 1 / (1 + math.exp(-margin)), 1 / (1 + math.exp(margin))
    return Choice(request.id, tuple(math.log(mass * prob) for prob in probs), 10)


def thinking(think: Callable[[GenerateRequest], Answer], vote: Callable[[ChooseRequest], Answer]) -> RunFlows:
    return run_by(lambda asked: think(asked) if isinstance(asked, GenerateRequest) else vote(asked))


def wrote(request: GenerateRequest, text: str, *, finish: str = "stop") -> Completion:
    return Completion(request.id, text, finish, 10, 10)


QUESTION = JudgeQuestion(comparison(), "kind", "Which is kinder?")
