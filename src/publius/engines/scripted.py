"""An engine that answers by rule: for tests, tutorials and dry runs of a recipe. It has no judgement.

It behaves like a model in everything but the words: it cuts at stop strings and at the token limit, fails
a request that is too long, and the same request always gets the same answer. A token is a word here.

Without rules of its own it writes a short text that depends on the messages and the seed, and prefers an
option by the hash of what is quoted under it: a taste that is stable when the options change places, and
means nothing. With `prefer = "word"` it prefers the options under which the word is quoted.

Paper: none.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from publius.engines.checks import refuse_generation, refuse_length
from publius.engines.protocol import (
    Capabilities,
    Choice,
    ChooseRequest,
    Completion,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Score,
    ScoreRequest,
)
from publius.errors import EngineError
from publius.records import Conversation, content_hash, decode

_SPACED_WORD = re.compile(r"\s*\S+")
_TOPIC = re.compile(r"[^\W\d_]{4,}")
_OPENINGS = ("Let us look at", "Here is a thought on", "A few words about", "This concerns", "On", "As for")
_VERBS = (
    "ask", "begin", "breathe", "choose", "count", "draw", "explain", "follow", "gather", "listen", "measure",
    "read", "rest", "share", "test", "write",
)  # fmt: skip
_MANNERS = (
    "again", "alone", "briefly", "calmly", "carefully", "early", "gently", "in order", "kindly", "often",
    "openly", "patiently", "slowly", "together", "twice", "well",
)  # fmt: skip
_TASTE = 3.0  # the difference of logits between the dearest and the least dear option
_MASS = 0.98  # what the options hold of the probability


@dataclass(frozen=True, slots=True)
class ScriptedOptions:
    """`prefer` is the word that makes an option better; `max_context` is in words."""

    prefer: str | None = None
    max_context: int = 100_000


def open_scripted(path: Path, *, name: str, options: Mapping[str, object]) -> "ScriptedEngine":
    """Return a scripted engine with the default rules; `options` are the fields of `ScriptedOptions`.

    The weights at `path` are not read.

    Raises:
        DataError: An option is unknown or of the wrong kind.
    """
    chosen = decode(ScriptedOptions, options)
    word = chosen.prefer

    def choose(request: ChooseRequest) -> tuple[float, ...]:
        return prefer_by_hash(request) if word is None else prefer_word(request, word)

    return ScriptedEngine(
        choose=choose, name=name, max_context=chosen.max_context, revision=content_hash(chosen)
    )


class ScriptedEngine:
    """An `Engine` that answers by the rules it is given. `asked` holds every request, in order.

    `reply` returns the text of an answer, before stop strings and the limit cut it; `choose` returns a
    natural-log probability for every option; `score` returns that of the answer. `revision` tells engines
    of one name apart that answer differently.
    """

    def __init__(
        self,
        reply: Callable[[GenerateRequest], str] | None = None,
        *,
        choose: Callable[[ChooseRequest], Sequence[float]] | None = None,
        score: Callable[[ScoreRequest], float] | None = None,
        name: str = "scripted",
        max_context: int = 100_000,
        revision: str = "",
    ) -> None:
        self._reply = reply or default_reply
        self._choose = choose or prefer_by_hash
        self._score = score or default_score
        self._max_context = max_context
        self._identity = ModelIdentity(name, content_hash(["scripted", name, revision]))
        self.asked: list[GenerateRequest | ChooseRequest | ScoreRequest] = []

    @property
    def model(self) -> ModelIdentity:
        """The name, and a revision that is its hash."""
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """It does everything."""
        return Capabilities(generate=True, choose=True, score=True, max_context=self._max_context)

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of words, and one for every message."""
        return sum(1 + len(message.content.split()) for message in messages)

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Completion | Failure]:
        """Yield a completion a request, in the order asked."""
        self.asked += requests
        return map(self._completion, requests)

    def choose(self, requests: Sequence[ChooseRequest]) -> Iterator[Choice | Failure]:
        """Yield the log-probabilities of the rule, in the order asked.

        Raises:
            EngineError: The rule returned another number of them than there are options.
        """
        self.asked += requests
        return map(self._choice, requests)

    def score(self, requests: Sequence[ScoreRequest]) -> Iterator[Score | Failure]:
        """Yield the log-probability of the rule; an answer has its words and its end as tokens."""
        self.asked += requests
        return map(self._scored, requests)

    def close(self) -> None:
        """Do nothing: there is no model to free."""

    def _completion(self, request: GenerateRequest) -> Completion | Failure:
        n_prompt = self._n_prompt(request)
        refused = refuse_generation(request, n_prompt=n_prompt, max_context=self._max_context)
        if refused is not None:
            return refused
        written = self._reply(request)
        words = _SPACED_WORD.findall(written)
        is_cut = len(words) > request.sampling.max_tokens
        text = "".join(words[: request.sampling.max_tokens]) if is_cut else written
        cuts = [text.index(stop) for stop in request.sampling.stop if stop in text]
        n_tokens = min(len(words), request.sampling.max_tokens)
        finish = "length" if is_cut and not cuts else "stop"
        return Completion(request.id, text[: min(cuts)] if cuts else text, finish, n_prompt, n_tokens)

    def _choice(self, request: ChooseRequest) -> Choice | Failure:
        n_prompt = self._n_prompt(request)
        refused = refuse_length(request.id, n_tokens=n_prompt + 1, max_context=self._max_context)
        if refused is not None:
            return refused
        broken = [option for option in request.options if len(option.split()) != 1]
        if broken or len(set(request.options)) < len(request.options):
            return Failure(
                request.id, "input", f"the options {request.options!r} are not single, distinct words"
            )
        logprobs = tuple(self._choose(request))
        if len(logprobs) != len(request.options):
            raise EngineError(
                f"the rule gave {len(logprobs)} log-probabilities for {len(request.options)} options",
                where=self._identity.name,
                todo="return one for every option",
            )
        return Choice(request.id, logprobs, n_prompt)

    def _scored(self, request: ScoreRequest) -> Score | Failure:
        if not request.messages or request.messages[-1].role != "assistant":
            return Failure(request.id, "input", "the last message must be the assistant's")
        n_tokens = self.count_tokens(request.messages)
        refused = refuse_length(request.id, n_tokens=n_tokens, max_context=self._max_context)
        n_answer = self.count_tokens(request.messages[-1:])
        return refused or Score(request.id, self._score(request), n_answer)

    def _n_prompt(self, request: GenerateRequest | ChooseRequest) -> int:
        return self.count_tokens(request.messages) + 1 + len(request.prefill.split())


def default_reply(request: GenerateRequest) -> str:
    """Return three short sentences that depend on the messages, the prefill and the seed.

    At temperature 0 the seed does not count, as with a model.
    """
    seed = request.sampling.seed if request.sampling.temperature > 0 else 0
    key = content_hash([request.messages, request.prefill, seed])
    topic = max(_TOPIC.findall(_last_text(request.messages)), key=len, default="this").lower()
    first, second, third = (
        f"{_pick(_VERBS, key, i)} {_pick(_MANNERS, key, i)}" for i in ("first", "second", "third")
    )
    return f"{_pick(_OPENINGS, key)} {topic}. First {first}, then {second}. After that, {third}."


def prefer_by_hash(request: ChooseRequest) -> tuple[float, ...]:
    """Return log-probabilities that follow the hash of the text quoted under each option.

    Where nothing is quoted under the options, the hash of the whole conversation decides.
    """
    quoted = _quoted_under(request)
    texts = quoted or {option: f"{option}{content_hash(request.messages)}" for option in request.options}
    return _logprobs([_TASTE * _share(texts[option]) for option in request.options])


def prefer_word(request: ChooseRequest, word: str) -> tuple[float, ...]:
    """Return log-probabilities that prefer the options under which `word` is quoted; else a tie."""
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    quoted = _quoted_under(request)
    return _logprobs(
        [_TASTE * (pattern.search(quoted.get(option, "")) is not None) for option in request.options]
    )


def default_score(request: ScoreRequest) -> float:
    """Return −1 for every word of the answer, −1 for its end, and up to −1 by the hash of the whole."""
    return -(len(request.messages[-1].content.split()) + 1.0 + _share(content_hash(request.messages)))


def _quoted_under(request: ChooseRequest) -> dict[str, str]:
    """Return the lines quoted with "> " under each line that ends in "(option):"; nothing if one lacks."""
    found: dict[str, list[str]] = {}
    option: str | None = None
    heads = {f"({option}):": option for option in request.options}
    for line in _last_text(request.messages).split("\n"):
        if not line.startswith("> "):
            option = next((heads[head] for head in heads if line.endswith(head)), None)
            continue
        if option is not None:
            found.setdefault(option, []).append(line.removeprefix("> "))
    return {name: "\n".join(lines) for name, lines in found.items()} if len(found) == len(heads) else {}


def _last_text(messages: Conversation) -> str:
    return messages[-1].content if messages else ""


def _logprobs(logits: Sequence[float]) -> tuple[float, ...]:
    total = math.log(sum(map(math.exp, logits)))
    return tuple(logit - total + math.log(_MASS) for logit in logits)


def _share(text: str) -> float:
    """Return a number in [0, 1) that depends on the text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return int(digest[:12], 16) / 16**12


def _pick(words: Sequence[str], *parts: str) -> str:
    return words[int(_share("\x1f".join(parts)) * len(words))]
