"""What a run may spend: calls, tokens, money. Reached, it stops; raised, the same command goes on.

A budget holds for a run from its first call on, over all its commands: what the journal holds is counted.
It is exceeded by no more than what is in flight when it is reached, and calls that are one request each never
exceed it. Not counted are the tokens of failures and of the one question that asks a server what it can do.

Paper: none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from publius.engines.protocol import Answer, Choice, Completion, Failure, ModelIdentity, Score
from publius.errors import BudgetReached


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens read (`input`) and written (`output`)."""

    input: float = 0.0
    output: float = 0.0


@dataclass(slots=True)
class Budget:
    """What may be spent and what has been; a limit of None is no limit. `prices` are by `model_label`."""

    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    prices: Mapping[str, Price] = field(default_factory=dict[str, Price])
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return (self.max_calls, self.max_tokens, self.max_cost) != (None, None, None)

    def room(self, wanted: int, *, n_in_flight: int) -> int:
        """Return how many of the wanted calls may be sent now.

        >>> Budget(max_calls=10, calls=7).room(5, n_in_flight=1)
        2
        """
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            return 0
        if self.max_cost is not None and self.cost >= self.max_cost:
            return 0
        if self.max_calls is not None:
            return max(0, min(wanted, self.max_calls - self.calls - n_in_flight))
        return wanted

    def spend(self, answer: Answer, model: ModelIdentity) -> None:
        """Count an answer."""
        n_read, n_written = used_tokens(answer)
        n_calls = answer.n_calls if isinstance(answer, Choice | Failure) else 1
        self.add(model_label(model), n_calls=n_calls, n_read=n_read, n_written=n_written)

    def add(self, model: str, *, n_calls: int, n_read: int, n_written: int) -> None:
        """Count calls of the model with this label, and the tokens they read and wrote."""
        price = self.prices.get(model, Price())
        self.calls += n_calls
        self.tokens += n_read + n_written
        self.cost += (n_read * price.input + n_written * price.output) / 1e6

    def reached(self) -> BudgetReached:
        """Return the error that says which limit was reached."""
        spent = f"{self.calls:,} calls, {self.tokens:,} tokens"
        spent += f", ${self.cost:.2f}" if self.max_cost is not None else ""
        return BudgetReached(
            f"the run's budget is spent ({spent})",
            todo="everything answered is kept; run the same command with a higher limit to go on",
        )


def model_label(model: ModelIdentity) -> str:
    """Return how the journal names a model: its engine and its revision.

    >>> model_label(ModelIdentity("qwen", "name:qwen", "openai"))
    'openai name:qwen'
    """
    return f"{model.engine} {model.revision}".lstrip()


def used_tokens(answer: Answer) -> tuple[int, int]:
    """Return the tokens that an answer read and wrote; a failure counts none.

    >>> used_tokens(Choice("r", (-0.1, -2.3), prompt_tokens=40))
    (40, 1)
    """
    match answer:
        case Completion():
            return answer.prompt_tokens, answer.completion_tokens
        case Choice():
            return answer.prompt_tokens, answer.completion_tokens
        case Score():
            return answer.n_tokens, 0
        case _:
            return 0, 0
