"""A conversation is a tuple of messages; who speaks is a role, never a prefix inside the text.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1 ("conversations consist of multiple prompts, one per
human turn"). Departure: roles instead of `Human:`/`Assistant:` text, so text cannot forge a turn.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks, and what was said."""

    role: Role
    content: str


Conversation: TypeAlias = tuple[Message, ...]


def user(text: str) -> Message:
    """Return a user's message."""
    return Message("user", text)


def conversation(*turns: tuple[Role, str]) -> Conversation:
    """Return a conversation from (role, text) pairs.

    >>> conversation(("user", "Hi"))
    (Message(role='user', content='Hi'),)
    """
    return tuple(Message(role, text) for role, text in turns)
