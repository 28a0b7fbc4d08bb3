"""Run a TRL trainer to its end and put the trained model in place.

A run that was killed goes on from its last whole checkpoint: the same rows in the same order, the same
moments, schedule and random numbers, so that in float32 on a CPU every loss has the bits that it has in an
unbroken run. Under `accelerate launch` every process trains and only the first one writes.

Paper: none.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from publius.records import content_hash, records_hash
from publius.training.arguments import sharding
from publius.training.environment import Device, wait_for_all
from publius.training.lora import take_adapter
from publius.training.memory import keep_freed_memory
from publius.training.report import LossPoint
from publius.training.weights import LoadedModel, save_model, weights_hash
from publius.training.workroom import open_workroom, publish

if TYPE_CHECKING:
    from transformers import Trainer, TrainerCallback


_WHOLE = "gathered"  # the model directory of weights that were cut among the processes


class Trained(NamedTuple):
    """The loss of every step, those before an interruption included, and the step it went on from."""

    losses: tuple[LossPoint, ...]
    n_resumed: int


def run_key(settings: object, *, seed: int, start: Path, rows: Iterable[object]) -> str:
    """Return the hash of all that decides a run: only what was left under the same key is gone on from."""
    return content_hash([settings, seed, weights_hash(start), records_hash(rows)])


def prepare_work(out: Path, *, key: str, device: Device) -> Path:
    """Return the work directory of `out`, opened by the first process before the others go on."""
    if device.is_first:
        open_workroom(out, key=key)
    wait_for_all(device)
    return out.with_name(out.name + ".work")


def run_trainer(
    trainer: "Trainer",
    *,
    device: Device,
    on_progress: Callable[[int, int], None],
    callbacks: Sequence["TrainerCallback"] = (),
    at_most: int | None = None,
) -> Trained:
    """Train, from the last whole checkpoint not after step `at_most` if there is one.

    A checkpoint is whole once all of `callbacks` have written theirs.
    """
    from publius.training.callbacks import Listener, attach
    from publius.training.checkpoints import Checkpointer, last_complete, remove_after

    directory = Path(str(trainer.args.output_dir))
    checkpoint = last_complete(directory, at_most=at_most)
    wait_for_all(device)
    if device.is_first:
        remove_after(directory, checkpoint)
    wait_for_all(device)
    listener = Listener(on_progress)
    attach(trainer, listener, *callbacks, Checkpointer(device, checkpoint))
    with keep_freed_memory() if device.kind == "cpu" else nullcontext():
        cast(Any, trainer).train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    if sharding():
        _save_whole(trainer, directory / _WHOLE, device=device)
    return Trained(tuple(listener.losses), checkpoint.step if checkpoint else 0)


def finish(loaded: LoadedModel, *, out: Path, work: Path, device: Device) -> str:
    """Save the trained model to `out`, remove `work`, and return the hash of the weights.

    An adapter that was kept in `work` comes with it.
    """
    if device.is_first:
        gathered = work / _WHOLE
        is_whole = not gathered.exists()
        built = save_model(loaded.model, loaded.tokenizer, work / "model") if is_whole else gathered
        take_adapter(work, built)
        publish(built, out=out, work=work)
    wait_for_all(device)
    return weights_hash(out)


def _save_whole(trainer: "Trainer", built: Path, *, device: Device) -> None:
    """Let the trainer gather the parts of the weights from all processes and write a model directory."""
    cast(Any, trainer).save_model(str(built))
    wait_for_all(device)
    if device.is_first:
        (built / "training_args.bin").unlink(missing_ok=True)  # pickle
