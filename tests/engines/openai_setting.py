"""Servers and engines on them, for the tests of the engine `openai`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from publius.engines.flow import ask
from publius.engines.openai import OpenAIOptions, open_with
from publius.engines.protocol import (
    Answer,
    ChooseRequest,
    Engine,
    GenerateRequest,
    Sampling,
)
from publius.engines.remote import RemoteEngine
from publius.records import user

from .fault_run import RushedClock
from .fault_server import Body, FaultServer, Reply

SECRET = "sk-canary-0123456789"
PROBE = "Reply with the digit 1 or the digit 2, and nothing else."
OpenIt = Callable[..., RemoteEngine]


@pytest.fixture
def open_it() -> Iterator[OpenIt]:
    """Open an engine on a server, with waits jumped over; it is closed after."""
    opened: list[RemoteEngine] = []

    def make(server: FaultServer | str, *, model: str = "test-model", **options: Any) -> RemoteEngine:
        url = server if isinstance(server, str) else server.base_url
        chosen = OpenAIOptions(base_url=url, **options)
        opened.append(open_with(model, options=chosen, clock=RushedClock().clock(), seed=0))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultServer]]:
    """Start a server; it is stopped after."""
    started: list[FaultServer] = []

    def make(**settings: Any) -> FaultServer:
        started.append(FaultServer(**settings).start())
        return started[-1]

    yield make
    for server in started:
        server.stop()


def asks(n: int, prefix: str = "item") -> list[GenerateRequest]:
    return [GenerateRequest(f"{i}", (user(f"{prefix}|{i}"),), Sampling(16)) for i in range(n)]


def choose(id: str = "c", options: tuple[str, ...] = ("1", "2"), prefill: str = "") -> ChooseRequest:
    return ChooseRequest(id, (user("Which?"),), options, prefill)


def all_of(engine: Engine, requests: Sequence[GenerateRequest | ChooseRequest]) -> dict[str, Answer]:
    answers = list(ask(engine, requests))
    assert len({answer.request_id for answer in answers}) == len(answers) == len(requests)
    return {answer.request_id: answer for answer in answers}


def came_until_the_end(engine: Engine, came: list[Answer]) -> None:
    """Put the answers into `came` until there are no more; what ends the run comes out."""
    while answers := engine.wait():
        came += answers


def hanging(body: Body, n_before: int, chance: object) -> Reply:
    return Reply(b"", "hang")
