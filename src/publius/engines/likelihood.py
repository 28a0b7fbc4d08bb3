"""Log-probabilities of given tokens, for a batch of prompts: how the transformers engine chooses and scores.

Letters: B rows, T tokens, V vocabulary.

Paper: none.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch

from publius.engines.decoding import next_logits, pad_left

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Targets(NamedTuple):
    """A prompt and the tokens asked about: those that could come next, or those of the answer after it."""

    prompt_ids: list[int]
    target_ids: list[int]


@torch.inference_mode()
def option_logprobs(
    model: "PreTrainedModel", batch: Sequence[Targets], *, pad_id: int
) -> list[tuple[float, ...]]:
    """Return the natural-log probability of every target as the one token after its prompt."""
    padded = pad_left([row.prompt_ids for row in batch], pad_id=pad_id, device=model.device)
    logprob_BV = torch.log_softmax(next_logits(model, padded).float(), dim=-1)
    return [
        tuple(logprob_V[row.target_ids].tolist()) for row, logprob_V in zip(batch, logprob_BV, strict=True)
    ]


@torch.inference_mode()
def answer_logprobs(model: "PreTrainedModel", batch: Sequence[Targets]) -> list[float]:
    """Return the sum of the natural-log probabilities of each row's targets, one after another.

    Rows are padded on the right: attention looks back only, so no mask is needed.
    """
    rows = [torch.tensor(row.prompt_ids + row.target_ids) for row in batch]
    input_ids_BT = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)
    start = min(len(row.prompt_ids) for row in batch) - 1  # the token before the first answer
    kept_T = torch.arange(start, input_ids_BT.shape[1] - 1, device=model.device)
    logits_BTV = cast(Any, model)(input_ids=input_ids_BT, use_cache=False, logits_to_keep=kept_T).logits
    sums: list[float] = []
    for row, (prompt_ids, target_ids) in enumerate(batch):
        begin = len(prompt_ids) - 1 - start
        logits_TV = logits_BTV[row, begin : begin + len(target_ids)].float()
        target_T = torch.tensor(target_ids, device=model.device)
        sums.append(-float(torch.nn.functional.cross_entropy(logits_TV, target_T, reduction="sum")))
    return sums
