"""Flows driven by a rule instead of a model, one call after the other."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from publius.engines.flow import Flow, RunFlows
from publius.engines.protocol import Answer


def run_by(answer: Callable[[Any], Answer]) -> RunFlows:
    """Return a runner that answers every request by the rule."""

    def run(flows: Iterable[Flow[Any]], *, expected: int = 0) -> Iterator[Any]:
        for flow in flows:
            yield finish(flow, answer)

    return run


def finish(flow: Flow[Any], answer: Callable[[Any], Answer]) -> Any:
    """Return the flow's result when every request is answered by the rule."""
    said: Any = None
    while True:
        try:
            asked = flow.send(said)
        except StopIteration as stop:
            return stop.value
        said = tuple(map(answer, asked)) if isinstance(asked, tuple) else answer(asked)
