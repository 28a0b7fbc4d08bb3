"""Sixty ways in which a server or the way to it can fail, and what the policy says must come of each.

A kind says what the server does, how many calls an item makes (with five retries), and how the item ends.
Where the server asks for a wait, the next call must not come sooner.
"""

import gzip
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Literal

from .fault_server import Body, Fault, Reply, completion, good, http

RETRIES = 5
ALL = RETRIES + 1
TODAY_S = 1_800_000_000.0  # what the runs take for today, for dates in Retry-After

End = Literal["done", "input", "engine", "model", "fatal"]


@dataclass(frozen=True, slots=True)
class Kind:
    """`n_calls` each item must make; `end` is an answer, the owner of a failure, or the end of the run.

    `wait_s` lies between the first call and the second; 0.375 is the first wait with all its jitter.
    `text` and `finish` are those of the answer. `way` is how the server is reached: kinds other than
    "http" and "slow" never get so far as to ask.
    """

    name: str
    fault: Fault
    n_calls: int
    end: End
    wait_s: float = 0.0
    text: str | None = None
    finish: Literal["stop", "length"] = "stop"
    way: Literal["http", "refused", "name", "tls", "plain", "slow"] = "http"


def _always(raw: bytes, end: Literal["keep", "close", "reset", "hang", "drip"] = "keep") -> Fault:
    return lambda body, n_before, chance: Reply(raw, end)


def _first(n: int, raw: bytes, end: Literal["keep", "close", "reset"] = "keep") -> Fault:
    """Fail the first `n` calls of an item, then answer."""

    def reply(body: Body, n_before: int, chance: random.Random) -> Reply:
        return Reply(raw, end) if n_before < n else Reply(http(200, good(body)))

    return reply


def _said(change: Callable[[dict[str, Any]], object]) -> Fault:
    """Answer well but for what `change` does to the body."""

    def reply(body: Body, n_before: int, chance: random.Random) -> Reply:
        answer = good(body)
        change(answer)
        return Reply(http(200, answer))

    return reply


def _cut_body(body: Body, n_before: int, chance: random.Random) -> Reply:
    """Reset the connection after some byte of the body."""
    whole = http(200, good(body))
    start = whole.index(b"\r\n\r\n") + 4
    return Reply(whole[: chance.randrange(start, len(whole))], "reset")


def _cut_json(body: Body, n_before: int, chance: random.Random) -> Reply:
    """Send part of the JSON as if it were all."""
    whole = json.dumps(good(body)).encode()
    return Reply(http(200, whole[: chance.randrange(1, len(whole))]))


def _raw_message(escaped: str) -> Fault:
    """Answer with a text that is written as JSON escapes, such as no encoder would."""
    body = json.dumps(completion("@")).replace('"@"', f'"{escaped}"').encode()
    return _always(http(200, body))


def _error(status: int, code: str | None = None, **headers: str) -> bytes:
    return http(status, {"error": {"message": f"said {status}", "code": code}}, **headers)


def _usage(usage: object) -> Fault:
    return _said(lambda answer: answer.update(usage=usage))


def _choice(**fields: object) -> Fault:
    return _said(lambda answer: answer["choices"][0].update(fields))


_GOOD = json.dumps(completion("Fine.")).encode()
_HTML = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"
_BOMB = gzip.compress(b" " * (32 * 2**20))
_SOON, _PAST = formatdate(TODAY_S + 30, usegmt=True), formatdate(TODAY_S - 60, usegmt=True)
_FLAGGED = http(403, {"error": {"message": "input flagged", "code": "moderation"}})
_SSE = b'data: {"choices":[{"delta":{"content":"He"}}]}\n\n' * 2

KINDS: tuple[Kind, ...] = (
    # the status alone
    *(Kind(f"status-{code}", _always(_error(code)), ALL, "engine") for code in (408, 409, 429, 500, 502)),
    *(Kind(f"status-{code}", _always(_error(code)), ALL, "engine") for code in (503, 529)),
    Kind("status-400", _always(_error(400)), 1, "input"),
    *(Kind(f"status-{code}", _always(_error(code)), 1, "fatal") for code in (401, 402, 403, 404)),
    Kind("status-405", _always(_error(405)), 1, "engine"),
    Kind("redirect", _always(http(302, b"", location="http://127.0.0.2:9/v1")), 1, "engine"),
    Kind("quota-is-empty", _always(_error(429, "insufficient_quota")), ALL, "fatal"),
    Kind("moderated", _always(_FLAGGED), 1, "model"),
    Kind("filtered-400", _always(_error(400, "content_filter")), 1, "model"),
    # what the server asks for
    Kind("after-seconds", _first(1, _error(429, retry_after="7")), 2, "done", wait_s=7),
    Kind("after-date", _first(1, _error(429, retry_after=_SOON)), 2, "done", wait_s=30),
    Kind("after-ms", _first(1, _error(429, retry_after_ms="2500", retry_after="9")), 2, "done", wait_s=2.5),
    Kind("after-120", _first(1, _error(503, retry_after="120")), 2, "done", wait_s=120),
    Kind("after-121", _always(_error(503, retry_after="121")), 1, "engine"),
    Kind("after-10^9", _always(_error(429, retry_after="1000000000")), 1, "engine"),
    Kind("after-0", _first(2, _error(429, retry_after="0")), 3, "done", wait_s=0.375),
    Kind("after-negative", _first(2, _error(429, retry_after="-5")), 3, "done", wait_s=0.375),
    Kind(
        "after-nan", _first(2, _error(429, retry_after="nan", retry_after_ms="NaN")), 3, "done", wait_s=0.375
    ),
    Kind("after-words", _first(2, _error(500, retry_after="a while")), 3, "done", wait_s=0.375),
    Kind("after-past", _first(2, _error(503, retry_after=_PAST)), 3, "done", wait_s=0.375),
    Kind("retry-not", _always(_error(500, x_should_retry="false")), 1, "engine"),
    Kind("retry-please", _first(1, _error(400, x_should_retry="true")), 2, "done"),
    Kind("last-try", _first(RETRIES, _error(500)), ALL, "done"),
    # the connection
    Kind("refused", _always(b""), ALL, "engine", way="refused"),
    Kind("name-unknown", _always(b""), 1, "engine", way="name"),
    Kind("certificate", _always(b""), 1, "engine", way="tls"),
    Kind("no-tls", _always(b""), 1, "engine", way="plain"),
    Kind("closed", _always(b"", "close"), ALL, "engine"),
    Kind("reset", _always(b"", "reset"), ALL, "engine"),
    Kind("reset-once", _first(1, b"", "reset"), 2, "done", wait_s=0.375),
    Kind("reset-in-head", _always(http(200, _GOOD)[:30], "reset"), ALL, "engine"),
    Kind("reset-in-body", _cut_body, ALL, "engine"),
    Kind("closed-in-body", _always(http(200, _GOOD)[:-5], "close"), ALL, "engine"),
    Kind("silent", _always(b"", "hang"), ALL, "engine", way="slow"),
    Kind("slow-drip", _always(http(200, _GOOD), "drip"), ALL, "engine", way="slow"),
    Kind("no-http", _always(b"SSH-2.0-OpenSSH_9.9\r\n", "close"), ALL, "engine"),
    # a body that is no answer
    Kind("cut-json", _cut_json, 1, "engine"),
    Kind("html", _always(http(200, _HTML, content_type="text/html")), 1, "engine"),
    Kind("stream-cut", _always(http(200, _SSE, content_type="text/event-stream")), 1, "engine"),
    Kind("gzip-bomb", _always(http(200, _BOMB, content_encoding="gzip")), 1, "engine"),
    Kind("gzip-broken", _always(http(200, _GOOD, content_encoding="gzip")), 1, "engine"),
    Kind("deep-json", _always(http(200, b"[" * 200_000)), 1, "engine"),
    Kind("error-200", _always(http(200, {"error": {"message": "overloaded"}})), 1, "engine"),
    Kind("no-choices", _always(http(200, {"choices": []})), 1, "engine"),
    # an answer with something wrong about it
    Kind("type-wrong", _always(http(200, _GOOD, content_type="text/plain")), 1, "done", text="Fine."),
    Kind("finish-length", _choice(finish_reason="length"), 1, "done", finish="length"),
    Kind("finish-filter", _choice(finish_reason="content_filter"), 1, "model"),
    Kind("no-text", _choice(message={"role": "assistant", "content": None}), 1, "model"),
    Kind("nul", _raw_message("a\\u0000b\\u001b"), 1, "done", text="a\0b\x1b"),
    Kind("surrogates", _raw_message("\\ud800x\\udc00\\ud83d\\ude42"), 1, "done", text="\ufffdx\ufffd🙂"),
    Kind("usage-missing", _said(lambda answer: answer.pop("usage")), 1, "done"),
    Kind("usage-lies", _usage({"prompt_tokens": 10**12, "completion_tokens": -4}), 1, "done"),
)

FAULTS: Mapping[str, Fault] = {kind.name: kind.fault for kind in KINDS}
