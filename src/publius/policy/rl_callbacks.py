"""What an RL run does beside training: a row a step, snapshots, readings, and a stop if they say so.

Paper: none.
"""

import math
import shutil
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, cast

from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from publius.errors import DataError
from publius.policy.config import Monitors
from publius.policy.monitors import Seen, SnapshotReadings, read_monitors
from publius.policy.reward_gate import RewardGate, Scored
from publius.policy.rewards import mean_parts
from publius.policy.rl_log import STEPS, RLStep, Rollout, append_rows, keep_rows, read_rows
from publius.records import Prompt
from publius.training.environment import Device
from publius.training.lora import save_adapter
from publius.training.weights import LoadedModel, save_model

_SNAPSHOTS = "snapshots"


class RunFiles(NamedTuple):
    """Where an RL run writes, in one directory; its steps are numbered from `steps_before` + 1."""

    directory: Path
    steps_before: int = 0

    @property
    def steps(self) -> Path:
        """A row a step (`RLStep`)."""
        return self.directory / STEPS

    @property
    def answers(self) -> Path:
        """A row an answer (`Rollout`)."""
        return self.directory / "answers.jsonl"

    @property
    def monitors(self) -> Path:
        """A row a snapshot (`SnapshotReadings`)."""
        return self.directory / "monitors.jsonl"

    def snapshot(self, step: int) -> Path:
        """The policy after so many steps."""
        return self.directory / _SNAPSHOTS / f"step-{step}"

    def go_back(self, n_steps: int) -> None:
        """Forget what was written after so many steps of this run."""
        last = self.steps_before + n_steps
        keep_rows(self.steps, read_rows(self.steps, RLStep)[:n_steps])
        keep_rows(self.answers, [row for row in read_rows(self.answers, Rollout) if row.step <= last])
        readings = [row for row in read_rows(self.monitors, SnapshotReadings) if row.step <= last]
        keep_rows(self.monitors, readings)
        kept = {self.snapshot(row.step) for row in readings}
        for written in (self.directory / _SNAPSHOTS).glob("*"):  # half-written ones too
            if written not in kept:
                shutil.rmtree(written)


class StepLog(TrainerCallback):
    """Turn the trainer's metrics and the gate's answers into rows; keep what the monitors look at."""

    def __init__(
        self, files: RunFiles, gate: RewardGate, drawn: Sequence[Prompt], *, device: Device, window: int
    ) -> None:
        self._files = files
        self._gate = gate
        self._drawn = drawn
        self._device = device
        self._since = time.monotonic()
        self._steps = read_rows(files.steps, RLStep)
        answers = read_rows(files.answers, Rollout)
        self._first_until = files.steps_before + window
        self._first = [row for row in answers if row.step <= self._first_until]
        self._latest = deque(
            ([row for row in answers if row.step == step.step] for step in self._steps[-window:]),
            maxlen=window,
        )

    @property
    def seen(self) -> Seen:
        """What the monitors look at."""
        return Seen(self._steps, self._first, [row for rows in self._latest for row in rows])

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._since = time.monotonic()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the rows of the step that has just been made: its answers first, so that it implies them."""
        logs: dict[str, Any] = kwargs.get("logs") or {}
        if "kl" not in logs:
            return  # the closing summary
        scored = self._scored()
        number = self._files.steps_before + state.global_step
        answers = [_rollout(number, self._drawn[one.row], one) for one in scored]
        step = self._step(number, logs, answers, scored)
        if not math.isfinite(step.loss):
            raise DataError(
                f"the loss of step {step.step} is {step.loss}",
                todo="lower rl.learning_rate, or check the rewards in answers.jsonl",
            )
        if state.is_world_process_zero:
            append_rows(self._files.answers, answers)
            append_rows(self._files.steps, [step])
        self._steps.append(step)
        self._latest.append(answers)
        if step.step <= self._first_until:
            self._first += answers

    def _scored(self) -> list[Scored]:
        """Return the answers of all processes."""
        own = list(self._gate.latest)
        return cast("list[Scored]", gather_object(own)) if self._device.n_processes > 1 else own

    def _step(
        self, number: int, logs: dict[str, Any], answers: Sequence[Rollout], scored: Sequence[Scored]
    ) -> RLStep:
        before, self._since = self._since, time.monotonic()
        length = float(logs["completions/mean_length"])
        entropy = logs.get("entropy")
        held_out = [row.held_out_reward for row in answers if row.held_out_reward is not None]
        return RLStep(
            step=number,
            loss=float(logs["loss"]),
            reward_mean=logs["reward"],
            reward_std=logs["reward_std"],
            held_out_mean=fmean(held_out) if held_out else None,
            kl=float(logs["kl"]),
            kl_per_answer=float(logs["kl"]) * length,
            entropy=None if entropy is None else float(entropy),
            mean_length=length,
            clipped=float(logs["completions/clipped_ratio"]),
            n_unscored=sum(row.reward is None for row in answers),
            prompt_ids=tuple(self._drawn[row].id for row in dict.fromkeys(one.row for one in scored)),
            seconds=self._since - before,
            parts=mean_parts([row.parts for row in answers]),
            rollout_gap=logs.get("rollout_gap"),
            rollout_beyond=logs.get("rollout_beyond"),
            equal_rewards=equal_rewards(scored),
        )


def equal_rewards(scored: Sequence[Scored]) -> float:
    """Return the share of answers in groups whose rewards are all the same, or fewer than two."""
    found: dict[int, set[float]] = {one.row: set() for one in scored}
    for one in scored:
        if one.reward is not None:
            found[one.row].add(one.reward)
    return fmean(len(found[one.row]) < 2 for one in scored)


def _rollout(step: int, prompt: Prompt, scored: Scored) -> Rollout:
    _, text, reward, held_out_reward, parts = scored
    return Rollout(step, prompt.id, prompt.purpose, text, reward, held_out_reward, parts)


class Watch(TrainerCallback):
    """With every checkpoint write a snapshot and what the monitors read, and stop where they say so."""

    def __init__(
        self,
        loaded: LoadedModel,
        files: RunFiles,
        log: StepLog,
        settings: Monitors,
        *,
        keeps_adapter: bool = False,
    ) -> None:
        self._loaded = loaded
        self._keeps_adapter = keeps_adapter
        self._files = files
        self._log = log
        self._settings = settings

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write what is kept of this step, in the first process only; all of them stop."""
        found = read_monitors(self._log.seen, self._settings)
        if state.is_world_process_zero:
            snapshot = save_model(
                self._loaded.model, self._loaded.tokenizer, self._files.snapshot(found.step)
            )
            if self._keeps_adapter:
                save_adapter(kwargs["model"], snapshot)
            append_rows(self._files.monitors, [found])
        if found.alarms and self._settings.on_alarm != "warn":
            control.should_training_stop = True
