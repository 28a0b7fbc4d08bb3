"""Many calls at once from a program that waits: an event loop in a thread, results through a queue.

`wait` blocks in the caller's thread on a queue, so Ctrl-C works there, and nothing of asyncio shows outside.

Paper: none.
"""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from publius.engines.http_limits import RateLimits
from publius.engines.http_policy import HttpOutcome, HttpPolicy
from publius.engines.http_retry import Clock, HttpCall, HttpResult, RetryLoop
from publius.errors import EngineError

T = TypeVar("T")
_HEARTBEAT_S = 1.0  # on Windows a blocked get cannot be interrupted; and a dead thread is noticed
_CLOSING_S = 5.0


class Sender(Protocol):
    """Makes one attempt at a call (see `http_send.py`)."""

    def __call__(self, call: HttpCall) -> Awaitable[HttpOutcome]:
        """Return what came of it."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a pool calls. 0 calls or tokens a minute: no limit is known. `seed` is that of the jitter."""

    n_connections: int = 32
    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    policy: HttpPolicy = field(default_factory=HttpPolicy)
    clock: Clock = field(default_factory=Clock)
    seed: int | None = None


class HttpPool:
    """Calls in by `submit`, results out of `wait` in any order. Used by one thread.

    `open_sender` is called once, at the first call.
    """

    def __init__(self, open_sender: Callable[[], Sender], settings: PoolSettings) -> None:
        self._open_sender = open_sender
        self._settings = settings
        self._queue: SimpleQueue[tuple[int, HttpResult | BaseException]] = SimpleQueue()
        self._round = 0  # what was begun before the last cancel is of an older round
        self._n_in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker: _Worker | None = None
        self._is_closed = False

    @property
    def n_in_flight(self) -> int:
        """How many results are still to come."""
        return self._n_in_flight

    def submit(self, calls: Sequence[HttpCall]) -> None:
        """Begin the calls; each gets exactly one result."""
        worker, begun_in = self._started(), self._round
        self._n_in_flight += len(calls)

        def begin() -> None:
            for call in calls:
                task = asyncio.ensure_future(self._carry(worker.retry_loop, call, begun_in))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        worker.loop.call_soon_threadsafe(begin)

    def wait(self) -> list[HttpResult]:
        """Return the results that came since the last call, at least one; none if nothing is in flight.

        Raises:
            EngineError: The thread that makes the calls is gone.
        """
        results: list[HttpResult] = []
        while self._n_in_flight and not results:
            try:
                self._take(results, timeout_s=_HEARTBEAT_S)
                while self._n_in_flight:
                    self._take(results, timeout_s=0)
            except Empty:
                self._check_alive()
        return results

    def call(self, call: HttpCall, policy: HttpPolicy | None = None) -> HttpResult:
        """Make one call and return its result, beside what is in flight."""
        worker = self._started()
        return worker.run(worker.retry_loop.carry(call, policy))

    def cancel(self) -> None:
        """Break off every call in flight; their results never come."""
        self._round += 1
        self._n_in_flight = 0
        if self._worker is not None:
            self._worker.loop.call_soon_threadsafe(self._cancel_tasks)

    def close(self) -> None:
        """Break off everything and end the thread; nothing can be called after."""
        self._is_closed = True
        self.cancel()
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _started(self) -> "_Worker":
        if self._is_closed:
            raise EngineError("the engine is closed", todo="open it again")
        if self._worker is None:
            self._worker = _Worker(self._open_sender(), self._settings)
        return self._worker

    async def _carry(self, retry_loop: RetryLoop, call: HttpCall, begun_in: int) -> None:
        try:
            self._queue.put((begun_in, await retry_loop.carry(call)))
        except Exception as error:  # a defect of ours: `wait` raises it, where it can be seen
            self._queue.put((begun_in, error))

    def _take(self, results: list[HttpResult], *, timeout_s: float) -> None:
        begun_in, result = self._queue.get(block=timeout_s > 0, timeout=timeout_s or None)
        if begun_in != self._round:
            return
        self._n_in_flight -= 1
        if isinstance(result, BaseException):
            raise result
        results.append(result)

    def _check_alive(self) -> None:
        if self._worker is None or not self._worker.is_alive():
            raise EngineError("the thread that calls the server has ended", todo="run the same command again")

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()


class _Worker:
    """A thread with an event loop, and what runs in it."""

    def __init__(self, sender: Sender, settings: PoolSettings) -> None:
        self.loop = asyncio.new_event_loop()
        self._sender = sender
        self.retry_loop = RetryLoop(
            sender,
            policy=settings.policy,
            limits=RateLimits(
                requests_per_minute=settings.requests_per_minute,
                tokens_per_minute=settings.tokens_per_minute,
                n_connections=settings.n_connections,
            ),
            n_connections=settings.n_connections,
            jitter=random.Random(settings.seed).random,
            clock=settings.clock,
        )
        self._thread = threading.Thread(target=self._run, name="publius-http", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the loop and return its result."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """Close the connections, end the loop, and wait for the thread."""
        if self.is_alive():
            asyncio.run_coroutine_threadsafe(self._shut(), self.loop)
            self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    async def _shut(self) -> None:
        """Let broken-off calls end, so that no connection is left open, then close."""
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        try:
            await self._sender.close()
        finally:
            self.loop.stop()
