"""Choose what is trained on: hard labels on demand, sets at their proportions, weights of the loss.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 (human and AI comparisons in one training set).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from publius.preference.config import Mix, PMSettings, check_mix
from publius.preference.rows import PMRow
from publius.records import ORIGINS, Origin, derive_seed, is_tie


@dataclass(frozen=True, slots=True)
class SetCount:
    """One set of the mixture: comparisons on the training side, and how many went into an epoch.

    `n_ties` of those given have the label 0.5: they are learnt as they are, or left out where labels are
    made hard. With proportions `n_used` may be larger than what was given.
    """

    origin: Origin
    n_given: int
    n_ties: int
    n_used: int


class Mixture(NamedTuple):
    """The rows of an epoch, set by set, and the counts of the sets that were given."""

    rows: list[PMRow]
    sets: tuple[SetCount, ...]


def mix_rows(rows: Sequence[PMRow], settings: PMSettings, *, seed: int) -> Mixture:
    """Return the rows to train on in one epoch; which are drawn or repeated follows from the seed.

    Raises:
        DataError: A set with a proportion above 0 has no row.
    """
    by_origin: dict[Origin, list[PMRow]] = {origin: [] for origin in ORIGINS}
    for row in rows:
        by_origin[row.origin].append(row)
    usable: dict[Origin, list[PMRow]] = {
        origin: _labelled(found, settings) for origin, found in by_origin.items()
    }
    check_mix(settings.mix, given=tuple(origin for origin, found in usable.items() if found))
    sizes = _sizes({origin: len(found) for origin, found in usable.items()}, settings.mix)
    drawn = {
        origin: _draw(found, sizes[origin], seed=derive_seed(seed, "mix", origin))
        for origin, found in usable.items()
    }
    sets = tuple(
        SetCount(
            origin,
            n_given=len(found),
            n_ties=sum(is_tie(row.prob_a) for row in found),
            n_used=len(drawn[origin]),
        )
        for origin, found in by_origin.items()
        if found
    )
    return Mixture([row for origin in ORIGINS for row in drawn[origin]], sets)


def _labelled(rows: Sequence[PMRow], settings: PMSettings) -> list[PMRow]:
    """Return the rows with their weights and with the labels to learn."""
    weighted = [row._replace(weight=_weight(row, settings)) for row in rows]
    if settings.labels == "soft":
        return weighted
    return [row._replace(prob_a=float(row.prob_a > 0.5)) for row in weighted if not is_tie(row.prob_a)]


def _weight(row: PMRow, settings: PMSettings) -> float:
    return settings.loss_weights.of(row.origin, settings.objectives.get(row.constitution_hash or ""))


def _sizes(given: dict[Origin, int], mix: Mix) -> dict[Origin, int]:
    """Return how many rows each set has in an epoch; their sum is that of the sets that take part.

    >>> _sizes({"asked": 30, "construction": 10, "human": 5}, Mix(asked=1, human=1))
    {'asked': 18, 'construction': 0, 'human': 18}
    """
    if not mix.is_set:
        return given
    total = sum(n for origin, n in given.items() if mix.share_of(origin))
    whole = sum(map(mix.share_of, given))
    return {origin: round(total * mix.share_of(origin) / whole) for origin in given}


def _draw(rows: Sequence[PMRow], n: int, *, seed: int) -> list[PMRow]:
    """Return `n` rows, each as often as every other or once more."""
    if not rows:
        return []
    times, rest = divmod(n, len(rows))
    return [*rows] * times + random.Random(seed).sample(rows, rest)
