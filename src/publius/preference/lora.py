"""Train a preference model by low-rank updates, and never lose its head.

An adapter of a classifier keeps the head only if it is told to: without, the head is trained, dropped when
the adapter is saved, and drawn anew when it is loaded (trl#381, OpenRLHF#873). So the head is named, and the
rewards of a probe before merging must be those of the saved model.

Paper: Hu et al. 2021, arXiv:2106.09685. None of Bai et al.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from publius.preference.config import Lora

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel


ADAPTER = "adapter"  # the directory of the adapter inside the model's, where it is kept


def adapter_config(lora: Lora) -> "LoraConfig | None":
    """Return peft's settings for TRL's trainer; None where all weights are trained."""
    if not lora.rank:
        return None
    from peft import LoraConfig, TaskType

    return LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=lora.rank,
        lora_alpha=cast(Any, lora.alpha),  # peft divides it by the rank, whole or not
        target_modules="all-linear",
        modules_to_save=["score"],
    )


def merge(adapted: Any, *, keep_at: Path | None) -> "PreTrainedModel":
    """Return the model with its updates merged in, and save the adapter with its head where asked."""
    if keep_at is not None:
        adapted.save_pretrained(keep_at)
    return cast("PreTrainedModel", adapted.merge_and_unload())
