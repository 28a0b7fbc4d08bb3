"""Compare two texts word by word, for showing what a revision changed.

Paper: none.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias

SpanKind: TypeAlias = Literal["same", "removed", "added"]

# a word with its inner apostrophes and hyphens, or one other character; then the white space after it.
# Matching looks at words alone: as tokens of their own the spaces would cut every phrase into pieces.
_TOKEN = re.compile(r"(\w+(?:['’-]\w+)*|[^\w\s])(\s*)")

# pairs of equal words beyond which frequent words are only matched next to other matches: a model
# stuck in a loop would otherwise cost minutes ("the the the …" has n² such pairs)
_MAX_PAIRS = 100_000


@dataclass(frozen=True, slots=True)
class DiffSpan:
    """A stretch of text that both have, or that only `before` (removed) or `after` (added) has."""

    kind: SpanKind
    text: str


def word_diff(before: str, after: str) -> tuple[DiffSpan, ...]:
    """Return the spans that turn `before` into `after`; what was removed stands ahead of its replacement.

    The same and removed spans join to `before`, the same and added ones to `after`, to the character.
    No span is empty, and no two neighbours are of one kind.

    >>> [(span.kind, span.text) for span in word_diff("Buy a gun.", "Buy a cake.")]
    [('same', 'Buy a '), ('removed', 'gun'), ('added', 'cake'), ('same', '.')]
    """
    if before == after:
        return (DiffSpan("same", before),) if before else ()
    return tuple(_spans(_pieces(_tokens(before), _tokens(after))))


class _Token(NamedTuple):
    word: str
    space: str


def _tokens(text: str) -> list[_Token]:
    """Split a text into words with the space after each; the first word is empty and has the indent."""
    indent = text[: len(text) - len(text.lstrip())]
    return [_Token("", indent), *(_Token(*match.groups()) for match in _TOKEN.finditer(text))]


def _pieces(before: Sequence[_Token], after: Sequence[_Token]) -> Iterator[tuple[str, str]]:
    """Yield the texts in step: what stands in `before`, and what stands in its place in `after`."""
    old_words, new_words = [token.word for token in before], [token.word for token in after]
    new_counts = Counter(new_words)
    n_pairs = sum(n * new_counts[word] for word, n in Counter(old_words).items())
    matcher = difflib.SequenceMatcher(None, old_words, new_words, autojunk=n_pairs > _MAX_PAIRS)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        old, new = before[old_start:old_end], after[new_start:new_end]
        if tag == "equal":
            for old_token, new_token in zip(old, new, strict=True):
                yield old_token.word, new_token.word
                yield old_token.space, new_token.space
            continue
        old_text, new_text = ("".join(token.word + token.space for token in side) for side in (old, new))
        # the space after both is not part of the change
        common = old[-1].space if old and new and old[-1].space == new[-1].space else ""
        yield old_text.removesuffix(common), new_text.removesuffix(common)
        yield common, common


def _spans(pieces: Iterable[tuple[str, str]]) -> Iterator[DiffSpan]:
    """Join neighbouring pieces of one kind."""
    written = [(old, new) for old, new in pieces if old or new]
    for is_same, run in groupby(written, key=lambda piece: piece[0] == piece[1]):
        old_parts, new_parts = zip(*run, strict=True)
        old, new = "".join(old_parts), "".join(new_parts)
        if is_same:
            yield DiffSpan("same", old)
            continue
        if old:
            yield DiffSpan("removed", old)
        if new:
            yield DiffSpan("added", new)
