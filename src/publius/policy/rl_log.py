"""What an RL run writes on disk as it goes: a row a step, a row an answer.

Paper: none.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from publius.policy.rewards import Parts
from publius.records import canonical_json, decode, encode
from publius.records.prompt import Purpose

STEPS = "steps.jsonl"  # a row a step, in the model's directory
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class RLStep:
    """What one optimizer step saw, before it changed the weights.

    Rewards are those of all answers that could be scored (None when none could); `held_out_mean` is of a
    preference model that the policy does not train against, if there is one. `kl` is the mean per
    token, in nats, of the estimate `exp(ref − p) − (ref − p) − 1` (log-probabilities of the start and of
    the policy); `kl_per_answer` is that times the mean length. `mean_length` is in tokens; `clipped` is
    the share of answers that were cut off at the length limit. `parts` are the means of the rewards that
    an answer's is the weighted sum of, by name. `rollout_gap` is the mean difference, without its sign, of
    a token's log-probability as it was sampled and as the trainer computes it, in nats, and
    `rollout_beyond` the share of tokens where it is over 0.5; None where who samples does not tell.
    `equal_rewards` is the share of answers in groups whose rewards are all the same, which teach only the KL.
    """

    step: int
    loss: float
    reward_mean: float | None
    reward_std: float | None
    held_out_mean: float | None
    kl: float
    kl_per_answer: float
    entropy: float | None
    mean_length: float
    clipped: float
    n_unscored: int
    prompt_ids: tuple[str, ...]
    seconds: float
    parts: Parts = field(default_factory=dict[str, float | None])
    rollout_gap: float | None = None
    rollout_beyond: float | None = None
    equal_rewards: float | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """An answer that was sampled at a step, and its rewards; None where one is no finite number.

    `reward` is the sum of `parts`, each times its weight.
    """

    step: int
    prompt_id: str
    purpose: Purpose
    text: str
    reward: float | None
    held_out_reward: float | None
    parts: Parts = field(default_factory=dict[str, float | None])


def append_rows(file: Path, rows: Sequence[object]) -> None:
    """Add rows to a log and make sure that they are on disk."""
    with file.open("a", encoding="utf-8") as log:
        log.write(_lines(rows))
        log.flush()
        os.fsync(log.fileno())


def read_rows(file: Path, kind: type[_Row]) -> list[_Row]:
    """Return the rows of a log; a last line that was cut off by a crash is left out."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # a whole line ends with a newline
    return [decode(kind, json.loads(line)) for line in lines]


def keep_rows(file: Path, rows: Sequence[object]) -> None:
    """Make `rows` the whole log, as after going back to a checkpoint."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(_lines(rows), encoding="utf-8")
    temporary.replace(file)


def _lines(rows: Sequence[object]) -> str:
    return "".join(canonical_json(encode(row)) + "\n" for row in rows)
