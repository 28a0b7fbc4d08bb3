"""Requests and answers as rows of text, which is how they travel through a cluster.

A row is ASCII JSON with a number that the driver gives out once, so that an answer which comes twice (a
worker died after it had answered) is known by its number. An empty row stands for one that is answered.

Paper: none.
"""

import json
from typing import Any, NamedTuple, TypeAlias

from publius.engines.http_refusals import Fatal
from publius.engines.protocol import (
    Answer,
    Choice,
    ChooseRequest,
    Completion,
    Failure,
    GenerateRequest,
    Request,
    Score,
    ScoreRequest,
)
from publius.records import decode, encode

ANSWERED = ""
Outcome: TypeAlias = Answer | Fatal

_REQUESTS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (GenerateRequest, ChooseRequest, ScoreRequest)
}
_OUTCOMES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Completion, Choice, Score, Failure, Fatal)
}


class NumberedRequest(NamedTuple):
    """A request as a worker gets it."""

    number: int
    request: Request


class NumberedOutcome(NamedTuple):
    """What came of the request with this number."""

    number: int
    outcome: Outcome


def request_row(number: int, request: Request) -> str:
    """Return a request as a row.

    >>> from publius.records import user
    >>> row = request_row(3, ChooseRequest("r", (user("é"),), ("1", "2")))
    >>> row.isascii(), read_request(row).request.id
    (True, 'r')
    """
    return _row(number, request)


def outcome_row(number: int, outcome: Outcome) -> str:
    """Return an outcome as a row.

    >>> read_outcome(outcome_row(3, Failure("r", "engine", "gone"))).outcome.reason
    'gone'
    """
    return _row(number, outcome)


def read_request(row: str) -> NumberedRequest:
    """Return the request in a row that `request_row` made."""
    number, kind, value = json.loads(row)
    return NumberedRequest(number, decode(_REQUESTS[kind], value))


def read_outcome(row: str) -> NumberedOutcome:
    """Return the outcome in a row that `outcome_row` made."""
    number, kind, value = json.loads(row)
    return NumberedOutcome(number, decode(_OUTCOMES[kind], value))


def _row(number: int, value: Request | Outcome) -> str:
    return json.dumps([number, type(value).__name__, encode(value)], separators=(",", ":"))
