"""The options' log-probabilities out of the list that a server gives for one token.

A server lists the likeliest tokens (20 at most, with most hosts), so an option may be missing. Then it
gets the bound that is certain: it is no likelier than the last one listed, nor than all that is not
listed together. So a preference is never stronger on paper than the true one, and never lost.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from publius.engines.http_body import shown
from publius.engines.protocol import Owner

_ROUNDING = 1e-6  # what is not listed is known to about this much
_PIECE = 0.01  # a listed beginning of an option with this probability means that the option has more tokens


@dataclass(frozen=True, slots=True)
class Listed:
    """A log-probability for each option, in order. `n_bounded` of them are upper bounds."""

    logprobs: tuple[float, ...]
    n_bounded: int


class Unlisted(NamedTuple):
    """Why no option has a log-probability, and whose fault that is."""

    owner: Owner
    reason: str


def read_listed(logprobs: object, options: Sequence[str]) -> Listed | Unlisted:
    """Return the log-probability of each option in the `logprobs` of a chat completion's choice.

    The token must be the option, character by character. Where no option is listed so, white space
    around the token is overlooked for all of them: some tokenizers show a token at the start of an
    answer with a space. A missing option gets min(lowest listed, ln of the mass not listed).

    >>> listed = [{"token": "1", "logprob": math.log(0.7)}, {"token": "x", "logprob": math.log(0.2)}]
    >>> entry = {"token": "1", "logprob": math.log(0.7), "top_logprobs": listed}
    >>> [round(math.exp(x), 3) for x in read_listed({"content": [entry]}, ("1", "2")).logprobs]
    [0.7, 0.1]
    """
    tokens = _tokens(logprobs)
    if isinstance(tokens, Unlisted):
        return tokens
    found = {option: tokens[option] for option in options if option in tokens}
    if not found:
        found = _spaced(tokens, options)
    missing = [option for option in options if option not in found]
    if not found:
        likeliest = max(tokens, key=lambda token: tokens[token])
        return Unlisted(
            "model",
            f"none of the options {tuple(options)!r} is among the {len(tokens)} likeliest tokens; "
            f"the likeliest is {shown(likeliest, 40)!r}",
        )
    for option in missing:
        pieces = [token for token in tokens if _begins(token.strip(), option)]
        if sum(math.exp(tokens[piece]) for piece in pieces) > _PIECE:
            return Unlisted(
                "input",
                f"the option {option!r} is not a single token: the model begins it with {pieces[0]!r}",
            )
    bound = _bound(tokens)
    return Listed(tuple(found.get(option, bound) for option in options), len(missing))


def n_listed(logprobs: object) -> int:
    """Return how many tokens are listed; a server that lists one tells nothing about the others.

    >>> n_listed(None)
    0
    """
    tokens = _tokens(logprobs)
    return 0 if isinstance(tokens, Unlisted) else len(tokens)


def read_ids(logprobs: object, token_ids: Sequence[int]) -> Listed | Unlisted:
    """Return the log-probability of each token, asked for and listed by its number (vLLM).

    >>> read_ids({"content": [{"token": "token_id:7", "logprob": -0.5}]}, [7]).logprobs
    (-0.5,)
    """
    tokens = _tokens(logprobs)
    if isinstance(tokens, Unlisted):
        return tokens
    names = [f"token_id:{id}" for id in token_ids]
    if not all(name in tokens for name in names):
        return Unlisted("engine", "the server did not list the tokens that it was asked for by number")
    return Listed(tuple(tokens[name] for name in names), 0)


def _tokens(logprobs: object) -> dict[str, float] | Unlisted:
    """Return every listed token with its log-probability, or what is wrong with the list."""
    told = cast(Mapping[str, object], logprobs) if isinstance(logprobs, Mapping) else {}
    content = told.get("content")
    if not isinstance(content, list) or not content or not isinstance(content[0], Mapping):
        return Unlisted("engine", "the server's answer has no log-probabilities")
    first = cast(Mapping[str, object], content[0])
    top = first.get("top_logprobs")
    entries = [first, *(cast(list[object], top) if isinstance(top, list) else [])]
    tokens: dict[str, float] = {}
    for entry in entries:
        item = cast(Mapping[str, object], entry) if isinstance(entry, Mapping) else {}
        token, value = item.get("token"), item.get("logprob")
        if not isinstance(token, str) or not isinstance(value, int | float) or isinstance(value, bool):
            continue  # a token without a number (llama.cpp writes null for a probability of 0)
        if not -1e6 < value <= _ROUNDING:  # also refuses NaN, and whole numbers that no float holds
            return Unlisted("engine", f"the server gave the log-probability {value!r}, which none can be")
        tokens.setdefault(token, min(float(value), 0.0))
    if not tokens:
        return Unlisted("engine", "the server's list of log-probabilities is empty")
    if sum(map(math.exp, tokens.values())) > 1 + 0.01:
        return Unlisted("engine", "the server's probabilities of one token add up to more than 1")
    return tokens


def _spaced(tokens: Mapping[str, float], options: Sequence[str]) -> dict[str, float]:
    """Return the options' log-probabilities with white space around a token overlooked."""
    found: dict[str, float] = {}
    for option in options:
        same = [math.exp(value) for token, value in tokens.items() if token.strip() == option.strip()]
        if sum(same) > 0:
            found[option] = math.log(sum(same))
    return found


def _begins(token: str, option: str) -> bool:
    return bool(token) and token != option and option.startswith(token)


def _bound(tokens: Mapping[str, float]) -> float:
    """Return what no token that is not listed can exceed."""
    unlisted = 1.0 - sum(map(math.exp, tokens.values()))
    return min(min(tokens.values()), math.log(max(unlisted, _ROUNDING)))
