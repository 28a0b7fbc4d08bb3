"""The settings of preference-model training, with the reason for each default.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1, and arXiv:2204.05862 (one epoch at a fixed rate);
learning rates are not in them.
"""

from dataclasses import dataclass

from publius.errors import require


@dataclass(frozen=True, slots=True)
class PMSettings:
    """How to train a PM. `max_length` counts prompt and answer in tokens; longer comparisons are refused.

    `n_scale_rows` comparisons of the training set, drawn with the seed, give the rewards' mean and spread.
    """

    epochs: int = 1
    # TRL's default. At 2e-5, 301 human comparisons (19 steps) left margins 30 times too small (T = 0.03).
    learning_rate: float = 1e-4
    batch_size: int = 16
    micro_batch_size: int = 4  # comparisons
    max_length: int = 512
    n_scale_rows: int = 64
    is_bf16: bool = True

    def __post_init__(self) -> None:
        require(self, "pm", epochs=1, learning_rate=1e-9, batch_size=1, micro_batch_size=1)
        require(self, "pm", max_length=8, n_scale_rows=2)
