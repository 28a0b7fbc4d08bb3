"""Decide when a prompt may start, so that prompts with a common beginning compute it once.

A prefix cache helps a prompt only if the shared part is already computed when the prompt is scheduled:
siblings sent together each compute it again. So a prompt waits while another one is computing a block
of tokens that it needs next, and starts when that block is there.

Paper: none.
"""

from collections.abc import Iterable, Sequence

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
