"""What every engine does: generate text, choose among options, score answers. Batch first.

Results may come in any order and carry their request's id; a request that cannot be served (a prompt
over the context, say) yields a `Failure` for that request alone and never stops the others.
Messages go in; the model's own chat template makes the prompt; text inside a message is always
encoded as text, so `<|im_end|>` in a message is nine characters, never a control token.

Paper: none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """Continue `messages` with the assistant's turn, which begins with `prefill`."""

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

    Every option must be a single distinct token in that place; an engine refuses it otherwise.
    """

    id: str
    messages: Conversation
    options: tuple[str, ...]
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Natural-log probability of each option under the whole vocabulary, before temperature."""

    request_id: str
    logprobs: tuple[float, ...]
    prompt_tokens: int


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
    """A request that got no answer, whose fault that is, and why."""

    request_id: str
    owner: Owner
    reason: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do with this model. `max_context` is in tokens, prompt and answer together."""

    generate: bool
    choose: bool
    score: bool
    max_context: int


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

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Completion | Failure]:
        """Yield one result a request, in any order, each as soon as it is there."""
        ...

    def choose(self, requests: Sequence[ChooseRequest]) -> Iterator[Choice | Failure]:
        """Yield the options' log-probabilities, one result a request, in any order."""
        ...

    def score(self, requests: Sequence[ScoreRequest]) -> Iterator[Score | Failure]:
        """Yield the answers' log-likelihoods, one result a request, in any order."""
        ...

    def close(self) -> None:
        """Free the model's memory; the engine cannot be used after."""
        ...


# How an algorithm sees a model: questions in, answers by request id out. The store's
# `JournaledEngine` has these as methods, so every answer is kept.
Generate: TypeAlias = Callable[[Sequence[GenerateRequest]], Mapping[str, Completion | Failure]]
Choose: TypeAlias = Callable[[Sequence[ChooseRequest]], Mapping[str, Choice | Failure]]
