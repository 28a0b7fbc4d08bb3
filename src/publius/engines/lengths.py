"""Which requests make the next static batch: those of similar length, the longest waiting among them.

Paper: none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Size(NamedTuple):
    """Tokens of a prompt, and tokens that its answer has or may have."""

    n_prompt: int
    n_answer: int


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    size: Size
    id: str
    turn: int
    item: T


class LengthQueue(Generic[T]):
    """Requests of one kind that wait. What was put in under one turn makes the same batches in any order."""

    def __init__(self, *, max_tokens: int, max_rows: int) -> None:
        self._max_tokens = max_tokens
        self._max_rows = max_rows
        self._waiting: list[_Waiting[T]] = []

    @property
    def oldest(self) -> int | None:
        """The lowest turn that waits, or None if nothing does."""
        return min((row.turn for row in self._waiting), default=None)

    def put(self, item: T, size: Size, *, id: str, turn: int) -> None:
        """Add a request; `turn` counts up, and a lower one is served first."""
        self._waiting.append(_Waiting(size, id, turn, item))

    def take(self) -> list[T]:
        """Take out the batch that the shortest request of the oldest turn is in.

        What came later fills that batch up, but never puts it off.
        """
        self._waiting.sort(key=lambda row: (row.size, row.id))
        oldest = self.oldest
        anchor = next((i for i, row in enumerate(self._waiting) if row.turn == oldest), None)
        if anchor is None:
            return []
        sizes = [row.size for row in self._waiting]
        parts = batches(sizes, max_tokens=self._max_tokens, max_rows=self._max_rows)
        part = next(part for part in parts if anchor < part.stop)
        taken = [row.item for row in self._waiting[part]]
        del self._waiting[part]
        return taken

    def clear(self) -> None:
        """Forget everything that waits."""
        self._waiting.clear()


def batches(sizes: Sequence[tuple[int, int]], *, max_tokens: int, max_rows: int) -> Iterator[slice]:
    """Yield slices of rows that make a batch, given each row's tokens of prompt and answer.

    Rows must be sorted by prompt length. A batch's rows times its longest prompt and answer are at most
    `max_tokens` (a single row may be more), and its prompts differ in length by no more than a factor of
    two and a little, so that little is padding.

    >>> list(batches([(10, 5), (12, 5), (100, 5)], max_tokens=1000, max_rows=8))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    start, longest_answer = 0, 0
    for row, (n_prompt, n_answer) in enumerate(sizes):
        longest_answer = max(longest_answer, n_answer)
        n_rows = row - start + 1
        is_full = n_rows > max_rows or n_rows * (n_prompt + longest_answer) > max_tokens
        if row > start and (is_full or n_prompt > 2 * sizes[start][0] + 32):
            yield slice(start, row)
            start, longest_answer = row, n_answer
    if start < len(sizes):
        yield slice(start, len(sizes))
