"""Put items through a kind of fault with the real engine, and hold what came of each against the policy.

Only waiting is not real: the clock jumps over every wait, and what it jumped is what is checked.
"""

import asyncio
import math
import socket
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal
from unittest.mock import patch

from publius.engines.anthropic import AnthropicWire
from publius.engines.anthropic_wire import AnthropicDialect
from publius.engines.http_policy import HttpOutcome, HttpPolicy
from publius.engines.http_pool import HttpPool, PoolSettings
from publius.engines.http_retry import Clock, HttpCall
from publius.engines.http_send import Endpoint, HttpSender
from publius.engines.openai_probe import OpenAIWire
from publius.engines.openai_wire import Dialect
from publius.engines.protocol import (
    Answer,
    Capabilities,
    Choice,
    ChooseRequest,
    Completion,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Sampling,
)
from publius.engines.remote import RemoteEngine, Wire
from publius.errors import EngineError
from publius.records import user

from .fault_kinds import RETRIES, TODAY_S, VOTES, Kind
from .fault_server import FaultServer

NO_HOST = "no-such-host.invalid"


@dataclass
class RushedClock:
    """A clock that only moves when somebody sleeps, and then at once."""

    now_s: float = 0.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now_s, today=lambda: TODAY_S, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        # a little too far: a sum of rounded waits must not fall short of the whole
        self.now_s += seconds + 1e-6
        await asyncio.sleep(0)


@dataclass
class CountingSender:
    """Notes when each item was sent, before anything can go wrong with it."""

    sender: HttpSender
    time: RushedClock
    sent_at: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def __call__(self, call: HttpCall) -> HttpOutcome:
        assert call.body is not None
        messages = call.body["messages"]
        assert isinstance(messages, list)
        self.sent_at[messages[-1]["content"]].append(self.time.now_s)
        return await self.sender(call)

    async def close(self) -> None:
        await self.sender.close()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one item: `n_heard` is how many calls the server heard of, `problem` what is wrong.

    It ended once, with an answer, a failure of its own or with the run, or else `end` is "".
    """

    item: str
    end: Literal["done", "failed", "run ended", ""]
    n_sent: int
    n_heard: int
    calls_are_right: bool
    problem: str


def run_kind(server: FaultServer, kind: Kind, *, n_items: int, seed: int = 0) -> list[Outcome]:
    """Return what came of `n_items` items of `kind`, each asked for once."""
    items = [f"{kind.name}|{index}" for index in range(n_items)]
    requests = [_request(kind, item) for item in items]
    time, senders = RushedClock(), list[CountingSender]()
    engine = _engine(server, kind, time=time, senders=senders, seed=seed)
    ends: dict[str, list[Answer | EngineError]] = {item: [] for item in items}
    with _no_such_host():
        # one by one where the item ends the run, or where nobody else may move the clock
        is_alone = kind.end == "fatal" or kind.wait_s > 0
        groups = [[request] for request in requests] if is_alone else [requests]
        for group in groups:
            for item, end in _ends_of(engine, group):
                ends[item].append(end)
            time.now_s += 36_000  # until a pace learned from this group is forgotten
    engine.close()
    sent_at = senders[0].sent_at
    return [_judge(kind, item, sent_at[item], ends[item], len(server.calls_of(item))) for item in items]


def _request(kind: Kind, item: str) -> GenerateRequest | ChooseRequest:
    if kind.asks == "completion":
        return GenerateRequest(item, (user(item),), Sampling(16, temperature=0.0))
    return ChooseRequest(item, (user(item),), ("1", "2"))


def _engine(
    server: FaultServer, kind: Kind, *, time: RushedClock, senders: list[CountingSender], seed: int
) -> RemoteEngine:
    """Return the engine as the probe would make it; most of these ways have nothing that could be probed."""
    n_connections = 8
    endpoint = Endpoint(_url(server, kind), timeout_s=0.25 if kind.way == "slow" else 60.0)

    def open_sender() -> CountingSender:
        senders.append(CountingSender(HttpSender(endpoint, n_connections=n_connections), time))
        return senders[-1]

    settings = PoolSettings(n_connections, policy=HttpPolicy(RETRIES), clock=time.clock(), seed=seed)
    wire, identity = _wire(kind), ModelIdentity("test-model", "name:test-model", kind.protocol)
    pool = HttpPool(open_sender, settings)
    return RemoteEngine(identity, pool, probe=lambda pool: wire, where=endpoint.base_url)


def _wire(kind: Kind) -> Wire:
    capabilities = Capabilities(generate=True, choose=True, score=False, max_context=4096)
    n_votes = VOTES if kind.asks == "votes" else 0
    if kind.protocol == "anthropic":
        return AnthropicWire(AnthropicDialect("test-model"), capabilities, n_votes)
    return OpenAIWire(Dialect("test-model"), capabilities, "/v1/chat/completions", n_votes, None)


def _url(server: FaultServer, kind: Kind) -> str:
    if kind.way == "name":
        return f"http://{NO_HOST}:{server.port}"
    if kind.way == "refused":
        return f"http://127.0.0.1:{server.closed_port}"
    if kind.way in ("tls", "plain"):
        return f"https://127.0.0.1:{server.tls_port if kind.way == 'tls' else server.plain_port}"
    return f"http://127.0.0.1:{server.port}"


def _ends_of(
    engine: RemoteEngine, requests: Sequence[GenerateRequest | ChooseRequest]
) -> Generator[tuple[str, Answer | EngineError]]:
    engine.submit(requests)
    open_items = {request.id for request in requests}
    try:
        while answers := engine.wait():
            for answer in answers:
                open_items.discard(answer.request_id)
                yield answer.request_id, answer
    except EngineError as error:
        for item in open_items:
            yield item, error


def _judge(
    kind: Kind, item: str, sent_at: Sequence[float], ends: Sequence[Answer | EngineError], n_heard: int
) -> Outcome:
    waited = sent_at[1] - sent_at[0] if len(sent_at) > 1 else 0.0
    heard_all = n_heard == kind.n_calls if kind.way in ("http", "slow") else n_heard == 0
    in_time = kind.wait_s == 0 or kind.wait_s <= waited <= kind.wait_s + 0.15
    calls_are_right = len(sent_at) == kind.n_calls and heard_all and in_time
    problem = _problem(kind, ends[0]) if len(ends) == 1 else f"{len(ends)} ends"
    return Outcome(item, _end_of(ends), len(sent_at), n_heard, calls_are_right, problem)


def _end_of(ends: Sequence[Answer | EngineError]) -> Literal["done", "failed", "run ended", ""]:
    if len(ends) != 1:
        return ""
    if isinstance(ends[0], EngineError):
        return "run ended"
    return "failed" if isinstance(ends[0], Failure) else "done"


def _problem(kind: Kind, end: Answer | EngineError) -> str:
    """Return how an end differs from what the policy says, or ""."""
    if isinstance(end, EngineError):
        is_right = kind.end == "fatal" and end.where and end.todo
        return "" if is_right else f"the run ended: {end}"
    n_calls = VOTES if kind.asks == "votes" else 1
    if isinstance(end, Failure):
        is_right = end.owner == kind.end and end.reason and end.reason.isprintable()
        return "" if is_right and end.n_calls == n_calls else f"{end}"
    if isinstance(end, Choice):
        wanted = kind.probs or tuple(map(math.exp, end.logprobs))
        is_right = all(math.isclose(math.exp(x), prob) for x, prob in zip(end.logprobs, wanted, strict=True))
        counts = 1 <= end.prompt_tokens <= 100 * n_calls and 1 <= end.completion_tokens <= 8 * n_calls
        is_right = is_right and counts and (end.n_calls, end.n_failed) == (n_calls, kind.n_failed)
        return "" if is_right and kind.end == "done" else f"{end}"
    assert isinstance(end, Completion)
    texts = {kind.text} if kind.text is not None else {f"You said: {end.request_id}"}
    counts = 1 <= end.prompt_tokens <= 100 and min(1, len(end.text)) <= end.completion_tokens <= 16
    is_right = kind.end == "done" and end.text in texts and end.finish == kind.finish and counts
    return "" if is_right else f"{end}"


@contextmanager
def _no_such_host() -> Generator[None]:
    """Let one name be unknown for certain; off line, the real resolver would say `try again`."""
    real = socket.getaddrinfo

    def look_up(host: object, *rest: object, **named: object) -> object:
        if host in (NO_HOST, NO_HOST.encode()):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **named)

    with patch.object(socket, "getaddrinfo", look_up):
        yield
