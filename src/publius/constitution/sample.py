"""Draw principles: one for a critique or a label, several different ones, or one each in equal shares.

Every principle gets an exponential waiting time with its weight as rate, seeded by the seed and the
principle's own id; the shortest waiting time wins. A principle is therefore drawn with probability
weight / sum of weights, the order of the file does not matter, and adding, removing or re-weighting
one principle moves only the draws that it wins or loses, so the other rows of a run stay as they were.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1 ("randomly drawn principles at each step") and §4.1;
arXiv:2310.13798, §2.2 (one principle drawn uniformly a comparison). Departure: weights.
"""

import math
from collections.abc import Mapping
from heapq import nsmallest

from publius.constitution.principle import Constitution, Principle
from publius.errors import DataError
from publius.records import derive_seed


def draw_principle(constitution: Constitution, *, seed: int) -> Principle:
    """Return one principle with probability proportional to its weight; the same seed, the same one."""
    return draw_principles(constitution, k=1, seed=seed)[0]


def draw_principles(constitution: Constitution, *, k: int, seed: int) -> tuple[Principle, ...]:
    """Return `k` different principles in the order drawn, by weight and without replacement.

    Raises:
        DataError: `k` is below 1 or above the number of principles.
    """
    n = len(constitution.principles)
    if not 1 <= k <= n:
        raise DataError(
            f"cannot draw {k} different principles from the {n} of {constitution.name!r}",
            todo=f"ask for 1 to {n}",
        )
    return tuple(nsmallest(k, constitution.principles, key=lambda principle: _waiting_time(principle, seed)))


def share_principles(constitution: Constitution, seeds: Mapping[str, int]) -> dict[str, Principle]:
    """Return a principle for every id of `seeds`, each used as often as its weight says, to within one use.

    With equal weights the numbers of uses differ by one at most. An id gets the principle that
    `draw_principle` draws with its seed while that has uses left, else the next that is drawn; ids take
    their turns in the order of their seeds, so the order of the mapping does not matter. Exact shares
    and draws that never change cannot both be had: when ids are added, all keep their principle but for
    some that were, or now are, turned away from their first (about one in ten of 240 ids at 16
    principles).
    """
    n, total = len(seeds), math.fsum(principle.weight for principle in constitution.principles)
    # 2.9999999999 is 3 but for rounding
    left = {item.id: math.floor(n * item.weight / total + 1e-9) for item in constitution.principles}
    n_spare = n - sum(left.values())  # at most one for every principle
    has_spare = set(left)
    shared: dict[str, Principle] = {}
    for id in sorted(seeds, key=lambda id: (seeds[id], id)):
        for principle in draw_principles(constitution, k=len(left), seed=seeds[id]):
            if left[principle.id] == 0 and n_spare and principle.id in has_spare:
                has_spare.remove(principle.id)
                left[principle.id], n_spare = 1, n_spare - 1
            if left[principle.id]:
                left[principle.id] -= 1
                shared[id] = principle
                break
    return shared


def _waiting_time(principle: Principle, seed: int) -> float:
    """Return the principle's exponential waiting time; its rate is the weight."""
    uniform = (derive_seed(seed, "principle", principle.id) + 0.5) / 2**31  # in (0, 1)
    return -math.log(uniform) / principle.weight
