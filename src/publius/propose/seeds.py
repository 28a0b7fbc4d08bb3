"""Seeds: the prompts of people that a model is shown, and the seeded draw of those for one request.

Only prompts of the train part with a single turn are shown. Held-out prompts and conversations are still
known to the filter, so that nothing like them is kept either; a model that never saw what is held out cannot
carry it into training.

Paper: arXiv:2310.13798, §2.1. Departure: topics take turns instead of being sampled, so that each gets its
share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from publius.errors import DataError
from publius.propose.prompts import Block
from publius.records import Prompt, derive_seed
from publius.sources.prompts import NO_KIND

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Draw:
    """What one request shows and asks: the blocks in their order, and the topic of the last question."""

    topic: str
    blocks: tuple[Block, ...]

    @property
    def seed_ids(self) -> tuple[str, ...]:
        """The ids of the seeds shown, in order."""
        return tuple(id for block in self.blocks for id, _ in block.items)


@dataclass(frozen=True, slots=True)
class SeedPool:
    """The seeds that may be shown, by topic, and the topics to ask for, in the order of their turns.

    `by_topic` holds (id, text) in the order of the source. A topic to ask for may have no seeds.
    """

    by_topic: dict[str, tuple[tuple[str, str], ...]]
    topics: tuple[str, ...]

    @property
    def n_seeds(self) -> int:
        """How many seeds may be shown."""
        return sum(len(items) for items in self.by_topic.values())


def pool_seeds(seeds: Sequence[Prompt], *, more_topics: Sequence[str] = (), seed: int) -> SeedPool:
    """Return the seeds that may be shown, by kind; `more_topics` are asked for beside the seeds' kinds.

    Raises:
        DataError: No seed may be shown.
    """
    by_topic: dict[str, list[tuple[str, str]]] = {}
    for prompt in seeds:
        if prompt.split == "train" and len(prompt.messages) == 1:
            by_topic.setdefault(prompt.kind, []).append((prompt.id, prompt.messages[0].content))
    if not by_topic:
        what = f"none of the {len(seeds)} seeds is a single turn of the train part"
        raise DataError(what, where="seeds", todo="add some; held-out prompts are never shown")
    topics = sorted({*by_topic, *more_topics}, key=lambda topic: (derive_seed(seed, "topic", topic), topic))
    return SeedPool({topic: tuple(items) for topic, items in by_topic.items()}, tuple(topics))


def draw_shots(pool: SeedPool, index: int, *, n_shots: int, n_items: int, seed: int) -> Draw:
    """Return what request number `index` shows: up to `n_shots` seeds in blocks of `n_items`.

    Blocks of the topic asked for come last, where it has seeds, after one of another topic; where it has
    none, all blocks are of others.
    The same arguments, the same draw; how many requests there are does not matter.
    """
    topic = pool.topics[index % len(pool.topics)]
    own = pool.by_topic.get(topic, ())
    others = [name for name in pool.topics if name != topic and name in pool.by_topic]
    n_blocks = max(1, n_shots // n_items)
    n_others = min(1, n_blocks - 1) if own else n_blocks
    drawn = _draw(others, n_others, derive_seed(seed, "topics", index))
    groups = [(name, _draw(pool.by_topic[name], n_items, derive_seed(seed, name, index))) for name in drawn]
    mine = _draw(own, n_items * (n_blocks - len(drawn)), derive_seed(seed, topic, index))
    groups += [(topic, mine[start : start + n_items]) for start in range(0, len(mine), n_items)]
    return Draw(topic, tuple(Block(spoken(name), tuple(items)) for name, items in groups))


def spoken(topic: str) -> str:
    """Return a topic as the model is told it; that of prompts without a kind is "".

    >>> spoken("dangerous-health"), spoken("unspecified")
    ('dangerous health', '')
    """
    return "" if topic == NO_KIND else topic.replace("-", " ").replace("_", " ")


def _draw(pool: Sequence[T], k: int, seed: int) -> list[T]:
    """Return `k` different members (all if there are fewer) in an order drawn from the seed."""
    k = min(k, len(pool))
    taken: dict[int, None] = {}
    step = 0
    while len(taken) < k:
        taken[derive_seed(seed, step) % len(pool)] = None
        step += 1
    return [pool[place] for place in taken]
