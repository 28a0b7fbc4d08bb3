"""Read dialogues written as one text, `\\n\\nHuman: … \\n\\nAssistant: …`, and comparisons of two of them.

A turn begins where a paragraph begins with `Human:` or `Assistant:`. Colons, blank lines and the words
Human and Assistant elsewhere in a turn are its text. Neighbouring turns of one speaker are one turn. The
layout cannot tell a quoted turn from a turn; it is read only where a file is known to be written in it.

Paper: Bai et al. 2022, arXiv:2212.08073, appendix B; the layout is that of anthropics/hh-rlhf.
"""

import re
from collections.abc import Iterator

from publius.errors import DataError
from publius.records import Conversation, Message
from publius.records.conversation import Role
from publius.sources.jsonl import Row
from publius.sources.pairs import (
    LoadedPreferences,
    Pair,
    Refusal,
    by_people,
    check_pair,
    collect,
    read_label,
    sources_of,
)
from publius.sources.rows import read_rows
from publius.sources.turns import check_text, read_id

_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_ANSWER = "\n\nAssistant:"
_ROLES: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}


def parse_hh(text: str, *, where: str | None = None) -> Conversation:
    """Return the turns of a dialogue; a final `Assistant:` with nothing after it is a cue and not a turn.

    Raises:
        DataError: The text does not begin with a turn.

    >>> parse_hh("\\n\\nHuman: Note: two\\n\\nparagraphs\\n\\nAssistant:")
    (Message(role='user', content='Note: two\\n\\nparagraphs'),)
    """
    marks = list(_TURN.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        what = f"a dialogue begins with 'Human:' or 'Assistant:', this one with {text[:40]!r}"
        raise DataError(what, where=where)
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    turns: list[Message] = []
    for mark, end in zip(marks, ends, strict=True):
        role, content = _ROLES[mark[1]], text[mark.end() : end].strip()
        if turns and turns[-1].role == role:
            content = "\n\n".join(part for part in (turns.pop().content, content) if part)
        turns.append(Message(role, content))
    if turns[-1] == Message("assistant", ""):
        turns.pop()
    return tuple(turns)


def split_hh(row: Row, better_field: str, worse_field: str) -> Pair | Refusal:
    """Return the pair of two whole dialogues; the prompt is everything before the last `Assistant:`.

    Raises:
        DataError: A field is not text, or is not a dialogue with an answer.
    """
    prompts: list[str] = []
    answers: list[str] = []
    for field in (better_field, worse_field):
        text = "\n\n" + check_text(row.fields.get(field), field, where=row.where)
        prompt, mark, answer = text.rpartition(_ANSWER)
        if not mark:
            raise DataError(f"field {field!r} has no turn of the assistant", where=row.where)
        prompts.append(prompt)
        answers.append(answer.strip())
    if prompts[0] != prompts[1]:
        return "prompts differ"
    if not prompts[0].strip():
        return "bad prompt"
    messages = parse_hh(prompts[0], where=row.where)
    names = (better_field.removeprefix("text_"), worse_field.removeprefix("text_"))
    labels = sources_of(row.fields, otherwise=names)
    label = read_label(row.fields, where=row.where)
    id = read_id(row.fields, where=row.where)
    return check_pair(Pair(id, messages, answers[0], answers[1], labels, label))


def load_hh_comparisons(path: str) -> LoadedPreferences:
    """Return the human preferences of rows with `chosen` and `rejected` dialogues.

    `path` is a .jsonl, .jsonl.gz or .parquet file, or `hf:NAME[:SPLIT]`.

    Raises:
        DataError: There is no such source, or a row is not in the layout; `.where` is `file:line`.
    """
    return collect((where, by_people(pair)) for where, pair in _read_pairs(path))


def _read_pairs(path: str) -> Iterator[tuple[str, Pair | Refusal]]:
    for row in read_rows(path, shipped=()):
        yield row.where, split_hh(row, "chosen", "rejected")
