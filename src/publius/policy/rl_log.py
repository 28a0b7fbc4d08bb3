"""One row a step of an RL run, on disk as it goes and in the report at the end.

Paper: none.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from publius.records import canonical_json, decode, encode


@dataclass(frozen=True, slots=True)
class RLStep:
    """What one optimizer step saw, before it changed the weights.

    Rewards are those of all answers that could be scored (None when none could). `kl` is the mean per
    token, in nats, of the estimate `exp(ref − p) − (ref − p) − 1` (log-probabilities of the start and of
    the policy); `kl_per_answer` is that times the mean length. `mean_length` is in tokens; `clipped` is
    the share of answers that were cut off at the length limit.
    """

    step: int
    reward_mean: float | None
    reward_std: float | None
    kl: float
    kl_per_answer: float
    entropy: float | None
    mean_length: float
    clipped: float
    n_unscored: int
    prompt_ids: tuple[str, ...]
    seconds: float


def append_step(file: Path, step: RLStep) -> None:
    """Add a row to the log and make sure that it is on disk."""
    with file.open("a", encoding="utf-8") as log:
        log.write(canonical_json(encode(step)) + "\n")
        log.flush()
        os.fsync(log.fileno())


def read_steps(file: Path) -> list[RLStep]:
    """Return the rows of a log; a last line that was cut off by a crash is left out."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # a whole line ends with a newline
    return [decode(RLStep, json.loads(line)) for line in lines]


def keep_steps(file: Path, steps: Sequence[RLStep]) -> None:
    """Make `steps` the whole log, as after going back to a checkpoint."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text("".join(canonical_json(encode(step)) + "\n" for step in steps), encoding="utf-8")
    temporary.replace(file)
