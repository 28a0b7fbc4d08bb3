"""How a choice can fail: lists of log-probabilities with something wrong about them, and votes."""

import json
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from publius.records import derive_seed

from .fault_kinds import ALL, VOTES, End, Kind, always, cut_json, error, first, said
from .fault_server import Body, Fault, Reply, completion, http, logprobs, question_of

_LISTED = {"1": -0.2, "2": -2.0, "x": -6.0}
_PROBS = (math.exp(-0.2), math.exp(-2.0))
_BOUNDED = (math.exp(-0.2), 1 - math.exp(-0.2))  # the second is not listed: no more than what is left
_HTML = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"


def _list(logprobs: object) -> Fault:
    """Answer with these log-probabilities."""
    return said(lambda answer: answer["choices"][0].update(logprobs=logprobs))


def _listed(listed: Mapping[str, object]) -> Fault:
    top = [{"token": token, "logprob": value} for token, value in listed.items()]
    return _list({"content": [{**top[0], "top_logprobs": top}]})


def _choice(name: str, fault: Fault, n_calls: int, end: End, **more: Any) -> Kind:
    return Kind(f"choice-{name}", fault, n_calls, end, asks="choice", **more)


_TWO = {
    **completion("1", "length")["choices"][0],
    "logprobs": {
        "content": [{"token": "1", "logprob": -0.2, "top_logprobs": [{"token": "2", "logprob": "?"}]}]
    },
}
_SECOND = {"content": [*logprobs({"a": -0.1, "b": -3.0})["content"], *logprobs(_LISTED)["content"]]}
_NAN, _ZERO = (
    json.dumps({**completion("1", "length"), "choices": [_TWO]}).replace('"?"', name).encode()
    for name in ("NaN", "-Infinity")
)

CHOICES: tuple[Kind, ...] = (
    # no list, or one that cannot be one
    _choice("without-list", said(lambda answer: answer["choices"][0].pop("logprobs")), 1, "engine"),
    _choice("null-list", _list(None), 1, "engine"),
    _choice("empty-list", _list({"content": []}), 1, "engine"),
    _choice("text-for-list", _list("1: 82 %"), 1, "engine"),
    _choice("old-form", _list({"tokens": ["1"], "token_logprobs": [-0.2]}), 1, "engine"),
    _choice("nameless", _list({"content": [{"logprob": -0.2, "top_logprobs": [{}]}]}), 1, "engine"),
    _choice("nan", always(http(200, _NAN)), 1, "engine"),
    _choice("minus-infinity", always(http(200, _ZERO)), 1, "done", probs=_BOUNDED),
    _choice("positive", _listed({"1": 0.5, "2": -2.0}), 1, "engine"),
    _choice("too-much", _listed({"1": -0.2, "2": -0.3}), 1, "engine"),
    _choice("huge", _listed({"1": -0.2, "2": -(10**400)}), 1, "engine"),
    # a list that says less than it should
    _choice("one-option", _listed({"1": -0.2, "x": -3.0}), 1, "done", probs=(math.exp(-0.2), math.exp(-3))),
    _choice("cut-list", _listed({"1": -0.2}), 1, "done", probs=_BOUNDED),
    _choice("null-number", _listed({"1": -0.2, "2": None}), 1, "done", probs=_BOUNDED),
    _choice("text-number", _listed({"1": -0.2, "2": "-2.0"}), 1, "done", probs=_BOUNDED),
    _choice("no-option", _listed({"I": -0.2, "The": -2.0}), 1, "model"),
    _choice("wrong-place", _list(_SECOND), 1, "model"),
    _choice("spaced", _listed({" 1": -0.2, " 2": -2.0}), 1, "done", probs=_PROBS),
    _choice("twice", _listed({"1": -0.2, "2": -2.0, " 1": -4.0}), 1, "done", probs=_PROBS),
    # around the list
    _choice("finish-filter", said(lambda answer: _finish(answer, "content_filter")), 1, "model"),
    _choice("finish-strange", said(lambda answer: _finish(answer, "gone")), 1, "engine"),
    _choice("no-choices", always(http(200, {"choices": []})), 1, "engine"),
    _choice("error-200", always(http(200, {"error": {"message": "overloaded"}})), 1, "engine"),
    _choice("cut-json", cut_json, 1, "engine"),
    _choice("usage-lies", said(lambda answer: answer.update(usage={"prompt_tokens": -4})), 1, "done"),
    _choice("status-400", always(error(400)), 1, "input"),
    _choice("status-401", always(error(401)), 1, "fatal"),
    _choice("status-500", always(error(500)), ALL, "engine"),
    _choice("status-500-once", first(1, error(500)), 2, "done", wait_s=0.375, probs=_PROBS),
    _choice("after-seconds", first(1, error(429, retry_after="7")), 2, "done", wait_s=7, probs=_PROBS),
    _choice("reset", always(b"", "reset"), ALL, "engine"),
)


def _finish(answer: dict[str, Any], reason: str) -> None:
    answer["choices"][0]["finish_reason"] = reason


def _ballot(text: str | None = "1", finish: str = "stop") -> dict[str, Any]:
    return completion(text, finish)


def _vote(n: int, raw: bytes, end: Any = "keep") -> Fault:
    """Fail the first `n` calls, whichever votes they are, then vote for the first option."""
    return first(n, raw, end, answer=lambda body: _ballot())


def _one_vote(raw: bytes, end: Any = "keep") -> Fault:
    """Fail the same vote however often it is asked, and no other."""

    def reply(body: Body, n_before: int, chance: random.Random) -> Reply:
        is_it = body["seed"] == derive_seed(0, question_of(body), "vote", 0)
        return Reply(raw, end) if is_it else Reply(http(200, _ballot()))

    return reply


def _all(ballot: Callable[[], dict[str, Any]]) -> Fault:
    return lambda body, n_before, chance: Reply(http(200, ballot()))


def _votes(name: str, fault: Fault, n_calls: int, end: End, **more: Any) -> Kind:
    return Kind(f"votes-{name}", fault, n_calls, end, asks="votes", **more)


def shares(n_first: int, n_came: int) -> tuple[float, float]:
    """Return the probabilities where `n_first` of the votes that came are for "1" and none for "2"."""
    return (n_first + 0.5) / (n_first + 1) * n_first / n_came, 0.5 / (n_first + 1) * n_first / n_came


_WHOLE, _LESS, _UNREAD = shares(VOTES, VOTES), shares(VOTES - 1, VOTES - 1), shares(VOTES - 1, VOTES)
_LOST = {"probs": _LESS, "n_failed": 1}  # one vote did not come; the others count
_ODD = {"probs": _UNREAD}  # one vote came and names no option

VOTED: tuple[Kind, ...] = (
    # one vote fails
    _votes("one-400", _vote(1, error(400)), VOTES, "done", **_LOST),
    _votes("one-403", _vote(1, error(403)), VOTES, "done", **_LOST),
    _votes("one-404", _vote(1, error(404)), VOTES, "done", **_LOST),
    _votes("one-405", _vote(1, error(405)), VOTES, "done", **_LOST),
    _votes("one-moderated", _vote(1, error(400, "content_filter")), VOTES, "done", **_LOST),
    _votes("one-500", _one_vote(error(500)), VOTES - 1 + ALL, "done", **_LOST),
    _votes("one-reset", _one_vote(b"", "reset"), VOTES - 1 + ALL, "done", **_LOST),
    _votes("one-after-121", _one_vote(error(503, retry_after="121")), VOTES, "done", **_LOST),
    _votes("one-html", _vote(1, http(200, _HTML, content_type="text/html")), VOTES, "done", **_LOST),
    _votes("one-no-choices", _vote(1, http(200, {"choices": []})), VOTES, "done", **_LOST),
    _votes("one-500-once", _vote(1, error(500)), VOTES + 1, "done", probs=_WHOLE),
    _votes("one-429-once", _vote(1, error(429, retry_after="7")), VOTES + 1, "done", probs=_WHOLE),
    # one vote cannot be read
    _votes("one-chat", _vote(1, http(200, _ballot("I would say 1"))), VOTES, "done", **_ODD),
    _votes("one-empty", _vote(1, http(200, _ballot(""))), VOTES, "done", **_ODD),
    _votes("one-null", _vote(1, http(200, _ballot(None))), VOTES, "done", **_ODD),
    _votes("one-filtered", _vote(1, http(200, _ballot("1", "content_filter"))), VOTES, "done", **_ODD),
    # all of them
    _votes("all-chat", _all(lambda: _ballot("I would say", "length")), VOTES, "model"),
    _votes("all-filtered", _all(lambda: _ballot(None, "content_filter")), VOTES, "model"),
    _votes("all-400", always(error(400)), VOTES, "input"),
    _votes("all-500", always(error(500)), VOTES * ALL, "engine"),
    _votes("all-html", always(http(200, _HTML, content_type="text/html")), VOTES, "engine"),
    _votes("all-404", always(error(404)), VOTES, "fatal"),
    _votes("one-401", _vote(1, error(401)), VOTES, "fatal"),
    _votes("usage-missing", _all(lambda: _ballot() | {"usage": None}), VOTES, "done", probs=_WHOLE),
)
