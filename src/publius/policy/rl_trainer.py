"""TRL's GRPO trainer with our chat encoding and with prompts that are computed once for their answers.

Paper: Shao et al. 2024, arXiv:2402.03300, §4.1 (GRPO); TRL's defaults otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer

from publius.policy.rollout import Sampler, sampler_of
from publius.records import Message
from publius.training.answer_head import TokenScores, score_siblings, use_answer_head
from publius.training.chat import encode_chat
from publius.training.shared_prompt import Siblings, can_share_prompts


class PolicyTrainer(GRPOTrainer):
    """A `GRPOTrainer` to which control strings in prompts are text.

    Call `share_prompts` once it is built: log-probabilities are then computed over rows of siblings where
    model and device allow it (4 answers of 48 tokens to a prompt of 60: 58 % of the tokens), and answers
    are sampled from a copy of the policy.
    """

    _shares = False
    _sampler: Sampler | None = None

    def share_prompts(self) -> None:
        """Put the lean head on the policy and on its reference, and share prompts if both can."""
        models = [cast(Any, model) for model in (self.model, self.ref_model) if model is not None]
        has_heads = [use_answer_head(model, temperature=self.temperature) for model in models]
        self._shares = all(has_heads) and all(can_share_prompts(model) for model in models)
        if self._shares:
            self._sampler = sampler_of(models[0], is_bf16=bool(self.args.bf16), pad_id=self._pad_id)

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
        end_ids = cast("list[int]", self.eos_token_ids)
        return self._sampler.sample(prompt_ids, generation=self.generation_config, end_ids=end_ids), None

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
        if not self._shares:
            return super()._get_per_token_logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size=batch_size,
                compute_entropy=compute_entropy,
                **kwargs,
            )
        logprob_BC = input_ids.new_zeros((len(input_ids), logits_to_keep), dtype=torch.float32)
        entropy_BC = torch.zeros_like(logprob_BC)
        groups = _group(input_ids, attention_mask, logits_to_keep)
        for rows, places in _chunks(groups, batch_size or len(input_ids)):
            with self.accelerator.autocast():
                scores = score_siblings(model, rows, pad_id=self._pad_id)
            mask_BC = torch.zeros_like(logprob_BC, dtype=torch.bool)
            lengths = [len(answer) for row in rows for answer in row.answers]
            for place, length in zip(places, lengths, strict=True):
                mask_BC[place, :length] = True
            # answers were computed group by group; the mask reads them row by row
            by_place = _reorder(scores, lengths, places)
            logprob_BC = logprob_BC.masked_scatter(mask_BC, by_place.logprob_N.float())
            entropy_BC = entropy_BC.masked_scatter(mask_BC, by_place.entropy_N.float())
        return logprob_BC, entropy_BC if compute_entropy else None, None


def _group(
    input_ids_BT: Tensor, mask_BT: Tensor, n_answer_tokens: int
) -> dict[tuple[int, ...], list[tuple[int, list[int]]]]:
    """Return, for every prompt, the places in the batch of its answers and their tokens.

    Prompts and answers are sorted: the policy and its reference then compute the same rows, and before
    the first step their log-probabilities are equal to the last bit, so that the KL is exactly 0.
    """
    groups: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}
    for place, (ids_T, mask_T) in enumerate(zip(input_ids_BT, mask_BT.bool(), strict=True)):
        prompt_ids: list[int] = ids_T[:-n_answer_tokens][mask_T[:-n_answer_tokens]].tolist()
        answer_ids: list[int] = ids_T[-n_answer_tokens:][mask_T[-n_answer_tokens:]].tolist()
        groups.setdefault(tuple(prompt_ids), []).append((place, answer_ids))
    return {
        prompt_ids: sorted(groups[prompt_ids], key=lambda member: member[1]) for prompt_ids in sorted(groups)
    }


def _chunks(
    groups: Mapping[tuple[int, ...], Sequence[tuple[int, list[int]]]], n_answers: int
) -> list[tuple[list[Siblings], list[int]]]:
    """Return rows of siblings in chunks of about `n_answers` answers, each with its answers' places."""
    chunks: list[tuple[list[Siblings], list[int]]] = []
    for prompt_ids, members in groups.items():
        if not chunks or len(chunks[-1][1]) + len(members) > n_answers:
            chunks.append(([], []))
        rows, places = chunks[-1]
        rows.append(Siblings(prompt_ids, [answer_ids for _, answer_ids in members]))
        places += [place for place, _ in members]
    return chunks


def _reorder(scores: TokenScores, lengths: Sequence[int], places: Sequence[int]) -> TokenScores:
    """Return the scores with the answers in the order of their places in the batch."""
    order = sorted(range(len(places)), key=lambda i: places[i])

    def sort(values_N: Tensor) -> Tensor:
        parts = values_N.split(list(lengths))
        return torch.cat([parts[i] for i in order])

    return TokenScores(sort(scores.logprob_N), sort(scores.entropy_N))
