"""Train a model by low-rank updates, and never lose its head.

What is saved is the whole model with the updates merged in, so that whatever loads a trained model loads
this one. An adapter of a classifier keeps the head only if it is told to: without, the head is trained,
dropped when the adapter is saved, and drawn anew when it is loaded (trl#381, OpenRLHF#873). So it is named.

Paper: Hu et al. 2021, arXiv:2106.09685. None of Bai et al.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from publius.errors import UsageError, require
from publius.training.arguments import sharding

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import Tensor
    from transformers import PreTrainedModel


ADAPTER = "adapter"  # the directory of the adapter inside the model's, where it is kept
_NAME = "default"  # peft's for the updates that a trainer draws


@dataclass(frozen=True, slots=True)
class Lora:
    """Train low-rank updates of all linear layers (and the whole head of a classifier); rank 0: all weights.

    What is saved is the whole model with the updates merged in; `keep_adapter` also keeps them apart, in
    `adapter`. On two CPU cores this is slower than training all weights; it saves their gradients' and
    moments' memory. Low-rank updates want a larger learning rate.
    """

    rank: int = 0
    alpha: float = 32.0
    keep_adapter: bool = False

    def __post_init__(self) -> None:
        require(self, "lora", rank=0, alpha=1e-6)


def adapter_config(lora: Lora, *, task: Literal["CAUSAL_LM", "SEQ_CLS"], seed: int) -> "LoraConfig | None":
    """Return peft's settings for TRL's trainer, which draws the updates next; None where all is trained.

    Raises:
        UsageError: The weights are cut among the processes, and the updates could not be merged.
    """
    if not lora.rank:
        return None
    if sharding():
        raise UsageError(
            f"low-rank updates are not merged under {sharding()}",
            todo="set lora.rank = 0, or train without it (DDP trains them)",
        )
    import torch
    from peft import LoraConfig, TaskType

    torch.manual_seed(seed)  # TRL seeds after it has drawn them
    return LoraConfig(
        task_type=TaskType(task),
        r=lora.rank,
        lora_alpha=cast(Any, lora.alpha),  # peft divides it by the rank, whole or not
        target_modules="all-linear",
        modules_to_save=["score"] if task == "SEQ_CLS" else None,
    )


def merge(adapted: Any, lora: Lora, *, work: Path, keeps: bool) -> None:
    """Merge the updates into the model, if there are any, and keep the adapter with its head where asked.

    Of several processes one `keeps` it.
    """
    if lora.rank:
        if lora.keep_adapter and keeps:
            save_adapter(adapted, work)
        adapted.merge_and_unload()


def save_adapter(adapted: Any, directory: Path) -> None:
    """Write a model's updates into `adapter` in a directory, without the card to be filled in of peft."""
    adapted.save_pretrained(directory / ADAPTER)
    (directory / ADAPTER / "README.md").unlink(missing_ok=True)


def inner_model(model: Any) -> "PreTrainedModel":
    """Return the model that low-rank updates were put into; one without any is returned as it is."""
    from accelerate.utils import is_peft_model

    return cast("PreTrainedModel", model.get_base_model() if is_peft_model(model) else model)


def merged_weights(model: Any) -> "Iterator[tuple[str, Tensor]]":
    """Yield a model's weights by name as they are with its updates merged in; the model is not changed."""
    inner = inner_model(model)
    for name, weight in inner.state_dict().items():
        layer, is_adapted, own = name.rpartition(".base_layer.")
        if is_adapted:
            update = cast(Any, inner.get_submodule(layer)).get_delta_weight(_NAME).detach()
            yield f"{layer}.{own}", weight + update if own == "weight" else weight
        elif ".lora_" not in name:
            yield name, weight


def take_adapter(work: Path, built: Path) -> None:
    """Move the adapter that was kept in `work`, if one was, into the directory of the model."""
    if (work / ADAPTER).exists():
        (work / ADAPTER).rename(built / ADAPTER)
