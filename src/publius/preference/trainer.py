"""TRL's reward trainer with a soft-label loss on rows that share their prompts.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1. TRL's own trainer knows hard labels only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from trl.trainer.reward_trainer import RewardTrainer

from publius.preference.loss import soft_label_loss
from publius.preference.model import collate
from publius.training.shared_prompt import Siblings


class SoftLabelTrainer(RewardTrainer):
    """A `RewardTrainer` whose batches come from `Collator`."""

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the mean soft-label loss of the comparisons in `inputs`."""
        prob_a_B = inputs.pop("prob_a_B")
        outputs = model(**inputs)
        rewards_B2 = cast(Tensor, outputs["rewards_N"]).view(-1, 2)
        loss = soft_label_loss(rewards_B2[:, 0], rewards_B2[:, 1], prob_a_B).mean()
        return (loss, outputs) if return_outputs else loss


@dataclass(frozen=True, slots=True)
class Collator:
    """Turn dataset rows into the trainer's inputs; TRL calls the answers' columns chosen and rejected."""

    pad_id: int
    shares: bool

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Return one batch; the rewards come out as A, B, A, B, …."""
        siblings = [Siblings(row["prompt_ids"], (row["chosen_ids"], row["rejected_ids"])) for row in rows]
        batch = collate(siblings, pad_id=self.pad_id, shares=self.shares)
        batch["prob_a_B"] = torch.tensor([row["prob_a"] for row in rows], dtype=torch.float32)
        return batch
