"""Work that asks a model step by step, and the loop that keeps an engine full with it.

A flow is a generator: it yields a request and is sent the answer, or yields a tuple of requests that do not
wait for each other and is sent the tuple of their answers; then it returns its result. So a chain of draft,
critique and revision reads like a recipe, while thousands of them run side by side, each at its own pace.

Paper: none.
"""

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol, TypeAlias, TypeVar

from publius.engines.protocol import Answer, Engine, Request

R = TypeVar("R")
Flow: TypeAlias = Generator[Request | tuple[Request, ...], Any, R]  # sent an Answer, or a tuple of them


class RunFlows(Protocol):
    """How an algorithm has its flows run; the store's `JournaledEngine.run` keeps every answer."""

    def __call__(self, flows: Iterable[Flow[R]], *, expected: int = 0) -> Iterator[R]:
        """Yield the flows' results in their order; `expected` calls are shown as the total."""
        ...


def ask(engine: Engine, requests: Iterable[Request]) -> Iterator[Answer]:
    """Yield one answer a request, in any order, each as soon as it is there.

    Requests are taken from `requests` as the engine has room, so it may be endless. Stopping early
    cancels what is in flight.

    Raises:
        EngineError: Nothing further can be answered.
    """
    source = iter(requests)
    look_ahead = engine.capabilities.look_ahead
    n_in_flight = 0
    try:
        while True:
            fresh = list(islice(source, look_ahead - n_in_flight))
            if fresh:
                engine.submit(fresh)
                n_in_flight += len(fresh)
            if n_in_flight == 0:
                return
            answers = engine.wait()
            n_in_flight -= len(answers)
            yield from answers
    finally:
        if n_in_flight:
            engine.cancel()
