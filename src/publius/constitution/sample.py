"""Draw principles: one for a critique or a label, or several different ones.

Every principle gets an exponential waiting time with its weight as rate, seeded by the seed and the
principle's own id; the shortest waiting time wins. A principle is therefore drawn with probability
weight / sum of weights, the order of the file does not matter, and adding, removing or re-weighting
one principle moves only the draws that it wins or loses, so the other rows of a run stay as they were.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1 ("randomly drawn principles at each step") and §4.1;
arXiv:2310.13798, §2.2 (one principle drawn uniformly a comparison). Departure: weights.
"""

import math
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


def _waiting_time(principle: Principle, seed: int) -> float:
    """Return the principle's exponential waiting time; its rate is the weight."""
    uniform = (derive_seed(seed, "principle", principle.id) + 0.5) / 2**31  # in (0, 1)
    return -math.log(uniform) / principle.weight
