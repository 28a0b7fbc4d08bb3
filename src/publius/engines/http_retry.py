"""The one retry loop: a call goes out when there is a connection and a turn for it, again if it must.

Nothing here knows a protocol, a thread or the network: `send` makes one attempt, `Clock` tells the time.
Connections open one after the other over two seconds from the first moment when one is not enough: a server
is not met by all of them at once, and a program that dies soon, of a wrong setting say, has few calls to ask
again.

Paper: none.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from publius.engines.http_limits import RateLimits
from publius.engines.http_policy import HttpOutcome, HttpPolicy, next_try

_OPENING_S = 2.0  # until all connections are open
_OPENING_SPACE_S = 0.1  # at most, between two of them


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One question to a server. `path` follows the base URL; `n_tokens` counts for the token limit."""

    id: str
    path: str
    body: Mapping[str, object] | None = None
    n_tokens: int = 0
    method: Literal["POST", "GET"] = "POST"


@dataclass(frozen=True, slots=True)
class HttpResult:
    """How a call ended, after `n_calls` attempts."""

    id: str
    outcome: HttpOutcome
    n_calls: int


Send: TypeAlias = Callable[[HttpCall], Awaitable[HttpOutcome]]


@dataclass(frozen=True, slots=True)
class Clock:
    """The time, and how to wait. `today` is seconds since the epoch, `now` never goes back."""

    now: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class RetryLoop:
    """Carries calls to the end, at most `n_connections` at a time, in the order in which they came.

    `jitter` returns numbers in [0, 1). All methods run in one event loop.
    """

    def __init__(
        self,
        send: Send,
        *,
        policy: HttpPolicy,
        limits: RateLimits,
        n_connections: int,
        jitter: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._send = send
        self._policy = policy
        self._limits = limits
        self._n_connections = n_connections
        self._slots = asyncio.Semaphore(1)
        self._opening: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._jitter = jitter
        self._clock = clock

    async def carry(self, call: HttpCall, policy: HttpPolicy | None = None) -> HttpResult:
        """Return how `call` ended, by the loop's policy or by one of its own."""
        policy = policy or self._policy
        n_retries = 0
        while True:
            if self._opening is None and self._slots.locked():
                self._opening = asyncio.ensure_future(self._open_connections())
            async with self._slots:
                sent_at = await self._take_turn(call.n_tokens)
                outcome = await self._send(call)
            now, today = self._clock.now(), self._clock.today()
            retry = next_try(outcome, n_retries, policy, jitter=self._jitter(), now=today)
            if retry is None:
                return HttpResult(call.id, outcome, n_retries + 1)
            n_retries += 1
            if retry.pauses_all:
                self._limits.pause(now, retry.wait_s, sent_at=sent_at)
            await self._clock.sleep(retry.wait_s)

    async def _open_connections(self) -> None:
        space_s = min(_OPENING_S / self._n_connections, _OPENING_SPACE_S)
        for _ in range(self._n_connections - 1):
            await self._clock.sleep(space_s)
            self._slots.release()

    async def _take_turn(self, n_tokens: int) -> float:
        """Wait until the limits let the next call go, one caller at a time; return when that was."""
        async with self._turn:
            while (wait_s := self._limits.wait_s(self._clock.now())) > 0:
                await self._clock.sleep(wait_s)
            now = self._clock.now()
            self._limits.take(now, n_tokens)
            return now
