"""The trainer arguments that all our trainers share.

Paper: none.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from publius.errors import DataError, UsageError
from publius.training.environment import Device

# On a CPU activations take 1.2 GB for 1,000 tokens of the 135M, beside 3 GB for weights, gradients, Adam's
# moments and the libraries; recomputing them costs 18 % more time and keeps 2,500 tokens under 4 GB.
_TOKENS_IN_MEMORY = 1200
# accelerate sets them where it cuts the optimizer's moments among the processes
_SHARDING = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}


@dataclass(frozen=True, slots=True)
class Optimisation:
    """How one optimizer step is made: `batch_size` rows, at most `micro_batch_size` at a time in memory.

    `batch_size` is what all processes take together, so that more GPUs change the time and not the result.
    """

    learning_rate: float
    batch_size: int
    micro_batch_size: int
    max_grad_norm: float = 1.0


class Shares(NamedTuple):
    """One process's part of a step: rows at a time, and how many times."""

    n_rows: int
    n_times: int


def shares_of(optimisation: Optimisation, *, n_processes: int) -> Shares:
    """Return how a step's rows are dealt out.

    Raises:
        DataError: The batch cannot be cut into equal micro-batches for every process.

    >>> shares_of(Optimisation(1e-5, batch_size=32, micro_batch_size=8), n_processes=2)
    Shares(n_rows=8, n_times=2)
    """
    n_rows = min(optimisation.micro_batch_size, optimisation.batch_size // n_processes)
    n_times, rest = divmod(optimisation.batch_size, max(1, n_rows * n_processes))
    if n_rows < 1 or rest:
        raise DataError(
            f"a batch of {optimisation.batch_size} rows cannot be cut into equal parts of "
            f"{optimisation.micro_batch_size} for {n_processes} process(es)",
            todo="choose batch_size as a multiple of micro_batch_size times the number of processes",
        )
    return Shares(n_rows, n_times)


def fill_last_batch(
    order: Sequence[int], optimisation: Optimisation, *, n_processes: int, filler: int
) -> list[int]:
    """Return the rows' order with `filler` at its end, so that every process has as many batches, all full.

    accelerate would fill up with rows of the beginning, which then count twice. `filler` is a row that counts
    for nothing in the loss. One process needs none.

    >>> fill_last_batch([4, 5, 6], Optimisation(1e-5, 8, 2), n_processes=2, filler=-1)
    [4, 5, 6, -1]
    """
    n_rows, _ = shares_of(optimisation, n_processes=n_processes)
    n_missing = -len(order) % (n_rows * n_processes) if n_processes > 1 else 0
    return [*order, *[filler] * n_missing]


def sharding() -> str:
    """Return what cuts weights or moments among the processes: "FSDP", "DeepSpeed" or, for nothing, ""."""
    return next((name for variable, name in _SHARDING.items() if os.environ.get(variable) == "true"), "")


def trainer_arguments(
    optimisation: Optimisation,
    *,
    device: Device,
    work: Path,
    seed: int,
    is_bf16: bool,
    n_tokens: int,
    checkpoint_every: int = 0,
) -> dict[str, Any]:
    """Return keyword arguments for any TRL config; `n_tokens` is the size of the largest micro-batch.

    Every `checkpoint_every` steps, and after the last, the trainer saves what `checkpoints` completes.

    The rows are taken in the order given: they were put in order before. Weights stay in float32 and
    `is_bf16` turns on autocast, if the device is quick at it: Adam's small updates vanish in bfloat16
    weights (their spacing is 2⁻⁸ of the weight).

    Raises:
        DataError: See `shares_of`.
        UsageError: Checkpoints are wanted of moments that are cut among the processes.
    """
    if sharding() and checkpoint_every:
        raise UsageError(
            f"no checkpoints are kept under {sharding()}: each process has a part of the optimizer's moments",
            todo="set checkpoint_every = 0, or train without it (DDP keeps checkpoints)",
        )
    shares = shares_of(optimisation, n_processes=device.n_processes)
    return {
        "output_dir": str(work),
        "per_device_train_batch_size": shares.n_rows,
        "gradient_accumulation_steps": shares.n_times,
        "num_train_epochs": 1,
        "learning_rate": optimisation.learning_rate,
        "lr_scheduler_type": "constant",  # as in Bai et al. 2022, §3.2
        "weight_decay": 0.0,
        "max_grad_norm": optimisation.max_grad_norm,
        "train_sampling_strategy": "sequential",
        "seed": seed,
        "data_seed": seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps" if checkpoint_every else "no",
        "save_steps": max(1, checkpoint_every),
        "save_only_model": True,  # the libraries would write the rest as pickle
        # `checkpoints` removes old ones: the trainer goes by their times, which half a removal changes
        "save_total_limit": None,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": device.kind == "cpu",
        "bf16": is_bf16 and device.has_bfloat16,
        "gradient_checkpointing": device.kind == "cpu" and n_tokens > _TOKENS_IN_MEMORY,
        "ddp_find_unused_parameters": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": device.kind != "cpu",
    }
