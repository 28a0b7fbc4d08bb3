"""Score conversations with a trained preference model.

A reward is a number without a natural zero or unit: only differences between answers to the same prompt
mean something (P(A≻B) = σ(r_A − r_B)). The mean and the spread over the training set are kept beside the
model, so that rewards of two models can be shown on one axis.

Paper: Bai et al. 2022, arXiv:2204.05862.
"""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from publius.errors import DataError
from publius.records import Conversation, decode
from publius.training.chat import encode_answer
from publius.training.environment import find_device, quiet, require_training

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from publius.training.shared_prompt import Siblings

SCALE_FILE = "reward_scale.json"


@dataclass(frozen=True, slots=True)
class RewardScale:
    """The mean and the standard deviation of the rewards of `n` answers of the training set."""

    mean: float
    std: float
    n: int

    def standardise(self, reward: float) -> float:
        """Return a reward in standard deviations from the training set's mean.

        >>> RewardScale(mean=1.0, std=2.0, n=10).standardise(5.0)
        2.0
        """
        return (reward - self.mean) / self.std


@dataclass(frozen=True, slots=True)
class PreferenceModel:
    """A loaded preference model. `max_length` is in tokens, prompt and answer together."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    scale: RewardScale | None
    shares_prompts: bool
    max_length: int

    @classmethod
    def load(cls, path: Path) -> "PreferenceModel":
        """Return the preference model in a directory, on the accelerator if there is one.

        Weights are float32: on a CPU rewards then depend on the batch by less than 1e-5.

        Raises:
            DataError: `path` holds no sequence-classification model with one output.
            MissingExtra: The `train` extra is not installed.
        """
        require_training()
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        loose = cast(Any, AutoModelForSequenceClassification)
        with quiet():
            if not (path / "config.json").exists():
                raise DataError("there is no preference model", where=path, todo="publius train pm")
            model = loose.from_pretrained(
                path, dtype=torch.float32, local_files_only=True, use_safetensors=True
            )
            tokenizer = cast(Any, AutoTokenizer).from_pretrained(path, local_files_only=True)
        if model.config.num_labels != 1:
            raise DataError(
                f"a model with {model.config.num_labels} outputs is no preference model", where=path
            )
        return wrap(model.to(find_device().kind), tokenizer, scale=read_scale(path))

    def score(self, conversations: Sequence[Conversation], *, batch_size: int = 16) -> list[float]:
        """Return the reward of each conversation's last message (the assistant's), in the order given.

        Answers to the same prompt are computed together. `batch_size` is answers at a time.

        Raises:
            DataError: A conversation does not end with the assistant's turn or is longer than `max_length`
                tokens; a reward is not a number.
        """
        encoded = [encode_answer(self.tokenizer, conversation) for conversation in conversations]
        for i, (prompt_ids, answer_ids) in enumerate(encoded):
            if len(prompt_ids) + len(answer_ids) > self.max_length:
                raise DataError(
                    f"conversation {i} has {len(prompt_ids) + len(answer_ids)} tokens, "
                    f"and the preference model takes {self.max_length}",
                    todo="shorten it; a reward of half an answer would be wrong without notice",
                )
        rows, places = _siblings(encoded)
        rewards = [math.nan] * len(encoded)
        for place, values in zip(places, self.score_ids(rows, batch_size=batch_size), strict=True):
            for i, value in zip(place, values, strict=True):
                rewards[i] = value
        return rewards

    def score_ids(self, rows: "Sequence[Siblings]", *, batch_size: int = 16) -> list[tuple[float, ...]]:
        """Return the rewards of each row's answers; rows of like length are computed together.

        Raises:
            DataError: A reward is not a number.
        """
        rewards: dict[int, tuple[float, ...]] = {}
        for batch in _batches(rows, batch_size=batch_size):
            values = iter(self._rewards([rows[i] for i in batch]))
            rewards.update((i, tuple(next(values) for _ in rows[i].answers)) for i in batch)
        if not all(math.isfinite(value) for values in rewards.values() for value in values):
            raise DataError("the preference model gives rewards that are not numbers", todo="train it again")
        return [rewards[i] for i in range(len(rows))]

    def _rewards(self, rows: "Sequence[Siblings]") -> list[float]:
        import torch

        from publius.preference.model import collate

        pad_id = cast(int, self.tokenizer.pad_token_id)
        batch = collate(rows, pad_id=pad_id, shares=self.shares_prompts)
        with torch.inference_mode():
            on_device = {name: tensor.to(self.model.device) for name, tensor in batch.items()}
            return cast(Any, self.model)(**on_device)["rewards_N"].float().tolist()


def wrap(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", *, scale: RewardScale | None
) -> PreferenceModel:
    """Return a preference model ready to score, from a model and a tokenizer in memory."""
    from publius.preference.model import use_shared_prompts
    from publius.training.shared_prompt import can_share_prompts

    shares = can_share_prompts(model)
    use_shared_prompts(model)
    max_length = int(cast(Any, model).config.get_text_config().max_position_embeddings)
    return PreferenceModel(model.eval(), tokenizer, scale, shares, max_length)


def scale_of(rewards: Sequence[float]) -> RewardScale:
    """Return the mean and the (population) standard deviation of rewards.

    >>> scale_of([1.0, 3.0])
    RewardScale(mean=2.0, std=1.0, n=2)
    """
    mean = statistics.fmean(rewards)
    return RewardScale(mean, statistics.pstdev(rewards, mean), len(rewards))


def read_scale(path: Path) -> RewardScale | None:
    """Return the reward scale beside a model, or None for a model that another program has trained."""
    file = path / SCALE_FILE
    return decode(RewardScale, json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def _siblings(
    encoded: "Sequence[tuple[Sequence[int], Sequence[int]]]",
) -> "tuple[list[Siblings], list[list[int]]]":
    """Return the answers by prompt, and where each of them stood."""
    from publius.training.shared_prompt import Siblings

    places: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, (prompt_ids, _) in enumerate(encoded):
        places[tuple(prompt_ids)].append(i)
    rows = [Siblings(prompt_ids, [encoded[i][1] for i in place]) for prompt_ids, place in places.items()]
    return rows, list(places.values())


def _batches(rows: "Sequence[Siblings]", *, batch_size: int) -> list[list[int]]:
    """Return row indices in batches of about `batch_size` answers, rows of like length together."""
    by_length = sorted(
        range(len(rows)), key=lambda i: len(rows[i].prompt_ids) + sum(map(len, rows[i].answers))
    )
    batches: list[list[int]] = []
    n_answers = batch_size
    for i in by_length:
        n_answers += len(rows[i].answers)
        if n_answers > batch_size:
            batches.append([])
            n_answers = len(rows[i].answers)
        batches[-1].append(i)
    return batches
