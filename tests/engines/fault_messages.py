"""How the Anthropic Messages API can fail a completion or a vote: its error bodies, stops and contents."""

import random
from typing import Any

from .fault_choices import shares
from .fault_kinds import ALL, VOTES, End, Kind, always, first, said
from .fault_server import Body, Fault, Reply, http, question_of


def _message(text: str, stop_reason: str | None = "end_turn", **more: object) -> dict[str, Any]:
    """Return the body of a good answer."""
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 11, "output_tokens": 3},
        **more,
    }


def _good(body: Body) -> dict[str, Any]:
    return _message(f"You said: {question_of(body)}")


def _error(status: int, kind: str, message: str = "", **headers: str) -> bytes:
    """Return an error as this API writes it."""
    told = {"type": kind, "message": message or f"said {status}"}
    return http(status, {"type": "error", "error": told, "request_id": "req_1"}, **headers)


def _first(n: int, raw: bytes) -> Fault:
    return first(n, raw, answer=_good)


def _said(**fields: object) -> Fault:
    return said(lambda answer: answer.update(fields), answer=_good)


def _kind(name: str, fault: Fault, n_calls: int, end: End, **more: Any) -> Kind:
    return Kind(f"messages-{name}", fault, n_calls, end, protocol="anthropic", **more)


_OVERLOADED = _error(529, "overloaded_error", "Overloaded")
_BUSY = _error(429, "rate_limit_error", retry_after="3")
_POOR = _error(400, "invalid_request_error", "Your credit balance is too low to access the API.")
_TEXT = {"type": "text", "text": "Fine."}
_THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "x"}
_LYING = {"input_tokens": 10**12, "output_tokens": -4}

COMPLETIONS: tuple[Kind, ...] = (
    # its error bodies
    _kind("overloaded", always(_OVERLOADED), ALL, "engine"),
    _kind("overloaded-once", _first(1, _OVERLOADED), 2, "done", wait_s=0.375),
    _kind("overloaded-five-times", _first(5, _OVERLOADED), ALL, "done"),
    _kind("api-error", always(_error(500, "api_error", "Internal server error")), ALL, "engine"),
    _kind("timeout", always(_error(504, "timeout_error")), ALL, "engine"),
    _kind("rate-limit", always(_BUSY), ALL, "engine"),
    _kind("rate-limit-once", _first(1, _BUSY), 2, "done", wait_s=3),
    _kind("invalid", always(_error(400, "invalid_request_error")), 1, "input"),
    _kind("too-large", always(_error(413, "request_too_large")), 1, "input"),
    _kind("key", always(_error(401, "authentication_error")), 1, "fatal"),
    _kind("permission", always(_error(403, "permission_error")), 1, "fatal"),
    _kind("not-found", always(_error(404, "not_found_error", "model: x")), 1, "fatal"),
    _kind("billing", always(_error(402, "billing_error")), 1, "fatal"),
    _kind("credit", always(_POOR), 1, "fatal"),
    _kind("error-200", always(_error(200, "overloaded_error")), 1, "engine"),
    # how it stopped
    _kind("refusal", _said(stop_reason="refusal"), 1, "model"),
    _kind("refusal-empty", _said(stop_reason="refusal", content=[]), 1, "model"),
    _kind("tool", _said(stop_reason="tool_use"), 1, "model"),
    _kind("paused", _said(stop_reason="pause_turn"), 1, "engine"),
    _kind("stop-number", _said(stop_reason=7), 1, "engine"),
    _kind("stop-missing", _said(stop_reason=None), 1, "done"),
    _kind("cut", _said(stop_reason="max_tokens"), 1, "done", finish="length"),
    _kind("thought-only", _said(stop_reason="max_tokens", content=[_THOUGHT]), 1, "model"),
    # what it holds
    _kind("empty-content", _said(content=[]), 1, "done", text=""),
    _kind("no-content", said(lambda answer: answer.pop("content"), answer=_good), 1, "engine"),
    _kind("text-for-content", _said(content="Fine."), 1, "engine"),
    _kind("odd-blocks", _said(content=[None, 7, _THOUGHT, {"type": "text"}, _TEXT]), 1, "done", text="Fine."),
    _kind("usage-missing", said(lambda answer: answer.pop("usage"), answer=_good), 1, "done"),
    _kind("usage-lies", _said(usage=_LYING), 1, "done"),
    _kind("html", always(http(200, b"<html>hello</html>", content_type="text/html")), 1, "engine"),
    _kind("reset", always(b"", "reset"), ALL, "engine"),
)


def _vote(n: int, raw: bytes) -> Fault:
    """Fail the first `n` calls, whichever votes they are, then vote for the first option."""
    return first(n, raw, answer=lambda body: _message("1"))


def _all(reply: dict[str, Any]) -> Fault:
    def answer(body: Body, n_before: int, chance: random.Random) -> Reply:
        return Reply(http(200, reply))

    return answer


def _votes(name: str, fault: Fault, n_calls: int, end: End, **more: Any) -> Kind:
    return _kind(f"votes-{name}", fault, n_calls, end, asks="votes", **more)


_WHOLE = shares(VOTES, VOTES)
_LOST = {"probs": shares(VOTES - 1, VOTES - 1), "n_failed": 1}
_ODD = {"probs": shares(VOTES - 1, VOTES)}

VOTED: tuple[Kind, ...] = (
    _votes("one-invalid", _vote(1, _error(400, "invalid_request_error")), VOTES, "done", **_LOST),
    _votes("one-paused", _vote(1, http(200, _message("1", "pause_turn"))), VOTES, "done", **_LOST),
    _votes("one-error-200", _vote(1, _error(200, "overloaded_error")), VOTES, "done", **_LOST),
    _votes("one-refusal", _vote(1, http(200, _message("", "refusal"))), VOTES, "done", **_ODD),
    _votes("one-empty", _vote(1, http(200, _message("", content=[]))), VOTES, "done", **_ODD),
    _votes("one-thought", _vote(1, http(200, _message("", content=[_THOUGHT]))), VOTES, "done", **_ODD),
    # the votes are alike, so which of them failed cannot be told; none failed more than five times
    _votes("overloaded-five-times", _vote(5, _OVERLOADED), VOTES + 5, "done", probs=_WHOLE),
    _votes("all-overloaded", always(_OVERLOADED), VOTES * ALL, "engine"),
    _votes("all-refusals", _all(_message("", "refusal")), VOTES, "model"),
    _votes("all-invalid", always(_error(400, "invalid_request_error")), VOTES, "input"),
    _votes("credit", _vote(1, _POOR), VOTES, "fatal"),
    _votes("usage-missing", _all(_message("1", usage=None)), VOTES, "done", probs=_WHOLE),
)

MESSAGES = (*COMPLETIONS, *VOTED)
