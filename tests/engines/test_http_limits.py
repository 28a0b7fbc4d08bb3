"""Courtesy under rate limits, in virtual time: a server that allows 60 calls a minute, and 20 connections."""

import asyncio
import math
import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from publius.engines.http_limits import RateLimits
from publius.engines.http_policy import HttpAnswer, HttpOutcome, HttpPolicy
from publius.engines.http_retry import HttpCall, RetryLoop

from .virtual_time import VirtualLoop, run_virtually

N_CONNECTIONS = 20
PER_MINUTE = 60


@dataclass
class Strict:
    """Takes 60 calls in any 60 seconds and refuses the rest, and says how long to stay away."""

    loop: VirtualLoop
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    taken: deque[float] = field(default_factory=deque)
    came: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    async def __call__(self, call: HttpCall) -> HttpOutcome:
        await asyncio.sleep(self.chance.uniform(0.01, 0.05))  # the way there
        now = self.loop.time()
        self.came.append(now)
        while self.taken and self.taken[0] <= now - 60:
            self.taken.popleft()
        if len(self.taken) >= PER_MINUTE:
            self.refused.append(now)
            return HttpAnswer(429, {"retry-after": str(math.ceil(self.taken[0] + 60 - now))}, b"")
        self.taken.append(now)
        await asyncio.sleep(self.chance.uniform(0.2, 0.6))
        return HttpAnswer(200, {}, b"{}")


def run(minutes: float, *, told: float) -> tuple[Strict, int]:
    """Return the server and how many calls it answered in so many minutes under an endless load."""
    loop = VirtualLoop()
    server = Strict(loop)
    limits = RateLimits(requests_per_minute=told, tokens_per_minute=0, n_connections=N_CONNECTIONS)
    retry_loop = RetryLoop(
        server,
        policy=HttpPolicy(),
        limits=limits,
        n_connections=N_CONNECTIONS,
        jitter=random.Random(3).random,
        clock=loop.clock(),
    )
    answered: list[float] = []

    async def work(worker: int) -> None:
        for index in range(10**6):
            result = await retry_loop.carry(HttpCall(f"{worker}/{index}", "/"))
            assert isinstance(result.outcome, HttpAnswer)
            if result.outcome.status == 200:
                answered.append(loop.time())

    async def load() -> None:
        workers = [asyncio.ensure_future(work(worker)) for worker in range(2 * N_CONNECTIONS)]
        await asyncio.sleep(minutes * 60)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    run_virtually(loop, load())
    return server, len(answered)


def test_a_limit_that_is_told_is_kept_and_used():
    server, n_answered = run(5, told=PER_MINUTE)
    assert len(server.refused) <= 0.02 * len(server.came)
    assert n_answered >= 0.95 * 5 * PER_MINUTE


def test_a_limit_that_nobody_told_is_learned():
    server, n_answered = run(60, told=0)
    assert len(server.refused) <= 0.02 * len(server.came)
    assert n_answered >= 0.9 * 60 * PER_MINUTE


def test_after_a_pause_nobody_comes_before_its_end_and_not_all_at_once():
    server, _ = run(3, told=0)
    first = server.refused[0]
    later = [came for came in server.came if came > first + 0.06]  # what was on its way is no fault
    end = server.taken[0] if server.taken else 0.0
    assert later[0] >= 60 - 1  # a minute after the first call, which the server's `Retry-After` says
    assert later[N_CONNECTIONS - 1] - later[0] >= 0.5
    assert end > 0


@dataclass
class Patient:
    """Answers every call after a second, and notes the most calls in flight by then."""

    loop: VirtualLoop
    n_in_flight: int = 0
    seen: list[tuple[float, int]] = field(default_factory=list)

    async def __call__(self, call: HttpCall) -> HttpOutcome:
        self.n_in_flight += 1
        self.seen.append((self.loop.time(), self.n_in_flight))
        await asyncio.sleep(1.0)
        self.n_in_flight -= 1
        return HttpAnswer(200, {}, b"{}")


@pytest.mark.parametrize(("n_connections", "all_open_s"), [(4, 0.3), (20, 1.9), (200, 1.99)])
def test_connections_open_one_after_the_other_over_two_seconds(n_connections: int, all_open_s: float):
    loop = VirtualLoop()
    server = Patient(loop)
    retry_loop = RetryLoop(
        server,
        policy=HttpPolicy(),
        limits=limits(n=n_connections),
        n_connections=n_connections,
        jitter=random.Random(3).random,
        clock=loop.clock(),
    )

    async def load() -> None:
        await retry_loop.carry(HttpCall("probe", "/"))
        await asyncio.gather(*(retry_loop.carry(HttpCall(str(i), "/")) for i in range(10 * n_connections)))

    run_virtually(loop, load())
    most = max(n for _, n in server.seen)
    first_full_s = next(time for time, n in server.seen if n == n_connections) - 1.0  # the probe's second
    assert most == n_connections
    assert first_full_s == pytest.approx(all_open_s)


def limits(requests: float = 0, tokens: float = 0, n: int = 4) -> RateLimits:
    return RateLimits(requests_per_minute=requests, tokens_per_minute=tokens, n_connections=n)


def waits(limited: RateLimits, n_calls: int, n_tokens: int = 0, start: float = 0.0) -> list[float]:
    """Return when each of `n_calls` goes, if each goes as soon as it may."""
    now, times = start, []
    for _ in range(n_calls):
        now += max(0.0, limited.wait_s(now))
        limited.take(now, n_tokens)
        times.append(now)
    return times


def test_without_limits_nobody_waits():
    assert waits(limits(), 1000) == [0.0] * 1000


def test_calls_are_spaced_evenly_and_a_little_slower_than_allowed():
    times = waits(limits(requests=120), 240)
    assert times[0] == 0.0
    assert times[120] - times[0] > 60 - 0.2
    assert 117 <= times[-1] <= 122


def test_tokens_are_paid_for_after_the_call():
    times = waits(limits(tokens=6000), 4, n_tokens=500)
    assert [round(time) for time in times] == [0, 5, 10, 15]


def test_an_idle_time_buys_no_burst():
    limited = limits(requests=60)
    waits(limited, 3)
    times = waits(limited, 3, start=1000.0)
    assert times[1] - times[0] > 0.8
    assert times[2] - times[1] > 0.8


def test_a_pause_holds_everybody_and_a_longer_one_wins():
    limited = limits()
    limited.take(0.0, 0)
    limited.pause(1.0, 30.0, sent_at=0.0)
    limited.pause(2.0, 5.0, sent_at=0.0)
    assert limited.wait_s(3.0) == pytest.approx(28.0)


def test_a_refusal_of_the_first_calls_teaches_no_pace():
    limited = limits()
    waits(limited, 5)
    limited.pause(1.0, 120.0, sent_at=0.0)
    times = waits(limited, 12, start=121.0)
    assert times[0] == 121.0
    assert times[-1] < 123.0


def test_the_story_of_one_pause_told_by_many_lowers_the_pace_once():
    one, many = limits(), limits()
    for limited in (one, many):
        waits(limited, 20)
    one.pause(1.0, 9.0, sent_at=0.0)
    for _ in range(8):
        many.pause(1.0, 9.0, sent_at=0.0)
    assert waits(one, 20, start=1.0) == waits(many, 20, start=1.0)


def test_a_learned_pace_rises_again():
    limited = limits()
    waits(limited, 61)
    limited.pause(1.0, 59.0, sent_at=0.0)
    slow = waits(limited, 30, start=60.0)
    fast = waits(limited, 30, start=60.0 + 15 * 60)
    assert (fast[-1] - fast[5]) < (slow[-1] - slow[5]) / 5
