"""When the next call may go: the user's rate limits, the server's pauses, and a pace learned from them.

Calls are spaced evenly, one per cent slower than the limit, so that no window of a minute, wherever the
server lays it, holds more than it allows. A pause that one refused call brings holds every call, and after
it they do not come back at once: each of the first ones waits a little more than the one before.

A limit that nobody told is learned. A refusal shows how many calls the server took in the last minute;
from then on calls keep a pace just below that, and the pace rises again, slowly first, while nothing is
refused.

Paper: none.
"""

from collections import deque

_WINDOW_S = 60.0
_SLOWER = 1.01  # of a limit that is known
_LEAST_TAKEN = 10  # fewer calls before a refusal say nothing about a rate
_LEARNED_SHARE = 0.95  # of a rate at which calls were refused
_KEPT_SHARE = 0.92  # of a learned pace, at most, after a further refusal
_RISE = 1.01  # to the power of the squared minutes since the last refusal
_SPREAD_S = 1.0  # over which one call a connection comes back after a pause
_CATCH_UP_S = 0.1  # sleeping too long is made up for, up to this


class RateLimits:
    """Says how long the next call must wait. All times are seconds of one clock that never goes back.

    `requests_per_minute` and `tokens_per_minute` 0 mean that no limit is known. Tokens count as a server
    must count them beforehand: the prompt's and as many as may be generated.
    """

    def __init__(self, *, requests_per_minute: float, tokens_per_minute: float, n_connections: int) -> None:
        self._space_s = _SLOWER * 60 / requests_per_minute if requests_per_minute > 0 else 0.0
        self._token_s = _SLOWER * 60 / tokens_per_minute if tokens_per_minute > 0 else 0.0
        self._n_connections = n_connections
        self._free_at = self._tokens_free_at = self._paused_until = self._paused_at = float("-inf")
        self._n_to_spread = 0
        self._sent: deque[float] = deque()
        self._learned: tuple[float, float] | None = None  # seconds between calls, and when that was learned

    def wait_s(self, now: float) -> float:
        """Return how long the next call must wait; 0 or less if it may go."""
        return max(self._free_at, self._tokens_free_at, self._paused_until) - now

    def take(self, now: float, n_tokens: int) -> None:
        """Note that a call of so many tokens goes now."""
        self._sent.append(now)
        while self._sent[0] <= now - _WINDOW_S:
            self._sent.popleft()
        space = max(self._space_s, self._learned_space_s(now))
        if self._n_to_spread > 0:
            self._n_to_spread -= 1
            space = max(space, _SPREAD_S / self._n_connections)
        self._free_at = max(self._free_at, now - _CATCH_UP_S) + space
        self._tokens_free_at = max(self._tokens_free_at, now - _CATCH_UP_S) + n_tokens * self._token_s

    def pause(self, now: float, wait_s: float, *, sent_at: float) -> None:
        """Note that a call sent at `sent_at` was refused, and nobody should call for `wait_s`."""
        if sent_at > self._paused_at:  # others that were in flight tell the same story again
            self._paused_at = now
            self._learn(now, wait_s)
        self._paused_until = max(self._paused_until, now + wait_s)
        self._free_at = max(self._free_at, self._paused_until)
        self._n_to_spread = self._n_connections

    def _learn(self, now: float, wait_s: float) -> None:
        """Set the pace from the calls of the last minute and from the time that they are to last."""
        recent = [sent for sent in self._sent if sent > now - _WINDOW_S]
        n_taken = len(recent) - 1  # the refused one; those that are refused with it are not known yet
        if n_taken < _LEAST_TAKEN:
            return
        space = (now - recent[0] + wait_s) / n_taken / _LEARNED_SHARE
        if self._learned is not None:
            space = max(space, self._learned_space_s(now) / _KEPT_SHARE)
        self._learned = (min(space, _WINDOW_S), now)

    def _learned_space_s(self, now: float) -> float:
        if self._learned is None:
            return 0.0
        space, since = self._learned
        return space / _RISE ** min(((now - since) / 60) ** 2, 1e4)
