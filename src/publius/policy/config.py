"""The settings of the three ways to train a policy, with the reason for each default.

The defaults are for a model of 135 million parameters and a few hundred rows on two CPU cores; a larger
model wants a smaller learning rate and, having more data, a larger batch.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.2 (SL-CAI) and §4.2; learning rates are not in it.
"""

from dataclasses import dataclass

from publius.errors import DataError, require

_LEAST_RATE = 1e-9


@dataclass(frozen=True, slots=True)
class SFTSettings:
    """How to imitate. `max_length` is prompt and answer in tokens; longer rows are left out and counted."""

    epochs: int = 1  # as in §3.2
    learning_rate: float = 4e-5  # 176 rows, two epochs moved refusals of red-team prompts from 10 to 100 %
    batch_size: int = 16
    micro_batch_size: int = 4  # 4 rows of 600 tokens with 135 M parameters: 3.9 GB at the peak
    max_length: int = 512
    is_bf16: bool = True  # autocast over float32 weights: 317 tokens/s, float32 181, bfloat16 weights 335

    def __post_init__(self) -> None:
        require(
            self, "sft", epochs=1, learning_rate=_LEAST_RATE, batch_size=1, micro_batch_size=1, max_length=8
        )


@dataclass(frozen=True, slots=True)
class DPOSettings:
    """How to learn from preferences directly. `beta` is the strength of the tie to the start."""

    epochs: int = 1
    learning_rate: float = 1e-5  # TRL's 1e-6 is for models of billions of parameters; not tuned here
    beta: float = 0.1  # as in arXiv:2305.18290, App. B, and TRL's default
    batch_size: int = 16
    micro_batch_size: int = 4
    max_length: int = 512
    is_bf16: bool = True

    def __post_init__(self) -> None:
        require(
            self,
            "dpo",
            epochs=1,
            learning_rate=_LEAST_RATE,
            batch_size=1,
            micro_batch_size=1,
            max_length=8,
            beta=1e-9,
        )


@dataclass(frozen=True, slots=True)
class RLSettings:
    """How to learn from rewards.

    A step takes `prompts_per_step` prompts and `num_generations` answers to each. `beta` penalises the KL
    divergence from the start; with 0 it is measured and logged all the same. Prompts longer than
    `max_prompt_length` tokens are skipped and counted.
    """

    steps: int = 15
    prompts_per_step: int = 4
    num_generations: int = 4
    max_prompt_length: int = 256
    max_completion_length: int = 48
    temperature: float = 1.0
    beta: float = 0.04  # as in arXiv:2402.03300, where rewards are scaled by group as here
    learning_rate: float = 1e-5  # the first step moves the 135M by a KL of 0.0016 a token
    micro_batch_size: int = 16  # a whole step, so that all answers to a prompt share it
    snapshot_every: int = 5
    weight_helpful: float = 0.50  # the paper's RL prompt mix, arXiv:2310.13798
    weight_red_team: float = 0.25
    weight_trait: float = 0.25
    is_bf16: bool = True

    def __post_init__(self) -> None:
        require(self, "rl", steps=1, prompts_per_step=1, num_generations=2, max_prompt_length=8)
        require(self, "rl", max_completion_length=1, temperature=0.01, beta=0, learning_rate=_LEAST_RATE)
        require(self, "rl", micro_batch_size=1, snapshot_every=1)
        require(self, "rl", weight_helpful=0, weight_red_team=0, weight_trait=0)
        if not self.weight_helpful + self.weight_red_team + self.weight_trait > 0:
            raise DataError("all prompt weights are 0", where="rl", todo="give one purpose a weight")
