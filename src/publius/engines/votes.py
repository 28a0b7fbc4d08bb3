"""A verdict by repeated votes, for models behind servers that tell no log-probabilities.

Paper: none. Bai et al. 2022, arXiv:2212.08073, §4.1 read log-probabilities; these are a sample of them.
"""

import math
from collections.abc import Sequence

from publius.engines.http_body import shown
from publius.engines.protocol import Choice, ChooseRequest, Failure
from publius.engines.token_estimate import likely_tokens, n_bytes_of


def verdict_of(text: str, options: Sequence[str]) -> int | None:
    """Return the index of the option that `text` is, or None if it is anything else.

    The grammar is exact: white space around, the option alone, at most one "." or ")" after it.

    >>> verdict_of(" 2.", ("1", "2")), verdict_of("2 or 1", ("1", "2")), verdict_of("not 1", ("1", "2"))
    (1, None, None)
    """
    said = text.strip()
    for index, option in enumerate(options):
        if said in (option.strip(), option.strip() + ".", option.strip() + ")"):
            return index
    return None


def read_votes(
    request: ChooseRequest,
    votes: Sequence[str],
    *,
    prompt_tokens: int,
    completion_tokens: int | None = None,
) -> Choice | Failure:
    """Return the options' shares among `votes` as log-probabilities, or a failure if none is readable.

    With m options, K votes, r of them readable and n for an option: ln((n + 1/2) / (r + m/2) · r/K). So no
    option gets 0, and the label mass is the readable share. The tokens are those of all votes;
    where the answers' are not told they are estimated.

    >>> request = ChooseRequest("r", (), ("1", "2"))
    >>> [round(math.exp(x), 3) for x in read_votes(request, ["1", "1", "2", "?"], prompt_tokens=9).logprobs]
    [0.469, 0.281]
    """
    read = [index for vote in votes if (index := verdict_of(vote, request.options)) is not None]
    if not read:
        example = f", the first was {shown(votes[0], 80)!r}" if votes else ""
        return Failure(request.id, "model", f"none of {len(votes)} votes named one of the options{example}")
    n_all = len(read) + len(request.options) / 2
    share = len(read) / len(votes)
    logprobs = tuple(math.log((read.count(i) + 0.5) / n_all * share) for i in range(len(request.options)))
    if completion_tokens is None:
        completion_tokens = sum(max(1, likely_tokens(n_bytes_of(vote))) for vote in votes)
    return Choice(request.id, logprobs, prompt_tokens, completion_tokens, n_calls=len(votes))
