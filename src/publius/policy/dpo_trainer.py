"""TRL's DPO trainer for rows that are token ids already.

TRL tokenises whatever it is given, and by it a `<|im_end|>` inside a text becomes a control token.

Paper: none.
"""

from typing import Any

from datasets import Dataset
from trl.trainer.dpo_trainer import DPOTrainer


class TokenisedDPOTrainer(DPOTrainer):
    """A `DPOTrainer` over the columns `prompt_ids`, `chosen_ids` and `rejected_ids`."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset
