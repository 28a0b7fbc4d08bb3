"""The tokenizer that openvino-genai reads from a GGUF file, made equal to the one used in training.

Paper: none.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from unicodedata import normalize

from publius.records import Message
from publius.training.chat import (
    ChatCodec,
    control_strings,
    end_ids_of,
    no_template,
    render_template,
)
from publius.training.gguf_header import Value, control_tokens, header_number, header_text, token_text

# openvino's GGUF tokenizer keeps the last 8192 tokens of a text and drops the rest without a word,
# whatever its arguments say; a text of no more characters than that cannot be cut.
_MAX_ENCODE_CHARS = 2048  # a character is at most four tokens, one for each of its bytes
# Prompts of a judge differ in a few words, so pieces of them are remembered; these are encoded at once.
_PIECE_CHARS = 128
_MAX_REMEMBERED = 16_384
_MAX_REMEMBERED_CHARS = 2 * _PIECE_CHARS  # text without spaces comes in pieces of `_MAX_ENCODE_CHARS`
_MAX_REMEMBERED_LONG = 1024  # where nothing is taken apart, and pieces are as long as that
_BETWEEN_WORDS = re.compile(r"(?<=[A-Za-z])(?=[ \n][A-Za-z])")
_CONTROL = 3  # GGUF's type of a token that is never text


class GGUFTokenizer:
    """`codec` turns messages into ids; `decode` turns ids into text without control tokens."""

    def __init__(self, tokenizer: Any, *, header: Mapping[str, Value], where: Path) -> None:
        self._tokenizer = tokenizer
        # Vocabularies of this kind take words apart before they are encoded; others may join them.
        self._has_words = header_text(header, "tokenizer.ggml.model") == "gpt2"
        n_remembered = _MAX_REMEMBERED if self._has_words else _MAX_REMEMBERED_LONG
        self._remembered = lru_cache(n_remembered)(self._encode_piece)
        added = control_tokens(header)
        types = header.get("tokenizer.ggml.token_type")
        kinds = types if isinstance(types, list) else []
        self._marked = {text: i for text, i in added.items() if kinds[i] == _CONTROL}
        self._control_ids = frozenset(self._marked.values())
        self.codec = self._make_codec(header, added, where)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; added tokens that are text, such as Qwen's `<tool_call>`, stay."""
        text_ids = [i for i in ids if i not in self._control_ids]
        return str(self._tokenizer.decode(text_ids, skip_special_tokens=False)) if text_ids else ""

    def _encode(self, text: str) -> list[int]:
        parts = split_words(text, n_chars=_PIECE_CHARS) if self._has_words else [text]
        pieces = (piece for part in parts for piece in split_text(part, max_chars=_MAX_ENCODE_CHARS))
        return [token for piece in pieces for token in self._ids_of(piece)]

    def _ids_of(self, piece: str) -> tuple[int, ...]:
        is_long = self._has_words and len(piece) > _MAX_REMEMBERED_CHARS
        return self._encode_piece(piece) if is_long else self._remembered(piece)

    def _encode_piece(self, piece: str) -> tuple[int, ...]:
        encoded = self._tokenizer.encode(piece, add_special_tokens=False)
        return tuple(encoded.input_ids.data[0].tolist())

    def _make_codec(self, header: Mapping[str, Value], added: Mapping[str, int], where: Path) -> ChatCodec:
        template = header_text(header, "tokenizer.chat_template") or ""
        names = {f"{which}_token": token_text(header, which) or "" for which in ("bos", "eos")}

        def render(messages: Sequence[Message], add_generation_prompt: bool) -> str:
            if not template:
                raise no_template(where)
            return render_template(
                template, messages, add_generation_prompt=add_generation_prompt, names=names
            )

        # Qwen's tokenizer composes accents first; openvino reads the rest of it, but not this.
        composes = header_text(header, "tokenizer.ggml.pre") == "qwen2"
        return ChatCodec(
            render=render,
            encode=self._encode,
            control=control_strings(added, marked=set(self._marked), template=template),
            end_ids=end_ids_of(added, eos=token_text(header, "eos")),
            normalise=partial(normalize, "NFC") if composes else str,
            opening=_opening(header),
            has_template=bool(template),
        )


def _opening(header: Mapping[str, Value]) -> tuple[int, ...]:
    """Return what a plain text begins with; where the file does not say, its kind of tokenizer decides."""
    is_spm = header_text(header, "tokenizer.ggml.model") == "llama"
    bos = header_number(header, "tokenizer.ggml.bos_token_id")
    return (bos,) if bos is not None and header.get("tokenizer.ggml.add_bos_token", is_spm) else ()


def split_words(text: str, *, n_chars: int) -> list[str]:
    """Return `text` cut between words, each part as soon as it has `n_chars`.

    Texts with a common beginning have the same first parts.

    >>> split_words("one two three", n_chars=2)
    ['one', ' two', ' three']
    """
    parts: list[str] = []
    begin = 0
    while (cut := _BETWEEN_WORDS.search(text, begin + n_chars)) is not None:
        parts.append(text[begin : cut.start()])
        begin = cut.start()
    return [*parts, text[begin:]] if begin < len(text) else parts


def split_text(text: str, *, max_chars: int) -> list[str]:
    """Return `text` in pieces of at most `max_chars` that encode to the same ids as the whole.

    Every tokenizer of this family begins a new piece between a letter and a space that a letter follows.
    A text with no such place for `max_chars` is cut where it is, and its ids may differ there.

    >>> split_text("one two three", max_chars=8)
    ['one two', ' three']
    """
    pieces: list[str] = []
    while len(text) > max_chars:
        places = [match.start() for match in _BETWEEN_WORDS.finditer(text, 1, max_chars + 2)]
        cut = places[-1] if places and places[-1] <= max_chars else max_chars
        pieces.append(text[:cut])
        text = text[cut:]
    return [*pieces, text] if text else pieces
