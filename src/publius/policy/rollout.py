"""Sample answers from a policy that is being trained, on a CPU.

The training model computes in float32 with autocast, which converts every weight again for every token.
Here a bfloat16 copy of the weights is refreshed once a step, each prompt is read once for all its answers,
and answers that have ended cost nothing more. Low-rank updates stay beside the weights, as in training: most
of a small one is lost in the rounding of the weight that it is added to.

Letters: U prompts, L answers that go on, T tokens, H features, V vocabulary.

Paper: none.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor

from publius.policy.decoding import ATTENTION, AnswerMemory
from publius.training.batches import cut_by_tokens
from publius.training.lora import inner_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PROMPT_TOKENS = 2048  # read at a time, padding counted
_TOLERANCE = 1e-3  # in float32; what another attention computes is apart by about 1


class Sampled(NamedTuple):
    """Answers as token ids, and the log-probability with which each of their tokens was drawn."""

    answers: list[list[int]]
    logprobs: list[list[float]]


@dataclass(frozen=True, slots=True)
class Sampler:
    """A copy of the policy to sample from."""

    model: "PreTrainedModel"
    pad_id: int

    def refresh(self, policy: torch.nn.Module) -> None:
        """Take over the policy's present weights."""
        own = self.model.state_dict()
        for name, weight in inner_model(policy).state_dict().items():
            own[name].copy_(weight)

    @torch.no_grad()
    def sample(
        self, prompts: Sequence[Sequence[int]], *, n_tokens: int, temperature: float, end_ids: Sequence[int]
    ) -> Sampled:
        """Return one answer of at most `n_tokens` for each prompt, up to and with its end token.

        Equal prompts are read once. Draws from torch's global generator.
        """
        places: dict[tuple[int, ...], list[int]] = {}
        for place, ids in enumerate(prompts):
            places.setdefault(tuple(ids), []).append(place)
        lengths = [len(ids) for ids in places]
        memory = AnswerMemory(lengths, [len(own) for own in places.values()], n_tokens=n_tokens)
        hidden_LH = self.read(list(places), memory)[memory.prompt_L]
        place_L = torch.tensor([place for own in places.values() for place in own])
        sampled = Sampled([[] for _ in prompts], [[] for _ in prompts])
        for n_drawn in range(1, n_tokens + 1):
            logits_LV = cast(Any, self.model).get_output_embeddings()(hidden_LH).float() / temperature
            token_L, logprob_L = draw(logits_LV)
            for place, token, logprob in zip(
                place_L.tolist(), token_L.tolist(), logprob_L.tolist(), strict=True
            ):
                sampled.answers[place].append(token)
                sampled.logprobs[place].append(logprob)
            goes_on_L = ~torch.isin(token_L, torch.tensor(end_ids))
            if n_drawn == n_tokens or not goes_on_L.any():
                break
            memory.go_on_with(goes_on_L)
            place_L, token_L = place_L[goes_on_L], token_L[goes_on_L]
            position_L = torch.tensor(lengths)[memory.prompt_L] + n_drawn - 1
            hidden_LH = self.follow(token_L, position_L, memory)
        return sampled

    def follow(self, token_L: Tensor, position_L: Tensor, memory: AnswerMemory) -> Tensor:
        """Return what the model computes at the next token of every answer, shape (L, H)."""
        hidden_L1H = self._body(token_L[:, None], position_L[:, None], memory)
        memory.end_token()
        return hidden_L1H[:, 0]

    def read(self, prompts: Sequence[Sequence[int]], memory: AnswerMemory) -> Tensor:
        """Return what the model computes at the last token of each prompt, shape (U, H)."""
        lengths = [len(ids) for ids in prompts]
        last: dict[int, Tensor] = {}
        for rows in cut_by_tokens(lengths, budget=_PROMPT_TOKENS):
            width = max(lengths[row] for row in rows)
            ids = torch.tensor([[*prompts[row], *[self.pad_id] * (width - lengths[row])] for row in rows])
            positions = torch.arange(width).expand(len(rows), -1)
            is_seen = torch.ones((width, width), dtype=torch.bool).tril().expand(len(rows), 1, -1, -1)
            memory.read(rows)
            hidden_RTH = self._body(ids, positions, memory, is_seen)
            last.update((row, hidden_RTH[i, lengths[row] - 1]) for i, row in enumerate(rows))
        return torch.stack([last[row] for row in range(len(prompts))])

    def _body(
        self, ids: Tensor, positions: Tensor, memory: AnswerMemory, is_seen: Tensor | None = None
    ) -> Tensor:
        body = cast(Any, self.model).base_model
        return body(
            input_ids=ids, position_ids=positions, attention_mask=is_seen, use_cache=False, memory=memory
        ).last_hidden_state


def sampler_of(policy: "PreTrainedModel", *, is_bf16: bool, pad_id: int) -> Sampler | None:
    """Return a sampler with the weights of `policy`; None if its attention cannot be replaced.

    An architecture may have an attention of its own, so it is tried.
    """
    twin = cast(Any, copy.deepcopy(inner_model(policy)))
    # a head that a trainer has put on the policy is bound to the policy, also in the copy
    twin.__dict__.pop("forward", None)
    twin = twin.float().eval()  # tried before it is rounded
    prompts, answers_BT = [[3, 4, 5, 6], [7, 8]], torch.tensor([[7, 8, 9], [10, 9, 11], [3, 4, 5]])
    texts = [[*prompts[owner], *answer] for owner, answer in zip((0, 0, 1), answers_BT.tolist(), strict=True)]
    try:
        with torch.no_grad():
            plain = [twin.base_model(torch.tensor([text])).last_hidden_state[0, -1] for text in texts]
            twin.set_attn_implementation(ATTENTION)
            sampler = Sampler(twin, pad_id)
            memory = AnswerMemory([4, 2], [2, 1], n_tokens=3)
            sampler.read(prompts, memory)
            found_LH = torch.empty(0)
            for number, token_L in enumerate(answers_BT.T):
                found_LH = sampler.follow(token_L, torch.tensor([4, 4, 2]) + number, memory)
    except (ValueError, RuntimeError, TypeError, AttributeError, KeyError):
        return None
    agrees = torch.allclose(found_LH, torch.stack(plain), rtol=_TOLERANCE, atol=_TOLERANCE)
    if not agrees:
        return None
    return Sampler(twin.to(torch.bfloat16), pad_id) if is_bf16 else sampler


def draw(logits_LV: Tensor) -> tuple[Tensor, Tensor]:
    """Return a token for each row, drawn from its distribution, and the token's log-probability."""
    logprob_LV = logits_LV.log_softmax(-1)
    upto_LV = logprob_LV.exp().cumsum(-1)
    point_L1 = torch.rand((len(upto_LV), 1)) * upto_LV[:, -1:]
    token_L1 = torch.searchsorted(upto_LV, point_L1, right=True).clamp(max=upto_LV.shape[1] - 1)
    return token_L1[:, 0], logprob_LV.gather(1, token_L1)[:, 0]
