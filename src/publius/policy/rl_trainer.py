"""What TRL's trainers of GRPO and RLOO share here: chat encoding, sampling, and prompts computed once.

A step is computed in parts that fit into memory: whole groups of answers with their prompt, so that parts
share prompts and their gradients add up to the step's.

Paper: none.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from publius.policy.groups import Group, cut_groups, groups_of
from publius.policy.rollout import Sampler, sampler_of
from publius.records import Message
from publius.training.answer_head import TokenScores, score_siblings, use_answer_head
from publius.training.chat import encode_chat
from publius.training.lora import inner_model
from publius.training.parts import cut_alike, each_part
from publius.training.recomputation import keep_activations
from publius.training.shared_prompt import Siblings, can_share_prompts

if TYPE_CHECKING:
    from trl.trainer.grpo_trainer import GRPOTrainer as _Trainer
else:
    _Trainer = object  # TRL's GRPO or RLOO trainer, in which what is called here is the same

BEYOND = 0.5
"""Nats by which a token's log-probability as sampled and as trained may differ and not be counted."""


class PolicyTrainer(_Trainer):
    """Goes before TRL's trainer among the bases; control strings in prompts are text to it.

    Call `share_prompts` once it is built: log-probabilities are then computed over rows of siblings where
    model and device allow it (4 answers of 48 tokens to a prompt of 60: 58 % of the tokens), and answers
    are sampled from a copy of the policy.
    """

    tokens_in_memory: int = 1200
    _means: tuple[str, ...] = ("entropy",)  # what the log shows of TRL's means over a part's tokens
    _shares = False
    _sampler: Sampler | None = None
    _sampled_BC: Tensor | None = None
    _share = 1.0
    _apart: Tensor  # how many tokens were compared, the sum of their differences, how many are beyond

    def share_prompts(self, *, samples: bool = True) -> None:
        """Put the lean head on the policy and on its reference, and share prompts if both can."""
        models = [inner_model(model) for model in (self.model, self.ref_model) if model is not None]
        has_heads = [use_answer_head(model, temperature=self.temperature) for model in models]
        self._shares = all(has_heads) and all(can_share_prompts(model) for model in models)
        if self._shares and samples:
            self._sampler = sampler_of(
                cast(Any, self.model), is_bf16=bool(self.args.bf16), pad_id=self._pad_id
            )
        self._forget_apart()

    @property
    def _pad_id(self) -> int:
        return cast(int, self._tokenizer.pad_token_id)

    def _tokenize_prompts(self, prompts: Sequence[Sequence[Mapping[str, str]]]) -> Any:
        messages = [[Message(cast(Any, m["role"]), m["content"]) for m in prompt] for prompt in prompts]
        tokenizer = cast(Any, self.processing_class)
        return [encode_chat(tokenizer, conversation) for conversation in messages], None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        if self._sampler is None:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        self._sampler.refresh(cast(torch.nn.Module, self.accelerator.unwrap_model(self.model)))
        return self._sampler.sample(
            prompt_ids,
            n_tokens=cast(int, self.max_completion_length),
            temperature=self.temperature,
            end_ids=cast("list[int]", self.eos_token_ids),
        )

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        if isinstance(generation_batch, dict):  # a part of a step that is prepared
            return cast(Any, generation_batch)
        return super()._prepare_inputs(generation_batch)

    def training_step(
        self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Add up the gradients of a step's parts, and return its part of the step's loss."""
        model.train()
        step = cast("dict[str, Tensor]", self._prepare_inputs(inputs))
        number = self._step
        groups = self._groups(
            torch.cat([step["prompt_ids"], step["completion_ids"]], 1),
            torch.cat([step["prompt_mask"], step["completion_mask"]], 1),
            step["completion_ids"].shape[1],
        )
        parts = self._cut(groups)
        losses: list[Tensor] = []
        for part in each_part(parts, self.accelerator, model):
            n_tokens = len(part) * max(group.n_tokens for group in part)
            keep_activations(model, n_tokens=n_tokens, budget=self.tokens_in_memory)
            places = sorted(place for group in part for place in group.places)
            own = {name: value[places] if value.dim() else value for name, value in step.items()}
            self._share = self._share_of(own, step)
            losses.append(super().training_step(model, own, num_items_in_batch))
        self._step = number + 1  # TRL counts its calls to know when to sample again
        self._weigh_means([sum(group.n_answer_tokens for group in part) for part in parts])
        return torch.stack(losses).sum()

    def _compute_loss(self, model: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        self._sampled_BC = inputs.get("sampling_per_token_logps")
        return super()._compute_loss(model, inputs) * self._share

    def _share_of(self, part: dict[str, Tensor], step: dict[str, Tensor]) -> float:
        """Return what a part's loss weighs in the step's: TRL divides it by the answers in the part."""
        return len(part["completion_mask"]) / len(step["completion_mask"])

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        is_part = torch.is_grad_enabled()
        if self._shares:
            groups = self._groups(input_ids, attention_mask, logits_to_keep)
            parts = [groups] if is_part else self._cut(groups)
            found = self._score(model, parts, torch.zeros_like(input_ids[:, -logits_to_keep:]))
            found = (found[0], found[1] if compute_entropy else None, None)
        else:
            n_rows = max(1, self.tokens_in_memory // input_ids.shape[1])
            found = super()._get_per_token_logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size=None if is_part else n_rows,
                compute_entropy=compute_entropy,
                **kwargs,
            )
        if is_part and self._sampled_BC is not None:
            self._compare(found[0].detach(), attention_mask[:, -logits_to_keep:].bool())
        return found

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to a step's metrics how far the sampled and the trained log-probabilities are apart."""
        n, total, n_beyond = cast(Tensor, cast(Any, self.accelerator).reduce(self._apart)).tolist()
        if n:
            logs |= {"rollout_gap": total / n, "rollout_beyond": n_beyond / n}
        self._forget_apart()
        super().log(logs, start_time)

    def _groups(self, input_ids_BT: Tensor, mask_BT: Tensor, n_answer_tokens: int) -> list[Group]:
        return groups_of(input_ids_BT, mask_BT, n_answer_tokens, together=self._shares)

    def _cut(self, groups: Sequence[Group]) -> list[list[Group]]:
        """Return the parts of a step, as many in every process."""
        how = partial(cut_groups, groups, budget=self.tokens_in_memory)
        return cut_alike(lambda n_least: how(n_least=n_least), self.accelerator)

    def _score(
        self, model: torch.nn.Module, parts: Sequence[Sequence[Group]], empty_BC: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies of the answers' tokens, 0 beyond them."""
        logprob_BC = empty_BC.float()
        entropy_BC = torch.zeros_like(logprob_BC)
        for part in parts:
            rows = [Siblings(group.prompt_ids, group.answers) for group in part]
            with self.accelerator.autocast():
                scores = score_siblings(model, rows, pad_id=self._pad_id)
            lengths = [len(answer) for group in part for answer in group.answers]
            places = [place for group in part for place in group.places]
            mask_BC = torch.zeros_like(logprob_BC, dtype=torch.bool)
            for place, length in zip(places, lengths, strict=True):
                mask_BC[place, :length] = True
            # answers were computed group by group; the mask reads them row by row
            by_place = _reorder(scores, lengths, places)
            logprob_BC = logprob_BC.masked_scatter(mask_BC, by_place.logprob_N.float())
            entropy_BC = entropy_BC.masked_scatter(mask_BC, by_place.entropy_N.float())
        return logprob_BC, entropy_BC

    def _compare(self, trained_BC: Tensor, mask_BC: Tensor) -> None:
        """Add up how far a part's tokens are apart; vLLM may leave a log-probability out."""
        sampled_BC = cast(Tensor, self._sampled_BC)
        apart_N = (trained_BC - sampled_BC)[mask_BC & sampled_BC.isfinite()].abs().double()
        self._apart += torch.stack(
            [torch.tensor(float(len(apart_N))).to(apart_N), apart_N.sum(), (apart_N > BEYOND).sum()]
        )

    def _forget_apart(self) -> None:
        self._apart = torch.zeros(3, dtype=torch.float64, device=self.accelerator.device)

    def _weigh_means(self, n_tokens: Sequence[int]) -> None:
        """Make one mean over the step's tokens of TRL's means over each part's."""
        weights = torch.tensor(n_tokens, dtype=torch.float32, device=self.accelerator.device)
        weights = cast(Tensor, cast(Any, self.accelerator).reduce(weights))
        for name in self._means:
            values = self._metrics["train"].get(name)
            if values:
                own = torch.tensor(values[-len(n_tokens) :], device=weights.device)
                values[-len(n_tokens) :] = [((own * weights).sum() / weights.sum()).item()]


def _reorder(scores: TokenScores, lengths: Sequence[int], places: Sequence[int]) -> TokenScores:
    """Return the scores with the answers in the order of their places in the batch."""
    order = sorted(range(len(places)), key=lambda i: places[i])

    def sort(values_N: Tensor) -> Tensor:
        parts = values_N.split(list(lengths))
        return torch.cat([parts[i] for i in order])

    return TokenScores(sort(scores.logprob_N), sort(scores.entropy_N))
