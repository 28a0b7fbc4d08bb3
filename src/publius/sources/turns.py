"""Check texts and turns from outside before they become a conversation.

Outer white space of a turn is taken off, so that one prompt cannot be in two splits by a trailing space.
A text stays the text of one turn, whatever it looks like: only `hh` reads turns out of text, where the
file's layout says so.

Paper: none.
"""

import difflib
from collections.abc import Mapping
from typing import cast

from publius.errors import DataError
from publius.records import Conversation, Message, content_hash, user

ROLES = ("system", "user", "assistant")
MAX_CHARACTERS = 1 << 20


def check_text(value: object, field: str, *, where: str) -> str:
    """Return `value` without outer white space; "" passes.

    Raises:
        DataError: It is not text, is longer than 1,048,576 characters, or has NUL or half a surrogate pair.
    """
    if not isinstance(value, str):
        raise DataError(f"field {field!r} must be text, found {value!r:.80}", where=where)
    if len(value) > MAX_CHARACTERS:
        raise DataError(f"field {field!r} has {len(value):,} characters", where=where)
    if "\x00" in value:
        raise DataError(f"field {field!r} contains a NUL character", where=where, todo="take it out")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        what = f"field {field!r} contains half a surrogate pair, \\u{ord(value[error.start]):04x}"
        raise DataError(what, where=where, todo="write the character itself, in UTF-8") from error
    return value.strip()


def check_filled(value: object, field: str, *, where: str) -> str:
    """Return `value` as `check_text` does.

    Raises:
        DataError: As for `check_text`, or it is empty.
    """
    text = check_text(value, field, where=where)
    if not text:
        raise DataError(f"field {field!r} is empty", where=where, todo="write the text, or take the row out")
    return text


def read_id(fields: Mapping[str, object], *, where: str) -> str | None:
    """Return the row's `id` as text, None where there is none; whole numbers are taken as text.

    Raises:
        DataError: It is neither, is empty, or is longer than 200 characters.
    """
    value = fields.get("id")
    if value is None:
        return None
    is_number = isinstance(value, int) and not isinstance(value, bool)
    text = check_filled(str(value) if is_number else value, "id", where=where)
    if len(text) > 200:
        raise DataError(f"field 'id' has {len(text):,} characters; the limit is 200", where=where)
    return text


def read_turns(value: object, field: str, *, where: str) -> Conversation:
    """Return a list of `{"role": …, "content": …}` as a conversation; other keys of a turn are ignored.

    Raises:
        DataError: It is no such list, is empty, a role is unknown, a text is empty, or a system turn is not
            the first.
    """
    if not isinstance(value, list) or not value:
        raise DataError(f"field {field!r} must be a list of turns, found {value!r:.80}", where=where)
    turns: list[Message] = []
    for index, item in enumerate(cast(list[object], value)):
        name = f"{field}[{index}]"
        if not isinstance(item, dict):
            raise DataError(f"field {name!r} must have 'role' and 'content', found {item!r:.80}", where=where)
        turn = cast(dict[str, object], item)
        role = turn.get("role")
        if role not in ROLES:
            todo = f"the roles are: {', '.join(ROLES)}"
            raise DataError(f"unknown role {role!r:.80} in field {name!r}", where=where, todo=todo)
        if role == "system" and index > 0:
            raise DataError(f"field {name!r} is a system turn after the first turn", where=where)
        turns.append(Message(role, check_filled(turn.get("content"), f"{name}.content", where=where)))
    return tuple(turns)


def read_prompt_turns(fields: Mapping[str, object], *, where: str) -> Conversation:
    """Return the conversation of a row: `prompt` (a text or turns), else `messages`; it ends with the user.

    Raises:
        DataError: There is neither, or it does not end with a user's turn, or a turn is wrong.
    """
    field = "prompt" if fields.get("prompt") is not None else "messages"
    value = fields.get(field)
    if value is None:
        close = [name for name in fields if difflib.get_close_matches(name, ("prompt", "messages"), n=1)]
        found = f"did you mean the field {close[0]!r:.80}? " if close else ""
        todo = f"{found}A row needs 'prompt' or 'messages'; this one has: {', '.join(fields)[:200]}"
        raise DataError("no field 'prompt' or 'messages'", where=where, todo=todo)
    if isinstance(value, str):
        return (user(check_filled(value, field, where=where)),)
    turns = read_turns(value, field, where=where)
    if turns[-1].role != "user":
        what = f"field {field!r} ends with a turn of the {turns[-1].role}; a prompt ends with the user's"
        raise DataError(what, where=where, todo="cut the conversation after the last user turn")
    return turns


def prompt_id(messages: Conversation) -> str:
    """Return the id of a prompt that was not given one: the `sha256:…` of its turns."""
    return content_hash(messages)
