"""What a kind of fault is: what the server does, and what the policy says must come of it.

The kinds themselves are in `fault_generation.py`, `fault_choices.py` and `fault_messages.py`.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .fault_server import Body, Fault, Reply, good, http

RETRIES = 5
ALL = RETRIES + 1
VOTES = 4  # of a choice that is made by votes
TODAY_S = 1_800_000_000.0  # what the runs take for today, for dates in Retry-After

End: TypeAlias = Literal["done", "input", "engine", "model", "fatal"]
Answering: TypeAlias = Callable[[Body], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """`n_calls` each item must make; `end` is an answer, the owner of a failure, or the end of the run.

    `wait_s` lies between the first call and the second; 0.375 is the first wait with all its jitter.
    `text` and `finish` are those of a completion, `probs` the probabilities of the options "1" and "2",
    `n_failed` the votes without one. `way` is how the server is reached: kinds other than "http" and "slow"
    never get so far as to ask.
    """

    name: str
    fault: Fault
    n_calls: int
    end: End
    wait_s: float = 0.0
    text: str | None = None
    finish: Literal["stop", "length"] = "stop"
    way: Literal["http", "refused", "name", "tls", "plain", "slow"] = "http"
    asks: Literal["completion", "choice", "votes"] = "completion"
    protocol: Literal["openai", "anthropic"] = "openai"
    probs: tuple[float, float] | None = None
    n_failed: int = 0


def always(raw: bytes, end: Literal["keep", "close", "reset", "hang", "drip"] = "keep") -> Fault:
    return lambda body, n_before, chance: Reply(raw, end)


def first(
    n: int, raw: bytes, end: Literal["keep", "close", "reset"] = "keep", *, answer: Answering = good
) -> Fault:
    """Fail the first `n` calls of an item, then answer."""

    def reply(body: Body, n_before: int, chance: random.Random) -> Reply:
        return Reply(raw, end) if n_before < n else Reply(http(200, answer(body)))

    return reply


def said(change: Callable[[dict[str, Any]], object], *, answer: Answering = good) -> Fault:
    """Answer well but for what `change` does to the body."""

    def reply(body: Body, n_before: int, chance: random.Random) -> Reply:
        changed = answer(body)
        change(changed)
        return Reply(http(200, changed))

    return reply


def cut_json(body: Body, n_before: int, chance: random.Random) -> Reply:
    """Send part of the JSON as if it were all."""
    whole = json.dumps(good(body)).encode()
    return Reply(http(200, whole[: chance.randrange(1, len(whole))]))


def error(status: int, code: str | None = None, **headers: str) -> bytes:
    return http(status, {"error": {"message": f"said {status}", "code": code}}, **headers)
