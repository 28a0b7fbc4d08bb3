"""What an RL run writes while it runs: a row a step, snapshots, and the mark of a complete checkpoint.

Paper: none.
"""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.training_args import TrainingArguments

from publius.policy.reward_gate import RewardGate
from publius.policy.rl_log import RLStep, append_step
from publius.records import Prompt
from publius.training.weights import LoadedModel, save_model
from publius.training.workroom import write_durably

_MARK = "COMPLETE"


class Checkpoint(NamedTuple):
    """A checkpoint from which training can go on, and the step after which it was made."""

    path: Path
    step: int


def last_complete(directory: Path, *, at_most: int) -> Checkpoint | None:
    """Return the newest checkpoint that was written to its end, not after step `at_most`.

    The others are removed, so that they can be written again.
    """
    found: list[Checkpoint] = []
    for path in sorted(directory.glob(f"{PREFIX_CHECKPOINT_DIR}-*")):
        checkpoint = Checkpoint(path, int(path.name.rsplit("-", 1)[1]))
        if (path / _MARK).exists() and checkpoint.step <= at_most:
            found.append(checkpoint)
        else:
            shutil.rmtree(path)
    return max(found, key=lambda checkpoint: checkpoint.step, default=None)


class Keeper(TrainerCallback):
    """After a checkpoint, write the snapshot and then the mark that both are complete."""

    def __init__(self, loaded: LoadedModel, snapshots: Path) -> None:
        self._loaded = loaded
        self._snapshots = snapshots

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write what the trainer leaves to us; in the first process only."""
        if not state.is_world_process_zero:
            return
        save_model(self._loaded.model, self._loaded.tokenizer, self._snapshots / f"step-{state.global_step}")
        checkpoint = Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        write_durably(checkpoint / _MARK, str(state.global_step))


class StepLog(TrainerCallback):
    """Turn the trainer's metrics into rows."""

    def __init__(self, file: Path, gate: RewardGate, drawn: Sequence[Prompt], n_prompts: int) -> None:
        self._file = file
        self._gate = gate
        self._drawn = drawn
        self._n_prompts = n_prompts
        self._since = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._since = time.monotonic()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the row of the step that has just been made."""
        logs: dict[str, Any] = kwargs.get("logs") or {}
        if "kl" not in logs or not state.is_world_process_zero:
            return  # the closing summary, or a process that writes nothing
        now = time.monotonic()
        first = (state.global_step - 1) * self._n_prompts
        length = float(logs["completions/mean_length"])
        entropy = logs.get("entropy")
        step = RLStep(
            step=state.global_step,
            reward_mean=logs["reward"],
            reward_std=logs["reward_std"],
            kl=float(logs["kl"]),
            kl_per_answer=float(logs["kl"]) * length,
            entropy=None if entropy is None else float(entropy),
            mean_length=length,
            clipped=float(logs["completions/clipped_ratio"]),
            n_unscored=self._gate.n_unscored,
            prompt_ids=tuple(prompt.id for prompt in self._drawn[first : first + self._n_prompts]),
            seconds=now - self._since,
        )
        append_step(self._file, step)
        self._since = now
