"""Token numbers from vLLM's own `/tokenize`: exact counts, and options asked for by number.

Paper: none.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from publius.engines.http_body import NotJson, read_json
from publius.engines.http_policy import HttpAnswer
from publius.engines.http_pool import HttpPool
from publius.engines.http_retry import HttpCall
from publius.engines.openai_wire import wire_messages
from publius.engines.protocol import ChooseRequest, Failure
from publius.records import Conversation, Message, user

_ANY = (user("?"),)  # what stands before the answer does not change how its first tokens are cut


class ServerTokens:
    """The server's tokenizer. `has_logprobs`: it lists log-probabilities of tokens asked for by number."""

    def __init__(self, pool: HttpPool, model: str) -> None:
        self._pool = pool
        self._model = model
        self._ids: dict[tuple[str, str], int | None] = {}
        self.has_logprobs = False

    def count(self, messages: Conversation) -> int | None:
        """Return the prompt tokens of `messages`, or None if the server does not say."""
        ids = self._tokenize(messages, prefill="")
        return None if ids is None else len(ids)

    def option_ids(self, request: ChooseRequest) -> Sequence[int] | Failure:
        """Return the token of each option in its place, or a failure where one is not a single token.

        Empty if the server does not say; each option is asked for once.
        """
        found: list[int] = []
        for option in request.options:
            key = (request.prefill, option)
            if key not in self._ids:
                before = self._tokenize(_ANY, prefill=request.prefill)
                joined = self._tokenize(_ANY, prefill=request.prefill + option)
                alone = self._alone(option)
                if before is None or joined is None or alone is None:
                    return ()
                self._ids[key] = _option_id(before, joined, alone)
            id = self._ids[key]
            if id is None:
                return Failure(request.id, "input", f"the option {option!r} is not a single token")
            found.append(id)
        if len(set(found)) < len(found):
            return Failure(request.id, "input", f"two of the options {request.options!r} are the same token")
        return found

    def _tokenize(self, messages: Conversation, *, prefill: str) -> list[int] | None:
        opened = (*messages, Message("assistant", prefill)) if prefill else messages
        body: dict[str, object] = {"model": self._model, "messages": wire_messages(opened)}
        if prefill:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return self._ask(body)

    def _alone(self, text: str) -> list[int] | None:
        return self._ask({"model": self._model, "prompt": text, "add_special_tokens": False})

    def _ask(self, body: Mapping[str, object]) -> list[int] | None:
        outcome = self._pool.call(HttpCall("tokenize", "/tokenize", body)).outcome
        if not isinstance(outcome, HttpAnswer) or outcome.status != 200:
            return None
        try:
            tokens: object = read_json(outcome.content).get("tokens")
        except NotJson:
            return None
        if not isinstance(tokens, list) or not all(
            type(token) is int for token in cast(list[object], tokens)
        ):
            return None
        return cast(list[int], tokens)


def _option_id(before: Sequence[int], joined: Sequence[int], alone: Sequence[int]) -> int | None:
    """Return the token that the option adds to what stands before it, else the option's own if it is one."""
    if len(joined) == len(before) + 1 and list(joined[:-1]) == list(before):
        return joined[-1]
    return alone[0] if len(alone) == 1 else None
