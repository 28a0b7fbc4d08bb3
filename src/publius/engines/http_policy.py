"""Which call to a server is made again, when, and whose fault it is that no more are made.

The one retry loop of all remote engines follows the OpenAI SDK: 408, 409, 429 and every status from 500 on,
connection errors, read errors and timeouts are tried again; anything else would fail again. The server's
`x-should-retry` has the last word. It may also say how long to wait, as `retry-after-ms`, or as
`Retry-After` in seconds or as an HTTP date; that is obeyed to the letter up to a cap, and a longer wait
means no retry. Without a usable word the waits double, from half a second up to eight, with jitter.

Departure from that SDK: a pause that 429, 503 or 529 asks for is a pause of everybody, not of one request
(see `http_limits.py`); certificates that do not verify, host names that do not exist and bodies whose
compression is broken are not retried.

Paper: none.
"""

import email.utils
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

FaultKind: TypeAlias = Literal[
    "connect", "read", "timeout", "protocol", "name", "tls", "too-large", "encoding", "unsendable"
]

_RETRIED_STATUS = frozenset((408, 409, 429))
_RETRIED_FAULT: frozenset[FaultKind] = frozenset(("connect", "read", "timeout", "protocol"))
_PAUSES_ALL = frozenset((429, 503, 529))


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """How often and how long. Times in seconds; `retry_after_max_s` caps what a server may ask for."""

    max_retries: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 8.0
    retry_after_max_s: float = 120.0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer. The names of `headers` are in lower case; `content` is decoded."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class HttpFault:
    """No answer, or none that could be read whole: what happened, in words fit to be shown."""

    kind: FaultKind
    reason: str


HttpOutcome: TypeAlias = HttpAnswer | HttpFault


@dataclass(frozen=True, slots=True)
class Retry:
    """Call again after `wait_s`. `pauses_all` if nobody should call before."""

    wait_s: float
    pauses_all: bool


def next_try(
    outcome: HttpOutcome, n_retries: int, policy: HttpPolicy, *, jitter: float, now: float
) -> Retry | None:
    """Return how to go on after `outcome`, when `n_retries` were made before; None if it is final.

    `jitter` is in [0, 1): it takes up to a quarter off the wait. `now` is seconds since the epoch, for dates.

    >>> next_try(HttpFault("connect", "refused"), 1, HttpPolicy(), jitter=0.0, now=0.0)
    Retry(wait_s=1.0, pauses_all=False)
    >>> next_try(HttpAnswer(400, {}, b""), 0, HttpPolicy(), jitter=0.0, now=0.0) is None
    True
    """
    if n_retries >= policy.max_retries or not _is_retried(outcome):
        return None
    asked = retry_after_s(outcome.headers, now=now) if isinstance(outcome, HttpAnswer) else None
    if asked is not None and asked > policy.retry_after_max_s:
        return None
    status = outcome.status if isinstance(outcome, HttpAnswer) else 0
    pauses_all = status == 429 or (status in _PAUSES_ALL and asked is not None)
    return Retry(backoff_s(n_retries, policy, jitter=jitter) if asked is None else asked, pauses_all)


def backoff_s(n_retries: int, policy: HttpPolicy, *, jitter: float) -> float:
    """Return the wait in seconds after `n_retries`: doubling, capped, and up to a quarter less by `jitter`.

    >>> [backoff_s(n, HttpPolicy(), jitter=0.0) for n in (0, 1, 2, 3, 4, 5, 5000)]
    [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    """
    whole = min(policy.first_wait_s * 2 ** min(n_retries, 60), policy.longest_wait_s)
    return whole * (1 - 0.25 * jitter)


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the seconds that the server asks to wait, or None if it says nothing that can be a wait.

    Zero, negative numbers, NaN, dates of the past and garbage are no wait. The result has no cap.

    >>> retry_after_s({"retry-after-ms": "1500"}, now=0.0), retry_after_s({"retry-after": "7"}, now=0.0)
    (1.5, 7.0)
    >>> retry_after_s({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=20.0)
    40.0
    >>> retry_after_s({"retry-after": "soon"}, now=0.0) is None
    True
    """
    for seconds in (
        _number(headers.get("retry-after-ms")) / 1000,
        _number(headers.get("retry-after")),
        _date(headers.get("retry-after")) - now,
    ):
        if 0 < seconds < math.inf:  # NaN is not
            return seconds
    return None


def _is_retried(outcome: HttpOutcome) -> bool:
    if isinstance(outcome, HttpFault):
        return outcome.kind in _RETRIED_FAULT
    if 200 <= outcome.status < 300:
        return False  # an answer is an answer, whatever the server says beside it
    said = outcome.headers.get("x-should-retry", "").strip().lower()
    if said in ("true", "false"):
        return said == "true"
    return outcome.status in _RETRIED_STATUS or outcome.status >= 500


def _number(text: str | None) -> float:
    """Return the number, or NaN."""
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan


def _date(text: str | None) -> float:
    """Return the HTTP date as seconds since the epoch, or NaN."""
    parsed = email.utils.parsedate_tz(text) if text else None
    try:
        return float(email.utils.mktime_tz(parsed)) if parsed is not None else math.nan
    except (ValueError, OverflowError):
        return math.nan
