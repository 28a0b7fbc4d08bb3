"""Decide which prompt starts next, so that prompts with a common beginning compute it once.

A prefix cache helps a prompt only if the shared part is computed when the prompt is scheduled, and not
yet forgotten: siblings sent together each compute it again. So siblings stand next to each other in the
queue, and a prompt waits while another one is computing a block of tokens that it needs next.

Paper: none.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_MAX_KNOWN = 500_000


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


class PrefixGate:
    """Which blocks are computed, and which are being computed now.

    It follows what the engine's cache holds without asking it; where the engine has forgotten a block
    the prompt is computed again, and nothing but time is lost.
    """

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._pending: dict[int, int] = {}

    def may_start(self, keys: Sequence[int]) -> bool:
        """Return whether no running prompt is computing the first block that this one still lacks."""
        missing = next((key for key in keys if key not in self._known), None)
        return missing is None or missing not in self._pending

    def start(self, keys: Iterable[int]) -> None:
        """Note that a prompt with these blocks is being computed."""
        for key in keys:
            if key not in self._known:
                self._pending[key] = self._pending.get(key, 0) + 1

    def computed(self, keys: Iterable[int]) -> None:
        """Note that a prompt that was started has been computed."""
        self.abandoned(keys := tuple(keys))
        if len(self._known) > _MAX_KNOWN:  # far more than any cache holds
            self._known.clear()
        self._known.update(keys)

    def abandoned(self, keys: Iterable[int]) -> None:
        """Note that a prompt that was started will not be computed."""
        for key in keys:
            left = self._pending.get(key, 0) - 1
            if left > 0:
                self._pending[key] = left
            else:
                self._pending.pop(key, None)


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
