"""TRL's RLOO trainer, with steps computed in parts.

An answer's advantage is its reward less the mean of its siblings' (leave one out), where `beta` times
log π/π₀ of the whole answer is taken from each reward first. The loss is REINFORCE over whole answers, one
step a batch, so that the ratio of TRL's loss is 1.

Paper: Ahmadian et al. 2024, arXiv:2402.14740, §3 (RLOO). Departure: the KL that is logged is not the estimate
that is taken from the rewards, whose sign varies, but the one that GRPO logs.
"""

from typing import Any, cast

import torch
from torch import Tensor
from trl.trainer.rloo_trainer import RLOOTrainer

from publius.policy.rl_trainer import PolicyTrainer


class RLOOPolicyTrainer(PolicyTrainer, RLOOTrainer):  # pyright: ignore[reportIncompatibleMethodOverride]
    """An `RLOOTrainer` that logs what the GRPO trainer does; what vLLM sampled is not compared."""

    _sampled: list[list[float]] | None = None
    _before_BC: list[Tensor]  # log-probabilities before the step: the policy's, the reference's

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        sampled = super()._generate_single_turn(*args, **kwargs)
        if self._sampler is None:
            return sampled
        self._sampled = sampled.logprobs
        return sampled.answers

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Tensor]:
        self._before_BC = []
        batch = cast("dict[str, Tensor]", super()._generate_and_score_completions(inputs))
        mask_BC = batch["completion_mask"].bool()
        policy_BC, reference_BC = self._before_BC
        apart_N = (reference_BC - policy_BC)[mask_BC]
        sums = torch.stack([(apart_N.exp() - apart_N - 1).sum(), mask_BC.sum()])
        total, n_tokens = cast(Tensor, cast(Any, self.accelerator).reduce(sums)).tolist()
        self._metrics["train"]["kl"][-1] = total / n_tokens
        if self._sampled is not None:
            logprob_N = torch.tensor([value for answer in self._sampled for value in answer])
            empty_BC = torch.zeros_like(policy_BC)
            batch["sampling_per_token_logps"] = empty_BC.masked_scatter(mask_BC, logprob_N)
        return batch

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if not torch.is_grad_enabled():
            self._before_BC.append(found[0])
        return found
