"""Keep only so many layers' activations as memory allows, and compute the others again going backward.

Paper: Chen et al. 2016, arXiv:1604.06174 (a layer's input is kept, its inside recomputed).
Departure: the libraries do it for all layers or for none; here for as many as need it, and for every
micro-batch anew.
"""

from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

# What a recomputed layer keeps: its input, under bfloat16 autocast 1/17 of what a layer of Llama keeps.
_INPUT_SHARE = 1 / 16


def keep_activations(model: torch.nn.Module, *, n_tokens: int, budget: int) -> int:
    """Prepare the next forward over `n_tokens` to hold no more than the activations of `budget` tokens.

    Returns how many layers will be computed again; the results are the same. Over about eight times the
    budget it is exceeded even so.
    """
    layers: list[Any] = [
        module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)
    ]
    n_recomputed = n_layers_over(len(layers), n_tokens=n_tokens, budget=budget)
    for number, layer in enumerate(layers):
        # what transformers' own switch sets, which knows all layers or every n-th
        layer.gradient_checkpointing = number < n_recomputed
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
    return n_recomputed


def n_layers_over(n_layers: int, *, n_tokens: int, budget: int) -> int:
    """Return how many of `n_layers` must be recomputed; while one is, it is whole in memory.

    >>> n_layers_over(30, n_tokens=1000, budget=1200), n_layers_over(30, n_tokens=2400, budget=1200)
    (0, 18)
    """
    if n_tokens <= budget:
        return 0
    places = n_layers * budget / n_tokens  # layers that may be whole
    n_kept = (places - 1 - n_layers * _INPUT_SHARE) / (1 - _INPUT_SHARE)
    return n_layers - max(0, int(n_kept))
