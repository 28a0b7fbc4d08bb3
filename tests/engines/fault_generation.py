"""Sixty ways in which a server or the way to it can fail a completion over the OpenAI protocol."""

import gzip
import json
import random
from email.utils import formatdate

from .fault_kinds import ALL, RETRIES, TODAY_S, Kind, always, cut_json, error, first, said
from .fault_server import Body, Fault, Reply, completion, good, http


def _cut_body(body: Body, n_before: int, chance: random.Random) -> Reply:
    """Reset the connection after some byte of the body."""
    whole = http(200, good(body))
    start = whole.index(b"\r\n\r\n") + 4
    return Reply(whole[: chance.randrange(start, len(whole))], "reset")


def _raw_message(escaped: str) -> Fault:
    """Answer with a text that is written as JSON escapes, such as no encoder would."""
    body = json.dumps(completion("@")).replace('"@"', f'"{escaped}"').encode()
    return always(http(200, body))


def _usage(usage: object) -> Fault:
    return said(lambda answer: answer.update(usage=usage))


def _choice(**fields: object) -> Fault:
    return said(lambda answer: answer["choices"][0].update(fields))


_GOOD = json.dumps(completion("Fine.")).encode()
_HTML = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"
_BOMB = gzip.compress(b" " * (32 * 2**20))
_SOON, _PAST = formatdate(TODAY_S + 30, usegmt=True), formatdate(TODAY_S - 60, usegmt=True)
_FLAGGED = http(403, {"error": {"message": "input flagged", "code": "moderation"}})
_SSE = b'data: {"choices":[{"delta":{"content":"He"}}]}\n\n' * 2

GENERATION: tuple[Kind, ...] = (
    # the status alone
    *(Kind(f"status-{code}", always(error(code)), ALL, "engine") for code in (408, 409, 429, 500, 502)),
    *(Kind(f"status-{code}", always(error(code)), ALL, "engine") for code in (503, 529)),
    Kind("status-400", always(error(400)), 1, "input"),
    *(Kind(f"status-{code}", always(error(code)), 1, "fatal") for code in (401, 402, 403, 404)),
    Kind("status-405", always(error(405)), 1, "engine"),
    Kind("redirect", always(http(302, b"", location="http://127.0.0.2:9/v1")), 1, "engine"),
    Kind("quota-is-empty", always(error(429, "insufficient_quota")), ALL, "fatal"),
    Kind("moderated", always(_FLAGGED), 1, "model"),
    Kind("filtered-400", always(error(400, "content_filter")), 1, "model"),
    # what the server asks for
    Kind("after-seconds", first(1, error(429, retry_after="7")), 2, "done", wait_s=7),
    Kind("after-date", first(1, error(429, retry_after=_SOON)), 2, "done", wait_s=30),
    Kind("after-ms", first(1, error(429, retry_after_ms="2500", retry_after="9")), 2, "done", wait_s=2.5),
    Kind("after-120", first(1, error(503, retry_after="120")), 2, "done", wait_s=120),
    Kind("after-121", always(error(503, retry_after="121")), 1, "engine"),
    Kind("after-10^9", always(error(429, retry_after="1000000000")), 1, "engine"),
    Kind("after-0", first(2, error(429, retry_after="0")), 3, "done", wait_s=0.375),
    Kind("after-negative", first(2, error(429, retry_after="-5")), 3, "done", wait_s=0.375),
    Kind("after-nan", first(2, error(429, retry_after="nan", retry_after_ms="NaN")), 3, "done", wait_s=0.375),
    Kind("after-words", first(2, error(500, retry_after="a while")), 3, "done", wait_s=0.375),
    Kind("after-past", first(2, error(503, retry_after=_PAST)), 3, "done", wait_s=0.375),
    Kind("retry-not", always(error(500, x_should_retry="false")), 1, "engine"),
    Kind("retry-please", first(1, error(400, x_should_retry="true")), 2, "done"),
    Kind("last-try", first(RETRIES, error(500)), ALL, "done"),
    # the connection
    Kind("refused", always(b""), ALL, "engine", way="refused"),
    Kind("name-unknown", always(b""), 1, "engine", way="name"),
    Kind("certificate", always(b""), 1, "engine", way="tls"),
    Kind("no-tls", always(b""), 1, "engine", way="plain"),
    Kind("closed", always(b"", "close"), ALL, "engine"),
    Kind("reset", always(b"", "reset"), ALL, "engine"),
    Kind("reset-once", first(1, b"", "reset"), 2, "done", wait_s=0.375),
    Kind("reset-in-head", always(http(200, _GOOD)[:30], "reset"), ALL, "engine"),
    Kind("reset-in-body", _cut_body, ALL, "engine"),
    Kind("closed-in-body", always(http(200, _GOOD)[:-5], "close"), ALL, "engine"),
    Kind("silent", always(b"", "hang"), ALL, "engine", way="slow"),
    Kind("slow-drip", always(http(200, _GOOD), "drip"), ALL, "engine", way="slow"),
    Kind("no-http", always(b"SSH-2.0-OpenSSH_9.9\r\n", "close"), ALL, "engine"),
    # a body that is no answer
    Kind("cut-json", cut_json, 1, "engine"),
    Kind("html", always(http(200, _HTML, content_type="text/html")), 1, "engine"),
    Kind("stream-cut", always(http(200, _SSE, content_type="text/event-stream")), 1, "engine"),
    Kind("gzip-bomb", always(http(200, _BOMB, content_encoding="gzip")), 1, "engine"),
    Kind("gzip-broken", always(http(200, _GOOD, content_encoding="gzip")), 1, "engine"),
    Kind("deep-json", always(http(200, b"[" * 200_000)), 1, "engine"),
    Kind("error-200", always(http(200, {"error": {"message": "overloaded"}})), 1, "engine"),
    Kind("no-choices", always(http(200, {"choices": []})), 1, "engine"),
    # an answer with something wrong about it
    Kind("type-wrong", always(http(200, _GOOD, content_type="text/plain")), 1, "done", text="Fine."),
    Kind("finish-length", _choice(finish_reason="length"), 1, "done", finish="length"),
    Kind("finish-filter", _choice(finish_reason="content_filter"), 1, "model"),
    Kind("no-text", _choice(message={"role": "assistant", "content": None}), 1, "model"),
    Kind("nul", _raw_message("a\\u0000b\\u001b"), 1, "done", text="a\0b\x1b"),
    Kind("surrogates", _raw_message("\\ud800x\\udc00\\ud83d\\ude42"), 1, "done", text="\ufffdx\ufffd🙂"),
    Kind("usage-missing", said(lambda answer: answer.pop("usage")), 1, "done"),
    Kind("usage-lies", _usage({"prompt_tokens": 10**12, "completion_tokens": -4}), 1, "done"),
)
