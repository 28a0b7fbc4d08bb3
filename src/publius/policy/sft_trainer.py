"""TRL's SFT trainer, with its batches cut by tokens: little padding, and memory that does not depend on luck.

A batch is cut into micro-batches of like length that fit into memory; a token of an answer counts the same in
the step, however it was cut. Or its rows are packed, several into one, and nothing is padded.

Paper: none.
"""

from functools import partial

import torch
from torch import Tensor
from trl.trainer.sft_trainer import SFTTrainer

from publius.training.batches import cut_by_tokens
from publius.training.packing import pack_by_tokens, pack_rows
from publius.training.parts import cut_alike, each_part
from publius.training.recomputation import keep_activations


class AnswerTrainer(SFTTrainer):
    """An `SFTTrainer` that holds the activations of at most `tokens_in_memory` tokens at a time."""

    tokens_in_memory: int
    packs: bool = False

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Add up the gradients of a batch's parts, and return its part of the step's loss."""
        lengths: list[int] = inputs["attention_mask"].sum(1).tolist()
        how = partial(pack_by_tokens if self.packs else cut_by_tokens, lengths, budget=self.tokens_in_memory)
        cut = cut_alike(lambda n_least: how(n_least=n_least), self.accelerator)
        losses: list[Tensor] = []
        for rows in each_part(cut, self.accelerator, model):
            part = self._part(inputs, rows, lengths)
            keep_activations(model, n_tokens=part["input_ids"].numel(), budget=self.tokens_in_memory)
            losses.append(super().training_step(model, part, num_items_in_batch))
        return torch.stack(losses).sum()

    def _part(self, inputs: dict[str, Tensor], rows: list[int], lengths: list[int]) -> dict[str, Tensor]:
        """Return some rows of a batch, padded to the longest of them or packed into one."""
        if self.packs:
            return pack_rows(inputs, rows, lengths=lengths)
        width = max(lengths[row] for row in rows)
        return {name: values_BT[rows, :width] for name, values_BT in inputs.items()}
