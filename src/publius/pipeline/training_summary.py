"""What the report shows of the preference model and of reinforcement learning.

Paper: none.
"""

from collections.abc import Mapping
from typing import Any

from publius.policy.config import RLSettings
from publius.records import decode
from publius.report import PMSummary, RLStep, RLSummary
from publius.stats import Bin, Estimate


def summarise_pm(figures: Mapping[str, Any]) -> PMSummary:
    """Return the held-out figures of a preference model; what was not measured is None."""
    held_out = figures["held_out"]
    if held_out is None:
        return PMSummary(accuracy=None, ece=None, brier=None, temperature=None, bins=())
    return PMSummary(
        accuracy=None if held_out["accuracy"] is None else decode(Estimate, held_out["accuracy"]),
        ece=held_out["ece"],
        brier=held_out["brier"],
        temperature=held_out["temperature"],
        bins=tuple(decode(Bin, item) for item in held_out["bins"]),
    )


def summarise_rl(figures: Mapping[str, Any], settings: RLSettings) -> RLSummary:
    """Return the steps of reinforcement learning; KL is per answer, in nats."""
    return RLSummary(
        algorithm="GRPO",
        n_per_step=settings.prompts_per_step * settings.num_generations,
        steps=tuple(
            RLStep(
                step=step["step"],
                reward=step["reward_mean"],
                reward_std=step["reward_std"],
                kl=step["kl_per_answer"],
                length=step["mean_length"],
            )
            for step in figures["steps"]
        ),
    )
