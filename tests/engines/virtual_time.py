"""An event loop whose clock jumps over every wait: minutes of asyncio in milliseconds, in the right order."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from publius.engines.http_retry import Clock

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting, notes how long the wait would have been."""

    jumped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nobody for a time")
        self.jumped_s += max(timeout, 0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that begins at second 0 and never waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.jumped_s

    def clock(self) -> Clock:
        """Return this loop's time for a `RetryLoop`; its first second is the epoch."""
        return Clock(now=self.time, today=self.time, sleep=asyncio.sleep)


def run_virtually(loop: VirtualLoop, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; the loop is closed after."""
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
