"""Turn messages into token ids by the model's own chat template, text always as text.

A string such as `<|im_end|>` inside a message is encoded as ordinary characters, never as the control
token, so that no prompt and no model answer can open or close a turn. Where no message contains such a
string the ids are exactly those of the tokenizer's `apply_chat_template`.

What counts as a control string: every added token marked special, and every other added token that the
chat template itself writes (Qwen's `<tool_call>` is one). Added tokens that are plain text shortcuts
(runs of spaces, Gemma's `<table>`) keep their single id.

Some templates write something of their own: SmolLM2's and Qwen2.5's add a default system message
("You are a helpful AI assistant named SmolLM…") when the conversation does not begin with one. It is
part of the prompt and of its token count; give a system message to replace it.

Paper: none.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Never, cast

import jinja2
import jinja2.ext
import jinja2.sandbox

from publius.errors import DataError
from publius.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Tokens by which chat models end a turn or a text; a model may emit one that is not its tokenizer's eos.
_END_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<|end_of_text|>",
    "</s>",
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_PRIVATE_USE = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


@dataclass(frozen=True, slots=True)
class ChatCodec:
    """What encoding needs of a tokenizer, whoever made it.

    `render(messages, add_generation_prompt)` applies the template; `encode` turns text into ids and
    reads control strings as control tokens; `control` maps those strings to their ids; `end_ids` are
    the tokens that end a turn, the usual one first. `normalise` is what the tokenizer does to text
    before anything else, where `encode` does not do it itself. `opening` is what every plain text begins
    with (a beginning-of-text token, in some models). A model that knows no turns has no template: plain
    texts are encoded, and `render` refuses.
    """

    render: Callable[[Sequence[Message], bool], str]
    encode: Callable[[str], list[int]]
    control: Mapping[str, int]
    end_ids: tuple[int, ...]
    normalise: Callable[[str], str] = str
    opening: tuple[int, ...] = ()
    has_template: bool = True


class EncodedAnswer(NamedTuple):
    """A prompt and its answer as ids; the answer ends with the template's end-of-turn token."""

    prompt_ids: list[int]
    answer_ids: list[int]


def encode_chat(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[Message],
    *,
    prefill: str = "",
    add_generation_prompt: bool = True,
) -> list[int]:
    """Return the prompt's token ids: `messages`, the assistant's header, and `prefill` as its beginning.

    Raises:
        DataError: There is no template, the template refuses these roles, or a prefill is given without
            the assistant's header.
    """
    codec = codec_of(tokenizer)
    return encode_messages(codec, messages, prefill=prefill, add_generation_prompt=add_generation_prompt)


def encode_answer(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message]) -> EncodedAnswer:
    """Return the ids of the prompt and of the last (the assistant's) message, encoded apart.

    They are encoded apart because a model answers that way: the prompt's ids are fixed before the answer
    begins. The answer ends with the end-of-turn token; what the template writes after it is left out.

    Raises:
        DataError: The last message is not the assistant's, or the template refuses these roles.
    """
    return encode_messages_with_answer(codec_of(tokenizer), messages)


def end_token_ids(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """Return the ids that end an answer: the tokenizer's eos first, then other known end tokens it has."""
    return codec_of(tokenizer).end_ids


def codec_of(tokenizer: "PreTrainedTokenizerBase") -> ChatCodec:
    """Return the codec of a transformers tokenizer."""
    loose = cast(Any, tokenizer)  # transformers leaves these methods loosely typed
    template: object = loose.chat_template
    added = {str(token.content): int(i) for i, token in loose.added_tokens_decoder.items()}
    marked = {str(token.content) for token in loose.added_tokens_decoder.values() if token.special}
    eos: str | None = loose.eos_token

    def render(messages: Sequence[Message], add_generation_prompt: bool) -> str:
        if not template:
            raise no_template(str(loose.name_or_path) or None)
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return str(
                loose.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt)
            )
        except jinja2.TemplateError as error:
            _refuse(error)

    def encode(text: str) -> list[int]:
        return list(loose.encode(text, add_special_tokens=False, verbose=False))

    return ChatCodec(
        render=render,
        encode=encode,
        control=control_strings(added, marked=marked, template=str(template or "")),
        end_ids=end_ids_of(added, eos=eos),
        # of what the tokenizer puts around a text on its own, the beginning
        opening=tuple(i for i in loose.encode("", verbose=False)[:1] if i == loose.bos_token_id),
        has_template=bool(template),
    )


def no_template(where: str | Path | None) -> DataError:
    """Return the error of a model that messages cannot be put to."""
    return DataError(
        "the model has no chat template, so it is not known how to put messages to it",
        where=where,
        todo="use the instruction-tuned variant, or put its chat_template.jinja into the model directory",
    )


def control_strings(added: Mapping[str, int], *, marked: set[str], template: str) -> dict[str, int]:
    """Return the added tokens that text must not produce: the `marked` ones and those in the template.

    Longest first. A token of one character cannot be told from text and is left out.

    >>> control_strings({"<|e|>": 7, "<b>": 8, "<t>": 9}, marked={"<|e|>"}, template="… <t> …")
    {'<|e|>': 7, '<t>': 9}
    """
    chosen = [text for text in added if len(text) > 1 and (text in marked or text in template)]
    return {text: added[text] for text in sorted(chosen, key=lambda text: (-len(text), added[text]))}


def end_ids_of(added: Mapping[str, int], *, eos: str | None) -> tuple[int, ...]:
    """Return the ids of the end tokens among `added`, that of `eos` first.

    >>> end_ids_of({"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}, eos="<|im_end|>")
    (2, 0)
    """
    names: dict[str, None] = dict.fromkeys([*([eos] if eos else []), *_END_TOKENS])
    return tuple(added[name] for name in names if name in added)


def render_template(
    template: str, messages: Sequence[Message], *, add_generation_prompt: bool, names: Mapping[str, str]
) -> str:
    """Return the text of a Jinja chat template; `names` are its variables such as `bos_token`.

    The environment is the one transformers uses (sandboxed, blocks trimmed), so the text is the same.

    Raises:
        DataError: The template refuses the conversation or is broken.
    """
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        compiled = _compile(template)
        return compiled.render(messages=turns, add_generation_prompt=add_generation_prompt, **names)
    except jinja2.TemplateError as error:
        _refuse(error)


def encode_messages(
    codec: ChatCodec, messages: Sequence[Message], *, prefill: str = "", add_generation_prompt: bool = True
) -> list[int]:
    """Return what `encode_chat` returns, for any codec; without messages, `prefill` as plain text.

    Raises:
        DataError: There is nothing to encode, or what `encode_chat` raises.
    """
    if prefill and not add_generation_prompt:
        raise DataError("a prefill needs the assistant's header", todo="leave add_generation_prompt on")
    if not messages and not prefill:
        raise DataError("the conversation is empty")
    guarded, hidden = _hide_controls([*messages, Message("assistant", prefill)], codec)
    if not messages:
        return [*codec.opening, *_encode_pieces(codec, guarded[-1].content, hidden)]
    rendered = codec.render(guarded[:-1], add_generation_prompt)
    return _encode_pieces(codec, rendered + guarded[-1].content, hidden)


def encode_messages_with_answer(codec: ChatCodec, messages: Sequence[Message]) -> EncodedAnswer:
    """Return what `encode_answer` returns, for any codec."""
    if not messages or messages[-1].role != "assistant":
        raise DataError("the last message must be the assistant's")
    guarded, hidden = _hide_controls(messages, codec)
    prompt = codec.render(guarded[:-1], True)
    whole = codec.render(guarded, False)
    # A template may write the answer's turn differently from the header it offers; then the plain
    # answer with the end token is what a model would have produced after that header.
    answer = whole[len(prompt) :] if whole.startswith(prompt) else guarded[-1].content
    answer_ids = _encode_pieces(codec, answer, hidden)
    ends = [i for i, token in enumerate(answer_ids) if token in codec.end_ids]
    closed = answer_ids[: ends[-1] + 1] if ends else [*answer_ids, *codec.end_ids[:1]]
    return EncodedAnswer(_encode_pieces(codec, prompt, hidden), closed)


class _Hidden(NamedTuple):
    """Which private character stands for which control string."""

    by_mark: dict[str, str]


def _hide_controls(messages: Sequence[Message], codec: ChatCodec) -> tuple[list[Message], _Hidden]:
    """Replace control strings in contents by private characters that survive the template.

    Contents are normalised first, so that nothing can become a control string afterwards.
    """
    cleaned = (codec.normalise(_LONE_SURROGATE.sub("\ufffd", m.content)) for m in messages)
    clean = [Message(m.role, text) for m, text in zip(messages, cleaned, strict=True)]
    found = [text for text in codec.control if any(text in message.content for message in clean)]
    if not found:
        return clean, _Hidden({})
    used = set().union(*(message.content for message in clean))
    free = (chr(code) for code in chain.from_iterable(_PRIVATE_USE) if chr(code) not in used)
    marks = dict(zip(found, free, strict=False))
    pattern = re.compile("|".join(re.escape(text) for text in found))  # longest first, as in `control`
    hidden = [Message(m.role, pattern.sub(lambda match: marks[match[0]], m.content)) for m in clean]
    return hidden, _Hidden({mark: text for text, mark in marks.items()})


def _encode_pieces(codec: ChatCodec, text: str, hidden: _Hidden) -> list[int]:
    if not hidden.by_mark:
        return codec.encode(text)
    pieces = re.split(f"([{''.join(hidden.by_mark)}])", text)
    ids: list[int] = []
    for piece in pieces:
        if piece in hidden.by_mark:
            ids += _encode_as_text(codec, hidden.by_mark[piece])
        elif piece:
            ids += codec.encode(piece)
    return ids


def _encode_as_text(codec: ChatCodec, control: str) -> list[int]:
    """Encode a control string cut in two, so that the tokenizer cannot recognise it."""
    forbidden = set(codec.control.values())
    for cut in range(1, len(control)):
        ids = [*codec.encode(control[:cut]), *codec.encode(control[cut:])]
        if forbidden.isdisjoint(ids):
            return ids
    return list(chain.from_iterable(codec.encode(character) for character in control))


def _refuse(error: Exception) -> Never:
    raise DataError(
        f"the model's chat template refuses this conversation: {error}",
        todo="check the roles: most templates want user and assistant in turns, a system message first",
    ) from error


@functools.lru_cache(maxsize=16)
def _compile(template: str) -> jinja2.Template:
    def raise_exception(message: str) -> Never:
        raise jinja2.TemplateError(message)

    def tojson(value: object, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    cast(dict[str, object], environment.globals)["raise_exception"] = raise_exception
    return environment.from_string(template)
