"""How many tokens a call took: the server's count where it can be true, for it is billed by it.

Paper: none.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from publius.engines.protocol import ChooseRequest, GenerateRequest
from publius.engines.token_estimate import likely_prompt_tokens, likely_tokens, n_bytes_of, n_text_bytes


class Usage(NamedTuple):
    """Tokens read and written."""

    prompt: int
    answer: int


def read_usage(
    body: Mapping[str, Any], request: GenerateRequest | ChooseRequest, *, text: str, n_limit: int
) -> Usage:
    """Return the tokens that the server counted where that is possible, else about how many there are.

    `text` is the answer; it cannot have more than `n_limit` tokens, and thinking before it counts as well.

    >>> from publius.records import user
    >>> read_usage({"usage": {"prompt_tokens": 9, "completion_tokens": 10**9}},
    ...     ChooseRequest("r", (user("Which?"),), ("1", "2")), text="1.", n_limit=8)
    Usage(prompt=9, answer=1)
    """
    told: object = body.get("usage")
    counts = cast(Mapping[str, object], told) if isinstance(told, Mapping) else {}
    prompt, answer = counts.get("prompt_tokens"), counts.get("completion_tokens")
    n_bytes = n_text_bytes(request.messages, request.prefill)
    # a token has at least one byte; templates, and system prompts that a host adds, have some more
    n_most = n_bytes + 64 * len(request.messages) + 4096
    if type(prompt) is not int or not max(1, n_bytes // 256) <= prompt <= n_most:
        prompt = likely_prompt_tokens(request.messages, request.prefill)
    if type(answer) is not int or not min(1, len(text)) <= answer <= n_limit:
        answer = min(likely_tokens(n_bytes_of(text)), n_limit)
    return Usage(prompt, answer)
