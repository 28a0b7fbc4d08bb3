"""Keep what a training run needs to go on as if it had never stopped, without pickle.

The trainer writes the model (safetensors) and its counters with all losses (JSON). Added here: the
optimizer's moments (safetensors), the schedule, the random generators of every process and, last, the mark
that all of it is on disk. Only what carries the mark is gone on from.

Paper: none.
"""

import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.training_args import TrainingArguments

from publius.errors import StoreError
from publius.training.environment import Device, wait_for_all
from publius.training.workroom import write_durably

_MARK = "COMPLETE"
_MOMENTS = "optimizer.safetensors"
_SETTINGS = "optimizer.json"


class Checkpoint(NamedTuple):
    """A checkpoint from which training can go on, and the step after which it was made."""

    path: Path
    step: int


def last_complete(directory: Path, *, at_most: int | None = None) -> Checkpoint | None:
    """Return the newest checkpoint that was written to its end, not after step `at_most`."""
    usable = [
        checkpoint
        for checkpoint in _all_in(directory)
        if (checkpoint.path / _MARK).exists() and (at_most is None or checkpoint.step <= at_most)
    ]
    return max(usable, key=lambda checkpoint: checkpoint.step, default=None)


def remove_after(directory: Path, kept: Checkpoint | None) -> None:
    """Remove what was written after the checkpoint that is gone on from, so that it can be written again."""
    for checkpoint in _all_in(directory):
        if kept is None or checkpoint.step > kept.step:
            _remove(checkpoint.path)


class Checkpointer(TrainerCallback):
    """Complete the trainer's checkpoints, and restore from one before the first step."""

    def __init__(self, device: Device, resume_from: Checkpoint | None) -> None:
        self._device = device
        self._resume_from = resume_from

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Restore once, after the trainer has drawn what it draws to find its place in the data."""
        if self._resume_from is None:
            return
        path, self._resume_from = self._resume_from.path, None
        _load_optimizer(kwargs["optimizer"], kwargs["lr_scheduler"], path)
        _load_random(path / _random_name(args))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write what is missing, and then the mark; of those before, the last whole one stays."""
        directory = Path(str(args.output_dir))
        path = directory / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        if self._device.is_first:
            before = last_complete(directory, at_most=state.global_step - 1)
            for checkpoint in _all_in(directory):
                if checkpoint != before and checkpoint.path != path:
                    _remove(checkpoint.path)
            _save_optimizer(kwargs["optimizer"], kwargs["lr_scheduler"], path)
        wait_for_all(self._device)
        _save_random(path / _random_name(args))
        wait_for_all(self._device)
        if self._device.is_first:
            _sync_files(path)
            write_durably(path / _MARK, str(state.global_step))


def _all_in(directory: Path) -> list[Checkpoint]:
    found = sorted(directory.glob(f"{PREFIX_CHECKPOINT_DIR}-*"))
    return [Checkpoint(path, int(path.name.rsplit("-", 1)[1])) for path in found]


def _remove(path: Path) -> None:
    """Remove a checkpoint, its mark first: one that is half removed is not gone on from."""
    (path / _MARK).unlink(missing_ok=True)
    shutil.rmtree(path)


def _random_name(args: TrainingArguments) -> str:
    return f"random-{args.process_index}.json"


def _save_optimizer(optimizer: Any, schedule: Any, path: Path) -> None:
    """Write tensors as safetensors and everything else as JSON."""
    state: dict[str, Any] = optimizer.state_dict()
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, Any] = {}
    for number, own in cast("dict[int, Mapping[str, Any]]", state["state"]).items():
        for name, value in own.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{number}.{name}"] = value.contiguous()
            else:
                plain[f"{number}.{name}"] = value
    save_file(tensors, path / _MOMENTS)
    rest = {"state": plain, "param_groups": state["param_groups"], "schedule": schedule.state_dict()}
    write_durably(path / _SETTINGS, json.dumps(rest))


def _load_optimizer(optimizer: Any, schedule: Any, path: Path) -> None:
    rest = _read(path / _SETTINGS)
    try:
        tensors = load_file(path / _MOMENTS)
    except (OSError, SafetensorError) as error:
        raise _damaged(path / _MOMENTS, error) from error
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **rest["state"]}.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": rest["param_groups"]})
    schedule.load_state_dict(rest["schedule"])


def _save_random(file: Path) -> None:
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": [kind, cast(Any, keys).tolist(), position, has_gauss, cached],
        "torch": torch.get_rng_state().tolist(),
        "accelerator": _accelerator().get_rng_state().tolist() if torch.accelerator.is_available() else None,
    }
    write_durably(file, json.dumps(states))


def _load_random(file: Path) -> None:
    """Restore the generators of this process; one that was not there when it was written starts anew."""
    if not file.exists():
        return
    states = _read(file)
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
    if states["accelerator"] is not None and torch.accelerator.is_available():
        _accelerator().set_rng_state(torch.tensor(states["accelerator"], dtype=torch.uint8))


def _accelerator() -> Any:
    """Return the module of the device that this process trains on, such as `torch.cuda`."""
    return cast(Any, torch).get_device_module()


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> StoreError:
    return StoreError(
        f"a checkpoint cannot be read: {error}",
        where=file,
        todo=f"remove {file.parent} to go on from the one before, or its parent to start again",
    )


def _sync_files(path: Path) -> None:
    for file in path.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
