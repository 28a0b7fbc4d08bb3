"""What is kept beside a preference model: its rewards' mean and spread, its temperature, where it is read.

A reward is a number without a natural zero or unit: only differences between answers to the same prompt
mean something. The mean and the spread over the training set put rewards of two models on one axis, and
the temperature T, fitted on labels that were held out, makes σ((r_A − r_B) / T) a probability that comes
true as often as it says.

Paper: Bai et al. 2022, arXiv:2204.05862 (P(A≻B) = σ(r_A − r_B)); temperature: Guo et al. 2017,
arXiv:1706.04599.
"""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from publius.errors import DataError
from publius.records import canonical_json, decode, encode
from publius.training.workroom import write_durably

SCALE_FILE = "reward_scale.json"
HARM_FILE = "harm.json"
"""Lies beside a regressor of harm, and beside no preference model."""

Ending: TypeAlias = Literal["turn", "template"]


@dataclass(frozen=True, slots=True)
class RewardScale:
    """The mean and the standard deviation of the rewards of `n` answers of the training set.

    `temperature`, fitted on `n_temperature` held-out comparisons, is None where none was fitted or no
    finite one is best. `ending` says after which token the model is read: the end of the assistant's turn,
    as Publius trains, or all that the chat template writes after it, as most other programs train.
    """

    mean: float
    std: float
    n: int
    temperature: float | None = None
    n_temperature: int = 0
    ending: Ending = "turn"

    def standardise(self, reward: float) -> float | None:
        """Return a reward in standard deviations from the mean; None if all rewards were the same.

        >>> RewardScale(mean=1.0, std=2.0, n=10).standardise(5.0)
        2.0
        """
        return (reward - self.mean) / self.std if self.std > 0 else None

    def prob_better(self, reward: float, other: float) -> float:
        """Return the calibrated probability that the answer with `reward` is better than the other one.

        Raises:
            DataError: No temperature was fitted.

        >>> round(RewardScale(0.0, 1.0, 10, temperature=2.0, n_temperature=80).prob_better(2.0, 0.0), 3)
        0.731
        """
        if self.temperature is None:
            raise DataError(
                "no temperature is kept beside this preference model",
                todo="publius pm measure MODEL --comparisons FILE --keep",
            )
        return sigmoid((reward - other) / self.temperature)


def scale_of(rewards: Sequence[float]) -> RewardScale:
    """Return the mean and the (population) standard deviation of rewards.

    >>> scale_of([1.0, 3.0]).mean, scale_of([1.0, 3.0]).std
    (2.0, 1.0)
    """
    mean = statistics.fmean(rewards)
    return RewardScale(mean, statistics.pstdev(rewards, mean), len(rewards))


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(−x)) for any finite x.

    >>> sigmoid(0.0), sigmoid(-1000.0)
    (0.5, 0.0)
    """
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def read_scale(path: Path) -> RewardScale | None:
    """Return what is kept beside a model, or None for a model that another program has trained.

    Raises:
        DataError: The file there is damaged.
    """
    file = path / SCALE_FILE
    if not file.exists():
        return None
    try:
        return decode(RewardScale, json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, DataError) as error:
        raise DataError(f"the reward scale cannot be read: {error}", where=file) from error


def write_scale(path: Path, scale: RewardScale) -> None:
    """Keep a scale beside the model in the directory `path`."""
    write_durably(path / SCALE_FILE, canonical_json(encode(scale)))
