"""Project only the answer's tokens to the vocabulary, where TRL would project every token.

TRL's trainers call `model(..., labels=labels, fused_lm_head=True)` for per-token log-probabilities. Without
Triton (on a CPU) TRL's own head scores prompts and padding too and multiplies in float32; with 135 M
parameters and 57 % of the tokens in the answers that is 177 training tokens per second against 317 with
this one (two cores, bfloat16 autocast). The numbers are the same to rounding.

Letters: B rows, T tokens, H features, V vocabulary, N tokens that are scored.

Paper: none.
"""

import functools
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from trl.trainer.utils import FusedCausalLMOutput

from publius.training.shared_prompt import Siblings, share_prompts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Architectures that change the logits after the head; TRL's head knows them, this one does not.
_LOGIT_CHANGES = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
)
_IGNORED = -100
_CHUNK = 1024  # tokens whose logits are in memory at once
_ENTROPY_ROWS = 64


class TokenScores(NamedTuple):
    """Log-probability of each token and the entropy of the distribution it was drawn from, in nats."""

    logprob_N: Tensor
    entropy_N: Tensor


def use_answer_head(model: "PreTrainedModel", *, temperature: float = 1.0) -> bool:
    """Replace the head that TRL has put on `model`, if it runs on a CPU; return whether it was replaced.

    Call it after the TRL trainer was built. Logits are divided by `temperature`, as TRL does. The new
    forward also takes `picks` (see `score_siblings`).
    """
    config = cast(Any, model).config.get_text_config()
    changes_logits = any(getattr(config, name, None) is not None for name in _LOGIT_CHANGES)
    routes = bool(getattr(config, "output_router_logits", False))
    if model.device.type != "cpu" or changes_logits or routes:
        return False
    trl_forward = cast(Any, model).forward

    # `generate` reads the original signature to validate its arguments
    @functools.wraps(type(model).forward)
    def forward(
        self: Any,
        *args: Any,
        fused_lm_head: bool = False,
        labels: Tensor | None = None,
        picks: tuple[Tensor, Tensor, Tensor] | None = None,
        **kwargs: Any,
    ) -> Any:
        if picks is not None:
            hidden_BTH = self.base_model(*args, **kwargs, use_cache=False).last_hidden_state
            row_N, before_N, target_N = picks
            scores = _score(self.get_output_embeddings(), hidden_BTH[row_N, before_N], target_N, temperature)
            return TokenScores(*scores[:2])._asdict()
        if not fused_lm_head or labels is None:
            return trl_forward(*args, **kwargs, **({} if labels is None else {"labels": labels}))
        kwargs["use_cache"] = False
        hidden_BTH = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        return _spread(self.get_output_embeddings(), hidden_BTH, labels[:, 1:], temperature)

    cast(Any, model).forward = types.MethodType(forward, model)
    return True


def score_siblings(model: torch.nn.Module, rows: Sequence[Siblings], *, pad_id: int) -> TokenScores:
    """Return the scores of all answers' tokens, answer by answer, each prompt computed once.

    `model` was prepared by `use_answer_head`.
    """
    device = next(model.parameters()).device
    batch = share_prompts(rows, pad_id=pad_id)
    spans = list(zip(*(x.tolist() for x in (batch.row_N, batch.start_N, batch.end_N)), strict=True))
    row_N = torch.cat([torch.full((end - start,), row) for row, start, end in spans])
    own_N = torch.cat([torch.arange(start, end) for _, start, end in spans])
    # what predicts a token stands before it: for the first of an answer that is the prompt's last
    before_N = own_N - 1
    lengths = (batch.end_N - batch.start_N).tolist()
    firsts = torch.tensor([0, *lengths[:-1]]).cumsum(0)
    before_N[firsts] = batch.prompt_end_N - 1
    target_N = batch.input_ids_BT[row_N, own_N]
    output = model(
        input_ids=batch.input_ids_BT.to(device),
        position_ids=batch.positions_BT.to(device),
        attention_mask=batch.mask_B1TT.to(device),
        picks=tuple(x.to(device) for x in (row_N, before_N, target_N)),
    )
    return TokenScores(output["logprob_N"], output["entropy_N"])


def _score(
    head: torch.nn.Module, hidden_NH: Tensor, target_N: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log-probability, entropy, mean logit and whether it is the likeliest, of each token.

    Beyond `_CHUNK` tokens the logits are made again in the backward pass instead of being kept: a
    thousand tokens over a vocabulary of 49,152 take 0.2 GB, several times.
    """
    if len(target_N) <= _CHUNK:
        return _score_chunk(head, hidden_NH, target_N, temperature)
    parts = [
        cast(
            "tuple[Tensor, Tensor, Tensor, Tensor]",
            checkpoint(_score_chunk, head, hidden_CH, target_C, temperature, use_reentrant=False),
        )
        for hidden_CH, target_C in zip(hidden_NH.split(_CHUNK), target_N.split(_CHUNK), strict=True)
    ]
    logprob, entropy, mean, is_top1 = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return logprob, entropy, mean, is_top1


def _score_chunk(
    head: torch.nn.Module, hidden_NH: Tensor, target_N: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    logits_NV: Tensor = head(hidden_NH).float()
    if temperature != 1.0:  # a pass over tokens times the vocabulary
        logits_NV = logits_NV / temperature
    with torch.no_grad():
        is_top1_N = logits_NV.gather(-1, target_N[:, None])[:, 0] >= logits_NV.amax(-1)
        mean_N = logits_NV.mean(-1)
    logprob_NV = logits_NV.log_softmax(-1)
    del logits_NV
    with torch.no_grad():
        pieces = [-(piece.exp() * piece).sum(-1) for piece in logprob_NV.split(_ENTROPY_ROWS)]
    return logprob_NV.gather(-1, target_N[:, None])[:, 0], torch.cat(pieces), mean_N, is_top1_N


def _spread(
    head: torch.nn.Module, hidden_BTH: Tensor, target_BT: Tensor, temperature: float
) -> "FusedCausalLMOutput":
    """Return TRL's output record, zero where `target_BT` is ignored; `hidden_BTH[:, t]` predicts target t."""
    mask_BT = target_BT != _IGNORED
    scores = _score(head, hidden_BTH[mask_BT], target_BT[mask_BT], temperature)

    def place(values_N: Tensor) -> Any:
        return values_N.new_zeros(mask_BT.shape).masked_scatter(mask_BT, values_N)

    logprob_BT, entropy_BT, mean_BT, is_top1_BT = map(place, scores)
    return FusedCausalLMOutput(
        loss=-logprob_BT.sum() / mask_BT.sum().clamp(min=1),
        log_probs=logprob_BT,
        entropy=entropy_BT,
        mean_logits=mean_BT,
        is_top1=is_top1_BT,
        label_mask=cast(Any, mask_BT),
    )
