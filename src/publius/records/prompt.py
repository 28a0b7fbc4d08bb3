"""A prompt: a conversation that ends with the user's turn, with its kind and its split.

The split is fixed by a hash of the last user turn, so the same text is held out in every run, in
every mixture and on every machine; training can never see it.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.2 (red-team and helpfulness prompts).
"""

import hashlib
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


def draw_key(id: str, *, seed: int) -> int:
    """Return where a prompt comes in an order drawn from the seed: the least key first, then the least id.

    It depends on nothing else, so a draw of more prompts brings the same ones first.

    >>> sorted(["a", "b", "c"], key=lambda id: (draw_key(id, seed=0), id))
    ['c', 'a', 'b']
    """
    return derive_seed(seed, "draw", id)
