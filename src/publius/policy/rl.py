"""Train a policy on rewards by GRPO or RLOO, with the KL divergence from its start measured at every step.

At every snapshot the monitors read what was answered since; an alarm is kept in the log, and ends the run
where the settings say so. The run can be killed at any time: started again with the same input it goes on
from its last complete checkpoint and makes the same steps.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.2 (RL from AI feedback). Departure: GRPO
(arXiv:2402.03300) or RLOO (arXiv:2402.14740) instead of PPO, so no value function: an answer's reward is
held against those of the other answers to its prompt.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from publius.errors import DataError
from publius.policy.config import RLSettings
from publius.policy.mix import draw_prompts
from publius.policy.monitors import SnapshotReadings, best_snapshot
from publius.policy.reward_gate import RewardGate
from publius.policy.rewards import Reward
from publius.policy.rl_log import RLStep, read_rows
from publius.policy.rl_setup import build_trainer, rollout_arguments
from publius.records import Message, Prompt
from publius.training.chat import encode_chat
from publius.training.environment import Device, find_device, quiet, require_training, wait_for_all
from publius.training.lora import ADAPTER
from publius.training.report import Skipped, skipped_rows
from publius.training.running import prepare_work, run_key, run_trainer
from publius.training.weights import LoadedModel, load_causal_lm, save_model, weights_hash
from publius.training.workroom import publish

if TYPE_CHECKING:
    from publius.policy.rl_callbacks import RunFiles

_RESULT = "result"  # the directory in which log, snapshots and at last the model come together


@dataclass(frozen=True, slots=True)
class RLReport:
    """The facts of a finished run.

    `snapshots` are paths relative to the model's directory, in step order, and `monitors` what was read at
    each. `kept_step` is the step whose policy is the model, and `best_step` that of the best snapshot (the
    number of steps made before, 0 in a first round: the start). `stopped` names the alarms that ended the run
    early. `n_resumed` is how many steps of this run were made before this process took over (0 for a run in
    one piece); `seconds` is the time of this process.
    """

    steps: tuple[RLStep, ...]
    snapshots: tuple[str, ...]
    monitors: tuple[SnapshotReadings, ...]
    best_step: int
    kept_step: int
    stopped: tuple[str, ...]
    purposes: tuple[tuple[str, int], ...]
    n_prompts: int
    skipped: tuple[Skipped, ...]
    n_unscored: int
    n_resumed: int
    seconds: float
    weights_hash: str


def train_rl(
    start: Path,
    prompts: Sequence[Prompt],
    reward: Reward,
    out: Path,
    *,
    settings: RLSettings,
    seed: int,
    on_progress: Callable[[int, int], None],
    held_out_reward: Reward | None = None,
    reference: Path | None = None,
    steps_before: int = 0,
) -> RLReport:
    """Train `start` to earn rewards, write the model to `out`, and return the facts.

    `reward` gets whole conversations as text, each ending with the policy's answer, and returns a number
    for each (of `WeightedRewards` every part is logged by its name); `held_out_reward` is measured and never
    trained on. `out` holds the model, `snapshots/step-N` (model directories too), and the logs `steps.jsonl`,
    `answers.jsonl` and `monitors.jsonl`.
    `on_progress(done, total)` is called after every step. A run that was killed goes on only if start,
    prompts, settings and seed are the same and the reward functions give a probe the same rewards.
    The KL is measured from `reference`, which is `start` if not named; steps are numbered on from
    `steps_before`, as in a later round of training.

    Raises:
        DataError: There is no prompt to train on, or the rewards cannot teach anything.
        UsageError: vLLM is to sample, and there is no GPU.
        MissingExtra: The `train` extra is not installed, or vLLM is not and is to sample.
    """
    require_training()
    began = time.monotonic()
    device = find_device()
    rollout_arguments(settings, device)
    with quiet():
        loaded = load_causal_lm(start)
        usable, skipped = _fitting(loaded, prompts, settings)
        n_drawn = settings.steps * settings.prompts_per_step
        drawn = draw_prompts(usable, weights=_weights(settings), n=n_drawn, seed=seed)
        ids = [prompt.id for prompt in drawn]
        probes = [_fingerprint(one, drawn[0]) for one in (reward, held_out_reward) if one]
        told = [weights_hash(reference) if reference else None, steps_before]
        key = run_key(settings, seed=seed, start=start, rows=[ids, probes, told])
        work = prepare_work(out, key=key, device=device)
        gate = RewardGate(reward, held_out_reward)
        run = _Run(start, loaded, tuple(drawn), gate, work, settings, seed, device, reference, steps_before)
        files = run.files
        n_resumed = _train(run, on_progress=on_progress)
        steps = read_rows(files.steps, RLStep)
        monitors = read_rows(files.monitors, SnapshotReadings)
        stopped = _stopping(monitors, settings)
        best, last = best_snapshot(monitors) or steps_before, steps_before + len(steps)
        kept = best if stopped and settings.monitors.on_alarm == "best" else last
        if device.is_first:
            _publish(run, out, step=kept, is_loaded=kept == last and len(steps) > n_resumed)
        wait_for_all(device)
    return RLReport(
        steps=tuple(steps),
        snapshots=tuple(f"snapshots/step-{one.step}" for one in monitors),
        monitors=tuple(monitors),
        best_step=best,
        kept_step=kept,
        stopped=stopped,
        purposes=tuple(sorted(Counter(prompt.purpose for prompt in drawn).items())),
        n_prompts=len(drawn),
        skipped=skipped,
        n_unscored=sum(step.n_unscored for step in steps),
        n_resumed=n_resumed,
        seconds=time.monotonic() - began,
        weights_hash=weights_hash(out),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """Everything that one run is made of."""

    start: Path
    loaded: LoadedModel
    drawn: tuple[Prompt, ...]
    gate: RewardGate
    work: Path
    settings: RLSettings
    seed: int
    device: Device
    reference: Path | None = None
    steps_before: int = 0

    @property
    def files(self) -> "RunFiles":
        """What it writes, moved to its place at the end."""
        from publius.policy.rl_callbacks import RunFiles

        return RunFiles(self.work / _RESULT, self.steps_before)


def _fitting(
    loaded: LoadedModel, prompts: Sequence[Prompt], settings: RLSettings
) -> tuple[list[Prompt], tuple[Skipped, ...]]:
    """Return the prompts that leave room for an answer, and how many do not."""
    context = int(cast(Any, loaded.model).config.get_text_config().max_position_embeddings)
    max_length = min(settings.max_prompt_length, context - settings.max_completion_length)
    usable = [p for p in prompts if len(encode_chat(loaded.tokenizer, p.messages)) <= max_length]
    if not usable:
        raise DataError(
            f"none of {len(prompts)} prompts has at most {max_length} tokens",
            todo="give prompts, raise max_prompt_length, or lower max_completion_length: "
            f"the model takes {context} tokens",
        )
    return usable, skipped_rows({f"longer than {max_length} tokens": len(prompts) - len(usable)})


def _weights(settings: RLSettings) -> dict[str, float]:
    return {
        "helpful": settings.weight_helpful,
        "red-team": settings.weight_red_team,
        "trait": settings.weight_trait,
    }


def _train(run: _Run, *, on_progress: Callable[[int, int], None]) -> int:
    """Train from the last complete checkpoint; return its step, 0 if there is none."""
    from publius.policy.rl_callbacks import StepLog, Watch
    from publius.training.checkpoints import last_complete

    files, monitors = run.files, run.settings.monitors
    checkpoint = last_complete(run.work / "trainer", at_most=len(read_rows(files.steps, RLStep)))
    n_done = checkpoint.step if checkpoint else 0
    if run.device.is_first:
        files.directory.mkdir(exist_ok=True)
        files.go_back(n_done)
    wait_for_all(run.device)
    if n_done == run.settings.steps or _stopping(read_rows(files.monitors, SnapshotReadings), run.settings):
        return n_done  # it was killed between its last step and its end
    keeps_adapter = bool(run.settings.lora.rank) and run.settings.lora.keep_adapter
    log = StepLog(files, run.gate, run.drawn, device=run.device, window=monitors.window)
    trainer = build_trainer(
        run.loaded,
        run.drawn,
        run.gate,
        run.work / "trainer",
        settings=run.settings,
        seed=run.seed,
        device=run.device,
        reference=run.reference,
    )
    run_trainer(
        trainer,
        device=run.device,
        on_progress=on_progress,
        callbacks=(log, Watch(run.loaded, files, log, monitors, keeps_adapter=keeps_adapter)),
        at_most=n_done,
    )
    return n_done


def _stopping(monitors: Sequence[SnapshotReadings], settings: RLSettings) -> tuple[str, ...]:
    """Return the alarms of the last snapshot, where they end a run."""
    return monitors[-1].alarms if monitors and settings.monitors.on_alarm != "warn" else ()


def _publish(run: _Run, out: Path, *, step: int, is_loaded: bool) -> None:
    """Put the policy after `step` beside the logs and the snapshots, and all of it in place.

    Killed in the middle, it does the same again.
    """
    chosen = (
        run.loaded
        if is_loaded
        else load_causal_lm(run.files.snapshot(step) if step > run.steps_before else run.start)
    )
    built = save_model(chosen.model, chosen.tokenizer, run.work / "model")
    for file in built.iterdir():
        file.replace(run.files.directory / file.name)
    adapter = run.files.snapshot(step) / ADAPTER
    if adapter.exists():
        shutil.copytree(adapter, run.files.directory / ADAPTER, dirs_exist_ok=True)
    publish(run.files.directory, out=out, work=run.work)


def _fingerprint(reward: Reward, prompt: Prompt) -> list[str]:
    """Return the rewards of two short answers, so that another reward function is noticed."""
    answers = (Message("assistant", "Yes."), Message("assistant", "I cannot help with that."))
    rewards = reward([(*prompt.messages, answer) for answer in answers])
    return [f"{float(value):.3g}" for value in rewards]
