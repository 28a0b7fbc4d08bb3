"""An engine that answers by rule: for tests, tutorials and dry runs of a recipe. It has no judgement.

It behaves like a model in everything but the words: it cuts at stop strings and at the token limit, fails
a request that is too long, and the same request always gets the same answer. A token is a word here.

Without rules of its own it writes a short text that depends on the messages and the seed, and prefers an
option by the hash of its text: a taste that is stable when the options change places, and means nothing.
With `prefer = "word"` it prefers the texts in which the word occurs.

Paper: none.
"""

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from publius.engines.checks import check_submission, refuse_generation, refuse_length
from publius.engines.protocol import (
    Answer,
    Capabilities,
    Choice,
    ChooseRequest,
    Completion,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Request,
    Score,
    ScoreRequest,
)
from publius.errors import EngineError, require
from publius.records import Conversation, content_hash, decode

_SPACED_WORD = re.compile(r"\s*\S+")
_QUOTED = re.compile(r'([^":]*:|\(\w+\)) (".*")')
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
_TASTE = 3.0  # difference of the logits of a text rated 1 and one rated 0
_MASS = 0.98  # what the options hold of the probability


@dataclass(frozen=True, slots=True)
class ScriptedOptions:
    """`prefer` is the word that makes a text better; `max_context` is in words.

    Every `wait` sleeps `delay_ms` milliseconds before it answers what is waiting, `look_ahead` requests
    at most when a stage asks: for tests that interrupt a run. Neither changes an answer.
    """

    prefer: str | None = None
    max_context: int = 100_000
    look_ahead: int = 64
    delay_ms: float = 0.0


def open_scripted(path: Path, *, name: str, options: Mapping[str, object]) -> "ScriptedEngine":
    """Return a scripted engine with the default rules; `options` are the fields of `ScriptedOptions`.

    The weights at `path` are not read.

    Raises:
        DataError: An option is unknown or of the wrong kind.
    """
    chosen = decode(ScriptedOptions, options)
    require(chosen, "engine 'scripted'", max_context=1, look_ahead=1, delay_ms=0)
    # of the options that change answers, no others: a run can go on at another pace
    revision = content_hash({"prefer": chosen.prefer, "max_context": chosen.max_context})
    return ScriptedEngine(name=name, revision=revision, options=chosen)


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
        revision: str = "",
        options: ScriptedOptions = ScriptedOptions(),
    ) -> None:
        word = options.prefer
        self._reply = reply or default_reply
        self._choose = choose or (prefer_by_hash if word is None else partial(prefer_word, word=word))
        self._score = score or default_score
        self._options = options
        self._identity = ModelIdentity(name, content_hash(["scripted", name, revision]))
        self._waiting: dict[str, Request] = {}  # by id, in the order asked
        self._error: Exception | None = None
        self._is_closed = False
        self.asked: list[Request] = []

    @property
    def model(self) -> ModelIdentity:
        """The name, and a revision that is its hash."""
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """It does everything."""
        options = self._options
        return Capabilities(True, True, True, options.max_context, options.look_ahead)

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of words, and one for every message."""
        return sum(1 + len(message.content.split()) for message in messages)

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests of any kind.

        Raises:
            EngineError: An id is in flight already, or the engine is closed.
        """
        check_submission(
            requests,
            self._waiting,
            model=self._identity,
            capabilities=self.capabilities,
            is_closed=self._is_closed,
        )
        self.asked += requests
        self._waiting |= {request.id: request for request in requests}

    def wait(self) -> Sequence[Answer]:
        """Return an answer to everything that waits, in the order asked.

        Where a rule raises an error, the answers before it are returned first.

        Raises:
            EngineError: The rule returned another number of log-probabilities than there are options.
        """
        if self._waiting:
            time.sleep(self._options.delay_ms / 1000)
        answers: list[Answer] = []
        while self._waiting and self._error is None:
            request = next(iter(self._waiting.values()))
            try:
                answers.append(self._answer(request))
            except Exception as error:  # a rule is anybody's code: its error is raised below
                self._error = error
            else:
                del self._waiting[request.id]
        if self._error is not None and not answers:
            raise self._error
        return answers

    def cancel(self) -> None:
        """Forget everything that waits."""
        self._waiting.clear()
        self._error = None

    def close(self) -> None:
        """Take no more requests; there is no model to free."""
        self.cancel()
        self._is_closed = True

    def _answer(self, request: Request) -> Answer:
        match request:
            case GenerateRequest() | ChooseRequest() if not request.messages and not request.prefill:
                return Failure(request.id, "input", "the conversation is empty")
            case GenerateRequest():
                return self._completion(request)
            case ChooseRequest():
                return self._choice(request)
            case ScoreRequest():
                return self._scored(request)

    def _completion(self, request: GenerateRequest) -> Completion | Failure:
        n_prompt = self._n_prompt(request)
        refused = refuse_generation(request, n_prompt=n_prompt, max_context=self._options.max_context)
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
        refused = refuse_length(request.id, n_tokens=n_prompt + 1, max_context=self._options.max_context)
        if refused is not None:
            return refused
        broken = [option for option in request.options if len(option.split()) != 1]
        if broken or len(set(request.options)) < max(1, len(request.options)):
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
        refused = refuse_length(request.id, n_tokens=n_tokens, max_context=self._options.max_context)
        n_answer = self.count_tokens(request.messages[-1:])
        return refused or Score(request.id, self._score(request), n_answer)

    def _n_prompt(self, request: GenerateRequest | ChooseRequest) -> int:
        n_header = 1 if request.messages else 0
        return self.count_tokens(request.messages) + n_header + len(request.prefill.split())


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
    """Return log-probabilities that follow the hash of the text under judgement (see `rate_options`)."""
    return rate_options(request, _share)


def prefer_word(request: ChooseRequest, word: str) -> tuple[float, ...]:
    """Return log-probabilities that favour the texts in which `word` occurs, whatever its case.

    Two options with it are a tie, as are two without.
    """
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    return rate_options(request, lambda text: float(pattern.search(text) is not None))


def rate_options(request: ChooseRequest, rate: Callable[[str], float]) -> tuple[float, ...]:
    """Return log-probabilities of the options from a rating of texts in [0, 1], the higher the better.

    A text is a JSON string on a line of the last message that has one, after a name and a colon or a name
    in brackets. Where every option has a text (`Response 1: "…"` for the option 1, `(A) "…"` for A), each
    is rated by its own, the last of a name. Otherwise the last such text is rated: the first option says
    that it is good, the others that it is not. Where there is none, the last message is rated with each
    option put before it.
    """
    texts = (request.prefill, *(message.content for message in reversed(request.messages)))
    quoted = next(filter(None, map(_quoted_texts, texts)), [])
    named = {name[0]: text for name, text in quoted if name}
    if all(option in named for option in request.options):
        ratings = [rate(named[option]) for option in request.options]
    elif quoted:
        rating = rate(quoted[-1][1])
        ratings = [rating] + [1.0 - rating] * (len(request.options) - 1)
    else:
        ratings = [rate(f"{option}\n{_last_text(request.messages)}") for option in request.options]
    exps = [math.exp(_TASTE * rating) for rating in ratings]
    return tuple(math.log(_MASS * exp / sum(exps)) for exp in exps)


def default_score(request: ScoreRequest) -> float:
    """Return −1 for every word of the answer, −1 for its end, and up to −1 by the hash of the whole."""
    return -(len(request.messages[-1].content.split()) + 1.0 + _share(content_hash(request.messages)))


def _quoted_texts(shown: str) -> list[tuple[list[str], str]]:
    """Return the JSON strings on lines of their own, with the last word of the name before each."""
    return [
        (match[1].strip("():").split()[-1:], text)
        for line in shown.split("\n")
        if (match := _QUOTED.fullmatch(line)) and (text := _unquote(match[2])) is not None
    ]


def _unquote(text: str) -> str | None:
    try:
        return str(json.loads(text))
    except ValueError:
        return None


def _last_text(messages: Conversation) -> str:
    return messages[-1].content if messages else ""


def _share(text: str) -> float:
    """Return a number in [0, 1) that depends on the text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return int(digest[:12], 16) / 16**12


def _pick(words: Sequence[str], *parts: str) -> str:
    return words[int(_share("\x1f".join(parts)) * len(words))]
