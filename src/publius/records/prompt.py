"""A prompt: a conversation that ends with the user's turn, with its kind and its split.

The split is fixed by a hash of the last user turn, so the same text is held out in every run, in
every mixture and on every machine; training can never see it.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.2 (red-team and helpfulness prompts).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from publius.records.conversation import Conversation
from publius.records.seeds import derive_seed

Split: TypeAlias = Literal["train", "held-out"]
Purpose: TypeAlias = Literal["red-team", "helpful", "trait"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked. `purpose` decides the role in the mix; `kind` is the finer class."""

    id: str
    purpose: Purpose
    kind: str
    split: Split
    messages: Conversation


def split_of(text: str) -> Split:
    """Return the split of a prompt by the hash of its last user turn; one in four is held out.

    >>> split_of("What is the capital of France?")
    'train'
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return "held-out" if int(digest[:8], 16) % 4 == 0 else "train"


def draw_prompts(prompts: Sequence[Prompt], n: int, *, split: Split, seed: int) -> tuple[Prompt, ...]:
    """Return `n` prompts of a split in an order drawn from the seed (all of them if there are fewer).

    A larger `n` returns the same prompts and then more, so enlarging a run keeps what was done.
    """
    own = [prompt for prompt in prompts if prompt.split == split]
    return tuple(sorted(own, key=lambda prompt: (derive_seed(seed, "draw", prompt.id), prompt.id))[:n])
