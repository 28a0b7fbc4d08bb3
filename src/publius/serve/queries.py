"""Read a text that a chat template made back into the conversation that it was made of.

OpenRLHF sends a rollout as one text: the prompt in the policy's chat template, the answer after it, control
tokens spelt out. The preference model has a template of its own, so the text is read back into messages.
What a template writes around the turns is learnt by rendering marked turns, and a reading counts only if
rendering it again gives the same text. The answer is everything after the prompt: control strings inside
it are text and open no turn.

Paper: none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from publius.errors import DataError
from publius.records import Conversation, Message, conversation
from publius.records.conversation import Role
from publius.training.chat import ChatCodec

_MARKS = ("⟦publius-0⟧", "⟦publius-1⟧", "⟦publius-2⟧")


@dataclass(frozen=True, slots=True)
class QueryReader:
    """What a chat template writes before, between and after turns, and how to render with it.

    `head` comes before the first user turn, `system` (where the template takes one) around a system turn;
    `to_assistant` and `to_user` stand between turns; `cue` ends a prompt. `ends` are the strings of the
    tokens that end an answer or pad it, `control` all control strings.
    """

    render: Callable[[Sequence[Message], bool], str]
    head: str
    system: tuple[str, str] | None
    to_assistant: str
    to_user: str
    cue: str
    ends: tuple[str, ...]
    control: tuple[str, ...]

    def read(self, query: str, *, prompt: str | None = None) -> Conversation:
        """Return the conversation of a prompt and its answer; `prompt` says where the answer begins.

        Without it the answer begins after the last cue, so an answer that contains the cue is read wrong.

        Raises:
            DataError: The query does not begin with the prompt, or the prompt is not in this template.
        """
        if prompt is None:
            if not self.cue:
                raise DataError(
                    "this template does not show where an answer begins",
                    todo="send the prompts beside the texts",
                )
            place = query.rfind(self.cue)
            prompt = query[: place + len(self.cue)] if place >= 0 else query
        if not query.startswith(prompt):
            raise DataError("the query does not begin with its prompt; was the prompt cut?")
        turns = self._read_prompt(prompt)
        return (*turns, Message("assistant", self._answer(query[len(prompt) :])))

    def _read_prompt(self, prompt: str) -> Conversation:
        if prompt.startswith(self.head):
            turns = self._read_turns(prompt.removeprefix(self.head))
            if self._renders_as(turns, prompt):
                return turns
        if self.system is not None and prompt.startswith(self.system[0]):
            content, _, rest = prompt.removeprefix(self.system[0]).partition(self.system[1])
            turns = (Message("system", content), *self._read_turns(rest))
            if self._renders_as(turns, prompt):
                return turns
        raise DataError(
            "the prompt is not written in the chat template that this server reads",
            todo="start it with --policy DIR, the model that writes the queries; or post messages to /score",
        )

    def _read_turns(self, text: str) -> Conversation:
        """Return the turns of user and assistant; a wrong reading will not render to the same text."""
        text = text.removesuffix(self.cue)  # which may be the same as what comes before an assistant's turn
        turns: list[Message] = []
        role: Role = "user"
        start = 0  # what is left is not copied: a text of very many turns would take time by its square
        while True:
            between = self.to_assistant if role == "user" else self.to_user
            end = text.find(between, start)
            if end < 0:
                return (*turns, Message(role, text[start:]))
            turns.append(Message(role, text[start:end]))
            start = end + len(between)
            role = "assistant" if role == "user" else "user"

    def _renders_as(self, turns: Sequence[Message], prompt: str) -> bool:
        # a control string in a turn may have been a turn of its own: it cannot be told, so it is not guessed
        if any(string in turn.content for turn in turns for string in self.control):
            return False
        try:
            return self.render(turns, True) == prompt
        except DataError:  # roles that the template refuses
            return False

    def _answer(self, text: str) -> str:
        """Return the answer without the tokens that end and pad it, and the white space between these."""
        length = len(text)
        while True:
            seen = length
            while seen and text[seen - 1].isspace():
                seen -= 1
            found = next((end for end in self.ends if text.endswith(end, 0, seen)), None)
            if found is None:
                return text[:length]
            length = seen - len(found)


def learn_template(codec: ChatCodec, *, pad_id: int | None = None) -> QueryReader:
    """Return the reader of a tokenizer's chat template.

    Raises:
        DataError: The template does not write turns one after another as they are.
    """
    first, second, third = _MARKS
    turns = conversation(("user", first), ("assistant", second), ("user", third))
    head, to_assistant, to_user, cue = _around(codec.render(turns, True), _MARKS)
    if not to_assistant or not to_user:
        raise _unreadable()
    ends = [string for string, id in codec.control.items() if id in (*codec.end_ids, pad_id)]
    return QueryReader(
        render=codec.render,
        head=head,
        system=_system(codec, first, second),
        to_assistant=to_assistant,
        to_user=to_user,
        cue=cue,
        ends=tuple(ends),
        control=tuple(codec.control),
    )


def _system(codec: ChatCodec, first: str, second: str) -> tuple[str, str] | None:
    try:
        rendered = codec.render(conversation(("system", first), ("user", second)), True)
        before, between, _ = _around(rendered, (first, second))
    except DataError:  # the template takes no system turn, or puts it somewhere else
        return None
    return before, between


def _around(text: str, marks: Sequence[str]) -> tuple[str, ...]:
    """Return what stands before, between and after the marks, each of which is there once."""
    parts: list[str] = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found or mark in text:
            raise _unreadable()
        parts.append(before)
    return (*parts, text)


def _unreadable() -> DataError:
    return DataError(
        "this chat template cannot be read back",
        todo="post messages to /score instead of texts to /get_reward",
    )
