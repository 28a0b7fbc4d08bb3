"""The settings of the three ways to train a policy, with the reason for each default.

The defaults are for a model of 135 million parameters and a few hundred rows on two CPU cores; a larger
model wants a smaller learning rate and, having more data, a larger batch.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.2 (SL-CAI) and §4.2; learning rates are not in it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SFTSettings:
    """How to imitate. `max_length` counts prompt and answer in tokens; longer rows are refused and counted."""

    epochs: int = 1  # "trained for one epoch", §3.2
    learning_rate: float = 4e-5  # 176 rows, two epochs moved refusals of red-team prompts from 10 to 100 %
    batch_size: int = 16
    micro_batch_size: int = 8  # 8 rows of 300 tokens with 135 M parameters: under 4 GB
    max_length: int = 1024
    is_bf16: bool = True
