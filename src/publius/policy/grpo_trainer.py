"""TRL's GRPO trainer, with steps computed in parts.

Paper: Shao et al. 2024, arXiv:2402.03300, §4.1 (GRPO); TRL's defaults otherwise.
"""

from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer

from publius.policy.rl_trainer import PolicyTrainer


class GRPOPolicyTrainer(PolicyTrainer, GRPOTrainer):
    """A `GRPOTrainer` whose parts weigh in a step's loss as its type says."""

    _means = ("kl", "entropy")

    def _share_of(self, part: dict[str, Tensor], step: dict[str, Tensor]) -> float:
        """Return what a part's loss weighs: "dapo" is divided by the whole step's tokens already."""
        if self.loss_type == "dapo":
            return 1.0
        if self.loss_type == "bnpo":
            return float(part["completion_mask"].sum() / step["completion_mask"].sum())
        return super()._share_of(part, step)
