"""Put training rows in an order whose batches are of like length, so that little is padded.

Paper: none. Departure from the libraries' length-grouped samplers: those run from the longest row of a
window to the shortest, so that a small data set is trained as a curriculum from long to short; here whole
batches are shuffled.
"""

import random
from collections.abc import Sequence

# What a micro-batch costs beside its tokens, in tokens: weights cast to bfloat16, gradients added up.
_BATCH_TOKENS = 64

# Windows of this many batches are sorted; larger ones pad less and shuffle less.
_WINDOW_BATCHES = 32


def grouped_order(lengths: Sequence[int], *, batch_size: int, epochs: int, seed: int) -> list[int]:
    """Return row indices in training order: every index `epochs` times, batches of like length.

    Consecutive groups of `batch_size` are the batches; the last may be smaller. Rows that do not fill a
    batch at the end of an epoch open the next one.

    >>> sorted(grouped_order([5, 1, 4, 2], batch_size=2, epochs=1, seed=0)[:2]) in ([0, 2], [1, 3])
    True
    """
    draw = random.Random(seed)
    order: list[int] = []
    waiting: list[int] = []
    for _ in range(epochs):
        shuffled = list(range(len(lengths)))
        draw.shuffle(shuffled)
        pool = waiting + shuffled
        n_full = len(pool) // batch_size * batch_size
        pool, waiting = pool[:n_full], pool[n_full:]
        order += _epoch(pool, lengths, batch_size, draw)
    return order + waiting


def largest_batch(lengths: Sequence[int], order: Sequence[int], *, batch_size: int) -> int:
    """Return the tokens of the largest batch of `order`, padding counted; 0 for no rows.

    >>> largest_batch([5, 1, 4, 2], [0, 2, 1, 3], batch_size=2)
    10
    """
    starts = range(0, len(order), batch_size)
    batches = [[lengths[i] for i in order[start : start + batch_size]] for start in starts]
    return max((max(batch) * len(batch) for batch in batches), default=0)


def cut_by_tokens(lengths: Sequence[int], *, budget: int, n_least: int = 1) -> list[list[int]]:
    """Return all row indices in micro-batches of like length that are quickest to compute.

    A micro-batch takes at most `budget` tokens, padding counted; a row longer than that is one of its own.
    There are at least `n_least` of them, or one for every row.

    >>> cut_by_tokens([700, 90, 100, 500], budget=1000)
    [[1, 2], [3], [0]]
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    # the least cost of the first `end` rows in order of length, and where their last batch begins
    costs: list[tuple[int, int]] = [(0, 0)]
    for end in range(1, len(order) + 1):
        width = lengths[order[end - 1]]
        n_most = max(1, budget // width)
        costs.append(
            min(
                (costs[start][0] + width * (end - start) + _BATCH_TOKENS, start)
                for start in range(max(0, end - n_most), end)
            )
        )
    batches: list[list[int]] = []
    end = len(order)
    while end:
        start = costs[end][1]
        batches.insert(0, order[start:end])
        end = start
    while len(batches) < min(n_least, len(order)):
        largest = max(range(len(batches)), key=lambda i: len(batches[i]))
        middle = len(batches[largest]) // 2
        batches[largest : largest + 1] = [batches[largest][:middle], batches[largest][middle:]]
    return batches


def _epoch(pool: Sequence[int], lengths: Sequence[int], batch_size: int, draw: random.Random) -> list[int]:
    batches: list[list[int]] = []
    window = batch_size * _WINDOW_BATCHES
    for start in range(0, len(pool), window):
        by_length = sorted(pool[start : start + window], key=lambda row: lengths[row])
        batches += [by_length[i : i + batch_size] for i in range(0, len(by_length), batch_size)]
    draw.shuffle(batches)
    return [row for batch in batches for row in batch]
