"""What every engine does: generate text, choose among options, score answers. Many requests at once.

Requests go in by `submit`, answers come out of `wait` in any order, each with its request's id; so work
that depends on an answer joins what is running, and a batch is never drained. `flow.py` keeps an engine
full. A request that cannot be served (a prompt over the context, say) gets a `Failure` for itself alone
and never stops the others.
Messages go in; the model's own chat template makes the prompt; text inside a message is always
encoded as text, so `<|im_end|>` in a message is nine characters, never a control token.

Paper: none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from publius.records import Conversation

Owner: TypeAlias = Literal["input", "engine", "model"]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights answer: a name for people, a revision (`sha256:…`) that pins the content, and the engine.

    Engines round differently, so answers of one are not taken for answers of another.
    """

    name: str
    revision: str
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. `temperature` 0 is greedy. `stop` strings are cut off the text."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """Continue `messages` with the assistant's turn, which begins with `prefill`.

    Without messages `prefill` is a plain text that the model continues, with no chat template: how a model
    that knows no turns is asked. An engine that asks a server refuses it.
    """

    id: str
    messages: Conversation
    sampling: Sampling
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """The text after the prefill, without stop strings and control tokens."""

    request_id: str
    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class ChooseRequest:
    """How probable is each option as the next text of the assistant's turn (after `prefill`)?

    Without messages it is the next text of the plain text `prefill`, as in `GenerateRequest`.
    Every option must be a single distinct token in that place; an engine refuses it otherwise.
    """

    id: str
    messages: Conversation
    options: tuple[str, ...]
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Natural-log probability of each option under the whole vocabulary, before temperature.

    An engine that has no log-probabilities counts votes and says in how many calls, `n_failed` of which
    brought no vote.
    """

    request_id: str
    logprobs: tuple[float, ...]
    prompt_tokens: int
    completion_tokens: int = 1
    n_calls: int = 1
    n_failed: int = 0


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """How probable is the last message (the assistant's) given the ones before it?"""

    id: str
    messages: Conversation


@dataclass(frozen=True, slots=True)
class Score:
    """Sum of the natural-log probabilities of the answer's tokens, and how many there are."""

    request_id: str
    logprob: float
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer, whose fault that is, and why; `n_calls` as for a choice."""

    request_id: str
    owner: Owner
    reason: str
    n_calls: int = 1


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do with this model. `max_context` is in tokens, prompt and answer together.

    `look_ahead` is how many requests, running and waiting, it needs at once to go at full speed.
    """

    generate: bool
    choose: bool
    score: bool
    max_context: int
    look_ahead: int = 64


Request: TypeAlias = GenerateRequest | ChooseRequest | ScoreRequest
Answer: TypeAlias = Completion | Choice | Score | Failure


@runtime_checkable
class Engine(Protocol):
    """A loaded model. One engine is used by one thread at a time."""

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        ...

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of prompt tokens of `messages` with the model's chat template."""
        ...

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests of any kind. Each gets exactly one answer; ids in flight must be distinct.

        Raises:
            EngineError: The engine cannot do this kind, or it is closed.
        """
        ...

    def wait(self) -> Sequence[Answer]:
        """Return the answers that came since the last call, at least one; none if nothing is in flight.

        Raises:
            EngineError: Nothing further can be answered; answers that came were returned before.
        """
        ...

    def cancel(self) -> None:
        """Forget everything in flight; the engine takes new requests after."""
        ...

    def close(self) -> None:
        """Free the model's memory; the engine cannot be used after."""
        ...


# How an algorithm sees a model: requests in, answers by request id out. The store's
# `JournaledEngine` has these as methods, so every answer is kept.
Generate: TypeAlias = Callable[[Sequence[GenerateRequest]], Mapping[str, Completion | Failure]]
Choose: TypeAlias = Callable[[Sequence[ChooseRequest]], Mapping[str, Choice | Failure]]
