"""Compute a step in parts that fit into memory, in one process or in several.

Every process has as many parts, since each waits for the others, and gradients are exchanged with the last.

Paper: none.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from torch import Tensor

Part = TypeVar("Part")


def each_part(parts: Sequence[Part], accelerator: Accelerator, model: torch.nn.Module) -> Iterator[Part]:
    """Yield the parts of a step; each goes through the model and back before the next one is taken."""
    state = accelerator.gradient_state
    syncs = state.sync_gradients
    for number, part in enumerate(parts, start=1):
        is_last = number == len(parts)
        # what transformers does around the steps of an accumulation; DeepSpeed asks for it in `backward`
        state._set_sync_gradients(syncs and is_last)  # pyright: ignore[reportPrivateUsage]
        with nullcontext() if is_last else accelerator.no_sync(model):
            yield part


def cut_alike(cut: Callable[[int], list[Part]], accelerator: Accelerator) -> list[Part]:
    """Return the parts that `cut` makes, as many in every process; it is given how many there must be."""
    own = cut(1)
    if accelerator.num_processes == 1:
        return own
    return cut(int(gather_counts(len(own), accelerator).max()))


def gather_counts(n_own: int, accelerator: Accelerator) -> Tensor:
    """Return a number of every process."""
    return cast(Tensor, cast(Any, accelerator).gather(torch.tensor([n_own], device=accelerator.device)))
