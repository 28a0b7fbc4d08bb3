"""TRL's DPO trainer for rows that are token ids with soft labels; each counts the same in its step.

TRL tokenises whatever it is given, and by it a `<|im_end|>` inside a text becomes a control token; it knows
no label of a row. It takes the mean of each micro-batch and the mean of those, so that the rows of a smaller
last one count for more.

Letters: B rows; R = 2 B answers, the chosen ones first.

Paper: none.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import torch
from datasets import Dataset
from torch import Tensor
from trl.trainer.dpo_trainer import DPOTrainer

from publius.training.preference_loss import soft_label_loss

_IGNORED = -100


class TokenisedDPOTrainer(DPOTrainer):
    """A `DPOTrainer` over the columns `prompt_ids`, `chosen_ids`, `rejected_ids` and `prob_chosen`.

    A row without answers counts for nothing. Call `keep_labels` once it is built.
    """

    loss_is_scaled_for_ga = True  # micro-batches add up to the step's mean

    def keep_labels(self) -> None:
        """Let the labels come with their rows."""
        pad = cast(Callable[[list[dict[str, Any]]], dict[str, Tensor]], self.data_collator)

        def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
            return pad(rows) | {"prob_chosen": torch.tensor([row["prob_chosen"] for row in rows])}

        self.data_collator = cast(Any, collate)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Return the micro-batches of a step, and how many rows all processes have in it."""
        batches, _ = super().get_batch_samples(*args, **kwargs)
        n_own = torch.tensor([int(_has_answers(batch).sum()) for batch in batches]).sum()[None]
        return batches, cast(Tensor, self.accelerator.gather(n_own.to(self.accelerator.device))).sum()

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the part of a step's mean loss that a micro-batch makes up."""
        prob_chosen_B, counts_B = inputs.pop("prob_chosen"), _has_answers(inputs)
        with torch.no_grad(), self._reference(model) as reference:
            reference_R = _log_probs(reference, inputs)
        reward_R = self.beta * (_log_probs(model, inputs) - reference_R)
        chosen_B, rejected_B = reward_R.chunk(2)
        loss_B = soft_label_loss(chosen_B, rejected_B, prob_chosen_B)
        n_rows = counts_B.sum() if num_items_in_batch is None else num_items_in_batch
        return (loss_B * counts_B).sum() * self.accelerator.num_processes / n_rows

    @contextmanager
    def _reference(self, model: torch.nn.Module) -> Generator[torch.nn.Module]:
        """Give the start: a model of its own, or the policy without its low-rank updates."""
        if self.ref_model is not None:
            yield cast(torch.nn.Module, self.ref_model)
            return
        with cast(Any, self.accelerator.unwrap_model(model)).disable_adapter():
            yield model

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset


def _log_probs(model: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Return the log-probability of each answer, shape (R,)."""
    labels_RT = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, _IGNORED)
    texts = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    return model(**texts, labels=labels_RT, fused_lm_head=True, use_cache=False)["log_probs"].sum(1)


def _has_answers(inputs: dict[str, Tensor]) -> Tensor:
    """Return which rows of a batch have answers, shape (B,)."""
    return inputs["completion_mask"].any(1).chunk(2)[0]
