"""A draft and what became of it: critiques, revisions, and the demonstrations to learn from.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1 (critique → revision → SL-CAI).
"""

from dataclasses import dataclass
from typing import Literal

from publius.records.conversation import Conversation
from publius.records.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Critique:
    """What is wrong with an answer under one principle."""

    text: str
    request: str


@dataclass(frozen=True, slots=True)
class Revision:
    """One round: the answer rewritten under a principle.

    `critique` is None in direct-revision mode. `round` counts from 1; the draft is round 0.
    `n_leaks` counts the tries of this round that had to be cut because the model spoke for another
    role (paper: "role confusion").
    """

    round: int
    principle_id: str
    principle_hash: str
    critique: Critique | None
    request: str
    text: str
    n_leaks: int


@dataclass(frozen=True, slots=True)
class RevisionChain:
    """A prompt, its draft and its revisions in order; `failure` says why a chain stopped early."""

    prompt: Prompt
    draft: str
    draft_model: str
    critic_model: str
    revisions: tuple[Revision, ...]
    failure: str | None = None

    def answers(self) -> tuple[str, ...]:
        """Return the draft and every revision, in order."""
        return (self.draft, *(revision.text for revision in self.revisions))


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A conversation and the answer to imitate (TRL: `prompt` and `completion`)."""

    id: str
    messages: Conversation
    answer: str
    origin: Literal["revision", "helpful"]
    round: int
    principle_id: str | None
