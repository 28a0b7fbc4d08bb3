"""TRL's reward trainer with a loss of ours on rows whose answers share their prompt.

The trainer's batch is all that a process has of an optimizer step. It is computed in micro-batches of like
length that fit into memory, and every row counts the same in the step, however it was cut.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1. TRL's own trainer knows hard labels only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from datasets import Dataset
from torch import Tensor
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from publius.preference.config import PMSettings
from publius.preference.model import collate, use_shared_prompts
from publius.preference.rows import TrainingRow, siblings_of
from publius.training.arguments import Optimisation, fill_last_batch, trainer_arguments
from publius.training.batches import cut_by_tokens, grouped_order
from publius.training.environment import Device
from publius.training.lora import adapter_config
from publius.training.parts import cut_alike, each_part, gather_counts
from publius.training.recomputation import keep_activations
from publius.training.shared_prompt import can_share_prompts
from publius.training.weights import LoadedModel

# Neighbours in the order of training that are of like length: a step then has several lengths, and each fills
# a micro-batch.
_LIKE_LENGTH = 4

RowLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_FILLER = -1  # stands for no row, where the processes' shares of the last step differ


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows become tensors and losses: `PMSettings` explains `tokens_in_memory`.

    `loss` is that of each row, from the outputs of its answers and the rows' targets (`loss.py`).
    """

    pad_id: int
    shares: bool
    tokens_in_memory: int
    loss: RowLoss


def build_trainer(
    loaded: LoadedModel,
    rows: Sequence[TrainingRow],
    work: Path,
    *,
    loss: RowLoss,
    settings: PMSettings,
    seed: int,
    device: Device,
) -> "RowTrainer":
    """Return the trainer of a classifier over rows, in the order that the seed gives them."""
    n_alike = min(_LIKE_LENGTH, settings.batch_size)
    order = grouped_order(
        [row.n_tokens for row in rows], batch_size=n_alike, epochs=settings.epochs, seed=seed
    )
    # a step's share is one batch: the trainer below cuts it by tokens and recomputes what must be
    step = Optimisation(settings.learning_rate, settings.batch_size, micro_batch_size=settings.batch_size)
    arguments = trainer_arguments(
        step,
        device=device,
        work=work,
        seed=seed,
        is_bf16=settings.is_bf16,
        n_tokens=0,
        checkpoint_every=settings.checkpoint_every,
    )
    layout = Layout(
        cast(int, loaded.tokenizer.pad_token_id),
        shares=can_share_prompts(loaded.model),
        tokens_in_memory=settings.tokens_in_memory,
        loss=loss,
    )
    dealt = fill_last_batch(order, step, n_processes=device.n_processes, filler=_FILLER)
    # with these two columns TRL takes the rows for tokenised
    columns = {"row": dealt, "chosen_ids": [[]] * len(dealt), "rejected_ids": [[]] * len(dealt)}
    trainer = RowTrainer(
        rows,
        layout,
        model=loaded.model,
        args=RewardConfig(**arguments, max_length=None, remove_unused_columns=False),
        train_dataset=Dataset.from_dict(columns),
        processing_class=loaded.tokenizer,
        peft_config=adapter_config(settings.lora, task="SEQ_CLS", seed=seed),
    )
    use_shared_prompts(loaded.model)
    return trainer


class RowTrainer(RewardTrainer):
    """A `RewardTrainer` whose data set has a column `row`, the number of one of `rows` or `_FILLER`."""

    loss_is_scaled_for_ga = True  # micro-batches add up to the step's mean

    def __init__(self, rows: Sequence[TrainingRow], layout: Layout, **kwargs: Any) -> None:
        super().__init__(**kwargs, data_collator=cast(Any, collate_numbers))
        self._rows = rows
        self._filler = min(rows, key=lambda row: row.n_tokens)._replace(weight=0.0)
        self._layout = layout

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Add up the gradients of a process's share of a step.

        Return its part of the step's mean loss; the mean over the processes, which is taken of gradients
        too, is the mean over the step's rows.
        """
        numbers: list[int] = inputs["row_R"].tolist()
        rows = [self._filler if number == _FILLER else self._rows[number] for number in numbers]
        mean_share = self._mean_share(len(numbers) - numbers.count(_FILLER))
        batches = self._cut(rows)
        losses: list[Tensor] = []
        for batch in each_part(batches, self.accelerator, model):
            keep_activations(model, n_tokens=self._n_tokens(batch), budget=self._layout.tokens_in_memory)
            tensors = self.collate(batch, mean_share=mean_share)
            losses.append(super().training_step(model, tensors, num_items_in_batch))
        return torch.stack(losses).sum()

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the part of a step's mean loss that the rows in `inputs` make up."""
        target_B, weight_B = inputs.pop("target_B"), inputs.pop("weight_B")
        outputs = model(**inputs)
        loss = (weight_B * self._layout.loss(cast(Tensor, outputs["rewards_N"]), target_B)).sum()
        return (loss, outputs) if return_outputs else loss

    def collate(self, rows: Sequence[TrainingRow], *, mean_share: float) -> dict[str, Tensor]:
        """Return a micro-batch; the outputs come out answer by answer, for comparisons A, B, A, B, ….

        `mean_share` is how many rows a process has of this step, on average.
        """
        batch = collate(siblings_of(rows), pad_id=self._layout.pad_id, shares=self._layout.shares)
        batch["target_B"] = torch.tensor([row.target for row in rows])
        batch["weight_B"] = torch.tensor([row.weight / mean_share for row in rows])
        return batch

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return 0: they are counted from a step's tensors, and here those are made in the step."""
        return 0

    def _mean_share(self, n_own: int) -> float:
        """Return how many rows of a step there are for each process."""
        n_processes = self.accelerator.num_processes
        if n_processes == 1:
            return n_own
        return int(gather_counts(n_own, self.accelerator).sum()) / n_processes

    def _cut(self, rows: Sequence[TrainingRow]) -> list[list[TrainingRow]]:
        """Return the micro-batches of a step, as many in every process."""
        lengths = [self._n_tokens([row]) for row in rows]
        how = partial(cut_by_tokens, lengths, budget=self._layout.tokens_in_memory)
        cut = cut_alike(lambda n_least: how(n_least=n_least), self.accelerator)
        return [[rows[i] for i in batch] for batch in cut]

    def _n_tokens(self, rows: Sequence[TrainingRow]) -> int:
        """Return the tokens of a micro-batch, padding counted."""
        if self._layout.shares:
            return len(rows) * max(row.n_tokens for row in rows)
        longest = max(len(row.prompt_ids) + max(map(len, row.answers)) for row in rows)
        return sum(len(row.answers) for row in rows) * longest


def collate_numbers(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Return the numbers of a step's rows: their tensors are made when the step is cut."""
    return {"row_R": torch.tensor([row["row"] for row in rows])}
