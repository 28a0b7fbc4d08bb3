"""Run a TRL trainer to its end and put the trained model in place.

Under `accelerate launch` every process trains and only the first one writes.

Paper: none.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from publius.training.environment import Device
from publius.training.report import LossPoint
from publius.training.weights import LoadedModel, save_model, weights_hash
from publius.training.workroom import open_workroom, publish

if TYPE_CHECKING:
    from transformers import Trainer, TrainerCallback


def prepare_work(out: Path, *, key: str, device: Device) -> Path:
    """Return the work directory of `out`, opened by the first process before the others go on."""
    if device.is_first:
        open_workroom(out, key=key)
    wait_for_all(device)
    return out.with_name(out.name + ".work")


def run_trainer(
    trainer: "Trainer",
    *,
    on_progress: Callable[[int, int], None],
    callbacks: Sequence["TrainerCallback"] = (),
    resume_from: Path | None = None,
) -> tuple[LossPoint, ...]:
    """Train, from a checkpoint if one is given, and return the loss of every step made now."""
    from publius.training.callbacks import Listener, attach

    listener = Listener(on_progress)
    attach(trainer, listener, *callbacks)
    cast(Any, trainer).train(resume_from_checkpoint=str(resume_from) if resume_from else None)
    return tuple(listener.losses)


def finish(loaded: LoadedModel, *, out: Path, work: Path, device: Device) -> str:
    """Save the trained model to `out`, remove `work`, and return the hash of the weights."""
    if device.is_first:
        publish(save_model(loaded.model, loaded.tokenizer, work / "model"), out=out, work=work)
    wait_for_all(device)
    return weights_hash(out)


def wait_for_all(device: Device) -> None:
    """Let every process reach this point before any goes on."""
    if device.n_processes > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()
