"""Read the bodies of requests: JSON into typed values, with an error that names the field.

Paper: none. `/get_reward` follows OpenRLHF's remote reward models (openrlhf/utils/agent.py and
openrlhf/cli/serve_rm.py): `query` texts in, `rewards` out, `prompts` and `labels` beside them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from publius.errors import DataError
from publius.preference.scale import RewardScale
from publius.preference.score import Unscored
from publius.records import Conversation, decode
from publius.serve.refusal import Refusal

MAX_ITEMS = 4096


@dataclass(frozen=True, slots=True)
class ScoreBody:
    """The body of `/score`: conversations that end with the assistant's turn."""

    conversations: tuple[Conversation, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A text of `/get_reward`, and its prompt where the client said it."""

    text: str
    prompt: str | None


def parse_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a body.

    Raises:
        Refusal: It is not JSON, or not an object.
    """
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "bad_json", f"the body is not JSON: {error!s:.200}") from error
    if not isinstance(value, dict):
        raise Refusal(422, "bad_body", "the body must be a JSON object")
    return cast(dict[str, Any], value)


def read_conversations(body: Mapping[str, Any]) -> tuple[Conversation, ...]:
    """Return the conversations of a `/score` body; unknown fields are errors.

    Raises:
        Refusal: A field is missing, unknown or of the wrong kind, or there are too many conversations.
    """
    given = body.get("conversations")
    if isinstance(given, list):
        _check_count(len(cast(list[object], given)), "conversations")  # before they are read
    try:
        return decode(ScoreBody, body).conversations
    except DataError as error:
        raise Refusal(422, "bad_body", str(error)) from error


def read_queries(body: Mapping[str, Any]) -> tuple[Query, ...]:
    """Return the texts of a `/get_reward` body; `labels` and fields of other versions are ignored.

    Raises:
        Refusal: `query` is not a list of texts, `prompts` does not go with it, or there are too many.
    """
    queries = _texts(body.get("query"), "query")
    given = body.get("prompts")
    prompts: Sequence[str | None] = [None] * len(queries) if given is None else _texts(given, "prompts")
    if len(prompts) != len(queries):
        raise Refusal(422, "bad_body", f"{len(queries)} queries came with {len(prompts)} prompts")
    _check_count(len(queries), "queries")
    return tuple(Query(text, prompt) for text, prompt in zip(queries, prompts, strict=True))


def score_answer(rewards: Sequence[float | Unscored], scale: RewardScale | None) -> dict[str, Any]:
    """Return the answer of `/score`: a result for each conversation, in order."""
    return {"results": [_result(reward, scale) for reward in rewards]}


def reward_answer(rewards: Sequence[float | Unscored]) -> dict[str, Any]:
    """Return the answer of `/get_reward`, which has no room for a missing reward.

    Raises:
        Refusal: A text has no reward; all of them are named.
    """
    unscored = tuple((i, one.reason) for i, one in enumerate(rewards) if isinstance(one, Unscored))
    if unscored:
        what = f"{len(unscored)} of {len(rewards)} texts have no reward; the first: {unscored[0][1]}"
        raise Refusal(422, "not_scored", what, items=unscored)
    return {"rewards": list(rewards), "scores": list(rewards), "extra_logs": {}}


def _result(reward: float | Unscored, scale: RewardScale | None) -> dict[str, Any]:
    if isinstance(reward, Unscored):
        return {"error": {"type": reward.kind.replace(" ", "_"), "message": reward.reason}}
    return {"reward": reward, "standardised": None if scale is None else scale.standardise(reward)}


def _texts(value: object, field: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in cast(list[object], texts)):
        raise Refusal(422, "bad_body", f"field {field!r} must be a list of texts, found {value!r:.80}")
    return cast(list[str], texts)


def _check_count(n: int, what: str) -> None:
    if n > MAX_ITEMS:
        raise Refusal(413, "too_many", f"{n} {what} in one request; the limit is {MAX_ITEMS}")
