"""Decide which prompt starts next, so that prompts with a common beginning compute it once.

A prefix cache helps a prompt only if the shared part is computed when the prompt is scheduled, and not
yet forgotten: siblings sent together each compute it again. So siblings stand next to each other in the
queue, and a prompt waits while another one is computing a block of tokens that it needs next.

A prompt seldom ends with a block. openvino-genai (2026.4) keeps its last block as well, partly filled, and
lends it to every prompt that goes on from exactly there; two such prompts at once write into one block and
read each other's tokens (the likeliest next token had -1.70 nats instead of -0.73). So of the prompts that
go on from one end, one is computed at a time.

Paper: none.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_MAX_KNOWN = 500_000
_MAX_ENDS = 100_000  # far more than any cache holds


def block_keys(ids: Sequence[int], *, block_size: int) -> tuple[int, ...]:
    """Return one key for every full block of a prompt; equal keys mean equal prompts up to that block.

    >>> a, b = block_keys([1, 2, 3, 4, 5], block_size=2), block_keys([1, 2, 9, 9], block_size=2)
    >>> len(a), a[0] == b[0], a[1] == b[1]
    (2, True, False)
    """
    keys: list[int] = []
    key = 0
    for end in range(block_size, len(ids) + 1, block_size):
        key = hash((key, *ids[end - block_size : end]))
        keys.append(key)
    return tuple(keys)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A text of tokens and the keys of its full blocks."""

    ids: Sequence[int]
    size: int
    keys: tuple[int, ...]

    @classmethod
    def of(cls, ids: Sequence[int], *, size: int) -> "Blocks":
        """Return `ids` cut into blocks of `size` tokens."""
        return cls(ids, size, block_keys(ids, block_size=size))

    def key_before(self, n: int) -> int:
        """Return what stands for everything before block `n`."""
        return self.keys[n - 1] if n else 0

    def part(self, n: int, length: int) -> int:
        """Return a key for the first `length` tokens of block `n` and everything before it."""
        begin = n * self.size
        return hash((self.key_before(n), "part", *self.ids[begin : begin + length]))


class PrefixGate:
    """Which blocks are computed, which are being computed now, and where texts ended inside a block.

    It follows what the engine's cache holds without asking it; where the engine has forgotten a block
    the prompt is computed again, and nothing but time is lost.
    """

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._pending: dict[int, int] = {}
        self._ends = _Ends()
        self._going_on: dict[int, Blocks] = {}

    def may_start(self, blocks: Blocks) -> bool:
        """Return whether no running prompt is computing the first block that this one still lacks.

        Nor may one go on from an end that this one goes on from too.
        """
        n = self._n_known(blocks)
        if n < len(blocks.keys) and blocks.keys[n] in self._pending:
            return False
        return all(end not in self._going_on for end in self._ends.within(blocks, n))

    def start(self, blocks: Blocks) -> None:
        """Note that a prompt is being computed."""
        self._going_on |= dict.fromkeys(self._ends.within(blocks, self._n_known(blocks)), blocks)
        for key in blocks.keys:
            if key not in self._known:
                self._pending[key] = self._pending.get(key, 0) + 1
        self._ends.add(blocks)

    def computed(self, blocks: Blocks) -> None:
        """Note that a prompt that was started has been computed."""
        self.abandoned(blocks)
        if len(self._known) > _MAX_KNOWN:  # far more than any cache holds
            self._known.clear()
        self._known.update(blocks.keys)

    def abandoned(self, blocks: Blocks) -> None:
        """Note that a prompt that was started will not be computed."""
        for key in blocks.keys:
            left = self._pending.get(key, 0) - 1
            if left > 0:
                self._pending[key] = left
            else:
                self._pending.pop(key, None)
        for end in [end for end, owner in self._going_on.items() if owner is blocks]:
            del self._going_on[end]

    def answered(self, blocks: Blocks) -> None:
        """Note that a prompt with its answer, all but the answer's last token, is in the cache now."""
        self._ends.add(blocks)

    def _n_known(self, blocks: Blocks) -> int:
        keys = blocks.keys
        return next((n for n, key in enumerate(keys) if key not in self._known), len(keys))


class _Ends:
    """Where texts ended inside a block: a key for each, and under the block before it how long it is."""

    def __init__(self) -> None:
        self._place: dict[int, tuple[int, int]] = {}  # the oldest first
        self._lengths: dict[int, Counter[int]] = {}

    def add(self, blocks: Blocks) -> None:
        n = len(blocks.keys)
        length = len(blocks.ids) - n * blocks.size
        if not length:
            return
        end = blocks.part(n, length)
        self._forget(end)
        self._place[end] = (blocks.key_before(n), length)
        self._lengths.setdefault(blocks.key_before(n), Counter())[length] += 1
        if len(self._place) > _MAX_ENDS:
            self._forget(next(iter(self._place)))

    def within(self, blocks: Blocks, n: int) -> list[int]:
        """Return the ends inside block `n` that this text goes on from."""
        room = len(blocks.ids) - n * blocks.size
        lengths = self._lengths.get(blocks.key_before(n), ())
        parts = (blocks.part(n, length) for length in lengths if length < room)
        return [part for part in parts if part in self._place]

    def _forget(self, end: int) -> None:
        place = self._place.pop(end, None)
        if place is None:
            return
        before, length = place
        counts = self._lengths[before]
        counts[length] -= 1
        if not counts[length]:
            del counts[length]
        if not counts:
            del self._lengths[before]


class GroupedQueue(Generic[T]):
    """What waits, sorted in groups: a group is all that was put in while the one before it was used up.

    So alike items are neighbours, and yet an item is passed by no item that comes after its own group,
    however long they keep coming.
    """

    def __init__(self, sort_key: Callable[[T], Any]) -> None:
        self._sort_key = sort_key
        self._sorted: deque[T] = deque()
        self._fresh: list[T] = []

    def __len__(self) -> int:
        return len(self._sorted) + len(self._fresh)

    def put(self, item: T) -> None:
        """Add an item to the group that is forming."""
        self._fresh.append(item)

    def put_first(self, item: T) -> None:
        """Add an item before all others."""
        self._sorted.appendleft(item)

    def start(self, try_start: Callable[[T], bool], *, room: int, n_tried: int) -> None:
        """Offer the next `n_tried` items until `room` of them have started; the others keep their place."""
        held: list[T] = []
        try:
            for _ in range(n_tried):
                if room == 0 or not len(self):
                    break
                if not self._sorted:
                    self._sorted.extend(sorted(self._fresh, key=self._sort_key))
                    self._fresh.clear()
                if try_start(self._sorted[0]):
                    self._sorted.popleft()
                    room -= 1
                else:
                    held.append(self._sorted.popleft())
        finally:
            self._sorted.extendleft(reversed(held))

    def clear(self) -> None:
        """Forget everything that waits."""
        self._sorted.clear()
        self._fresh.clear()
