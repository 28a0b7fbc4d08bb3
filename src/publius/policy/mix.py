"""Draw the prompts of an RL run: purposes in fixed shares, prompts in a seeded order.

Paper: Kundu et al. 2023, arXiv:2310.13798 (half helpfulness, a quarter red-team, a quarter trait
prompts).
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle

from publius.errors import DataError
from publius.records import Prompt, derive_seed


def draw_prompts(
    prompts: Sequence[Prompt], *, weights: Mapping[str, float], n: int, seed: int
) -> list[Prompt]:
    """Return `n` prompts in training order; every stretch of them holds the purposes by weight.

    A purpose without prompts is left out and the others share its part. The prompts of a purpose come in
    shuffled order, each once before any comes again.

    Raises:
        DataError: No purpose with a weight above zero has a prompt.
    """
    by_purpose: dict[str, list[Prompt]] = {}
    for prompt in sorted(prompts, key=lambda prompt: prompt.id):
        if weights.get(prompt.purpose, 0) > 0:
            by_purpose.setdefault(prompt.purpose, []).append(prompt)
    if not by_purpose:
        raise DataError(
            f"none of {len(prompts)} prompts has a purpose with a weight",
            todo=f"give prompts for {' or '.join(repr(name) for name in weights)}",
        )
    for purpose, group in by_purpose.items():
        random.Random(derive_seed(seed, "rl-prompts", purpose)).shuffle(group)
    turns = {purpose: cycle(group) for purpose, group in by_purpose.items()}
    total = sum(weights[purpose] for purpose in by_purpose)
    drawn: Counter[str] = Counter()
    order: list[Prompt] = []
    for i in range(1, n + 1):
        # whose share lags most is next; a name settles ties, so the order is the same everywhere
        purpose = max(sorted(turns), key=lambda name: i * weights[name] / total - drawn[name])
        drawn[purpose] += 1
        order.append(next(turns[purpose]))
    return order
