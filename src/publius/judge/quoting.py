"""Texts as one line each, so that no text in a judge's prompt can pose as another part of it.

Paper: none.
"""

import json

from publius.records import Conversation

_SPEAKERS = {"system": "Instructions", "user": "Human", "assistant": "Assistant"}


def quote(text: str) -> str:
    r"""Return a text as a JSON string, which has no line break.

    >>> print(quote('Say "hi"\nnow'))
    "Say \"hi\"\nnow"
    """
    return json.dumps(text, ensure_ascii=False)


def quote_turns(messages: Conversation) -> tuple[str, ...]:
    """Return a conversation as one line a turn: who speaks, and the text quoted."""
    return tuple(f"{_SPEAKERS[turn.role]}: {quote(turn.content)}" for turn in messages)


def one_line(text: str) -> str:
    r"""Return a text of our own or a judge's with every run of white space as one space.

    >>> one_line("Which\n one? ")
    'Which one?'
    """
    return " ".join(text.split())
