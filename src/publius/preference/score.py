"""Score conversations with a trained preference model.

A conversation whose prompt and answer do not fit into the context, or that the model's template refuses,
has no reward: it is refused by itself (`Unscored`) and never cut, since the reward of half an answer would
be wrong without notice.

Paper: Bai et al. 2022, arXiv:2204.05862 (P(A≻B) = σ(r_A − r_B)).
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from publius.errors import DataError
from publius.preference.scale import SCALE_FILE, Ending, RewardScale, read_scale, scale_of
from publius.records import Conversation
from publius.training.chat import (
    ChatCodec,
    EncodedAnswer,
    codec_of,
    encode_messages,
    encode_messages_with_answer,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from publius.training.shared_prompt import Siblings

# of a row and of a batch, padding counted: attention's mask takes a multiple of rows × tokens² bytes
_MOST_TOKENS = 8192

__all__ = [
    "SCALE_FILE",
    "PreferenceModel",
    "RewardScale",
    "Unscored",
    "read_scale",
    "scale_of",
    "wrap",
]


@dataclass(frozen=True, slots=True)
class Unscored:
    """Why a conversation has no reward."""

    kind: Literal["too long", "not a conversation"]
    reason: str


@dataclass(frozen=True, slots=True)
class PreferenceModel:
    """A loaded preference model. `max_length` is in tokens, prompt and answer together.

    `prefix` is put before every conversation (see `prompted`); `ending` says after which token the reward
    is read (see `RewardScale`). A model without `has_score_head` is asked one text at a time.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    scale: RewardScale | None
    shares_prompts: bool
    max_length: int
    prefix: Conversation = ()
    ending: Ending = "turn"
    has_score_head: bool = True

    @classmethod
    def load(cls, path: Path) -> "PreferenceModel":
        """Return the preference model in a directory (see `loading.load_preference_model`)."""
        from publius.preference.loading import load_preference_model

        return load_preference_model(path)

    def score(self, conversations: Sequence[Conversation], *, batch_size: int = 16) -> list[float]:
        """Return the reward of each conversation's last message (the assistant's), in the order given.

        Answers to the same prompt are computed together. `batch_size` is answers at a time; fewer where
        they are long.

        Raises:
            DataError: A conversation does not end with the assistant's turn or is longer than `max_length`
                tokens; a reward is not a number.
        """
        rewards = self.score_each(conversations, batch_size=batch_size)
        for i, reward in enumerate(rewards):
            if isinstance(reward, Unscored):
                raise DataError(
                    f"conversation {i}: {reward.reason}",
                    todo="shorten it; a reward of half an answer would be wrong without notice"
                    if reward.kind == "too long"
                    else "end the conversation with the assistant's answer",
                )
        return cast(list[float], rewards)

    def score_each(
        self, conversations: Sequence[Conversation], *, batch_size: int = 16
    ) -> list[float | Unscored]:
        """Return the rewards as `score` does, and for what cannot be scored the reason in its place.

        Raises:
            DataError: A reward is not a number, or the tokenizer has no chat template.
        """
        return self.score_encoded(self.encode_each(conversations), batch_size=batch_size)

    def encode_each(self, conversations: Sequence[Conversation]) -> list[EncodedAnswer | Unscored]:
        """Return the token ids of prompt and answer, the prefix included, or why there are none.

        Raises:
            DataError: The tokenizer has no chat template.
        """
        codec = codec_of(self.tokenizer)
        return [self._encode(conversation, codec) for conversation in conversations]

    def score_encoded(
        self, encoded: Sequence[EncodedAnswer | Unscored], *, batch_size: int = 16
    ) -> list[float | Unscored]:
        """Return what `score_each` does, of what `encode_each` gave."""
        found: list[float | Unscored] = [
            one if isinstance(one, Unscored) else math.nan  # filled in below
            for one in encoded
        ]
        rows, places = _siblings(encoded, batch_size=batch_size)
        for place, values in zip(places, self.score_ids(rows, batch_size=batch_size), strict=True):
            for i, value in zip(place, values, strict=True):
                found[i] = value
        return found

    def _encode(self, conversation: Conversation, codec: ChatCodec) -> EncodedAnswer | Unscored:
        try:
            encoded = _encode(codec, with_prefix(conversation, self.prefix), ending=self.ending)
        except DataError as error:
            return Unscored("not a conversation", error.what)
        n_tokens = len(encoded.prompt_ids) + len(encoded.answer_ids)
        if n_tokens > self.max_length:
            reason = f"it has {n_tokens} tokens, and the preference model takes {self.max_length}"
            return Unscored("too long", reason)
        # transformers reads a saved model at the last token that is not its padding
        pad_id = cast(Any, self.model).config.get_text_config().pad_token_id
        return encoded if pad_id is None else _without_trailing(encoded, pad_id)

    def score_ids(self, rows: "Sequence[Siblings]", *, batch_size: int = 16) -> list[tuple[float, ...]]:
        """Return the rewards of each row's answers; rows of like length are computed together.

        Raises:
            DataError: A reward is not a number.
        """
        rewards: dict[int, tuple[float, ...]] = {}
        for batch in _batches(rows, batch_size=batch_size):
            values = iter(self._rewards([rows[i] for i in batch]))
            rewards.update((i, tuple(next(values) for _ in rows[i].answers)) for i in batch)
        if not all(math.isfinite(value) for values in rewards.values() for value in values):
            raise DataError("the preference model gives rewards that are not numbers", todo="train it again")
        return [rewards[i] for i in range(len(rows))]

    def _rewards(self, rows: "Sequence[Siblings]") -> list[float]:
        import torch

        from publius.preference.model import collate

        model = cast(Any, self.model)
        with torch.inference_mode():
            if not self.has_score_head:
                texts = [[*row.prompt_ids, *answer] for row in rows for answer in row.answers]
                return [
                    model(input_ids=torch.tensor([text], device=model.device)).logits[0, 0].item()
                    for text in texts
                ]
            pad_id = cast("int | None", self.tokenizer.pad_token_id) or 0  # masked: any id will do
            batch = collate(rows, pad_id=pad_id, shares=self.shares_prompts)
            on_device = {name: tensor.to(model.device) for name, tensor in batch.items()}
            return model(**on_device)["rewards_N"].float().tolist()


def wrap(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    *,
    scale: RewardScale | None,
    ending: Ending = "turn",
) -> PreferenceModel:
    """Return a preference model ready to score, from a model and a tokenizer in memory."""
    from torch import nn

    from publius.preference.model import use_shared_prompts
    from publius.training.shared_prompt import can_share_prompts

    has_score_head = isinstance(getattr(model, "score", None), nn.Module)
    shares = has_score_head and can_share_prompts(model)
    if has_score_head:
        use_shared_prompts(model)
    config = cast(Any, model).config.get_text_config()
    max_length = int(getattr(config, "max_position_embeddings", 0) or tokenizer.model_max_length)
    return PreferenceModel(
        model.eval(),
        tokenizer,
        scale,
        shares,
        max_length,
        ending=ending,
        has_score_head=has_score_head,
    )


def with_prefix(conversation: Conversation, prefix: Conversation) -> Conversation:
    """Return the conversation with the prefix before its first turn, after a system message.

    >>> from publius.records import conversation
    >>> with_prefix(conversation(("system", "s"), ("user", "u")), conversation(("user", "p")))[1].content
    'p'
    """
    n_system = 1 if conversation and conversation[0].role == "system" else 0
    return (*conversation[:n_system], *prefix, *conversation[n_system:])


def _encode(codec: ChatCodec, messages: Conversation, *, ending: Ending) -> EncodedAnswer:
    if ending == "turn":
        return encode_messages_with_answer(codec, messages)
    if not messages or messages[-1].role != "assistant":
        raise DataError("the last message must be the assistant's")
    prompt_ids = encode_messages(codec, messages[:-1])
    ids = encode_messages(codec, messages, add_generation_prompt=False)
    pairs = zip(prompt_ids, ids[:-1], strict=False)  # the answer keeps one token at least
    n_shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return EncodedAnswer(ids[:n_shared], ids[n_shared:])


def _without_trailing(encoded: EncodedAnswer, pad_id: int) -> EncodedAnswer:
    prompt_ids, answer_ids = list(encoded.prompt_ids), list(encoded.answer_ids)
    while answer_ids and answer_ids[-1] == pad_id:
        answer_ids.pop()
    if not answer_ids:  # all of the answer is padding: the model is read at the end of the prompt
        prompt_ids, answer_ids = prompt_ids[:-1], prompt_ids[-1:]
    return EncodedAnswer(prompt_ids, answer_ids)


def _siblings(
    encoded: "Sequence[EncodedAnswer | Unscored]", *, batch_size: int
) -> "tuple[list[Siblings], list[list[int]]]":
    """Return the answers by prompt, and where each of them stood.

    A prompt with more answers than `batch_size`, or with more tokens than memory allows, gets several rows.
    """
    from publius.training.shared_prompt import Siblings

    by_prompt: dict[tuple[int, ...], list[int]] = defaultdict(list)
    answers: dict[int, list[int]] = {}
    for i, one in enumerate(encoded):
        if not isinstance(one, Unscored):
            by_prompt[tuple(one.prompt_ids)].append(i)
            answers[i] = one.answer_ids
    rows: list[Siblings] = []
    places: list[list[int]] = []
    for prompt_ids, numbers in by_prompt.items():
        room = _MOST_TOKENS - len(prompt_ids)
        for place in _cut(numbers, [len(answers[i]) for i in numbers], most=batch_size, room=room):
            rows.append(Siblings(prompt_ids, [answers[i] for i in place]))
            places.append(place)
    return rows, places


def _cut(numbers: Sequence[int], lengths: Sequence[int], *, most: int, room: int) -> list[list[int]]:
    """Return the numbers in order, cut into parts of at most `most` whose lengths fit into `room`.

    >>> _cut([4, 5, 6, 7], [3, 3, 3, 9], most=2, room=8)
    [[4, 5], [6], [7]]
    """
    parts: list[list[int]] = []
    used = 0
    for number, length in zip(numbers, lengths, strict=True):
        if not parts or len(parts[-1]) == most or used + length > room:
            parts.append([])
            used = 0
        parts[-1].append(number)
        used += length
    return parts


def _batches(rows: "Sequence[Siblings]", *, batch_size: int) -> list[list[int]]:
    """Return row indices in batches of about `batch_size` answers, rows of like length together."""
    lengths = [len(row.prompt_ids) + sum(map(len, row.answers)) for row in rows]
    batches: list[list[int]] = []
    n_answers = batch_size
    for i in sorted(range(len(rows)), key=lambda i: lengths[i]):
        n_answers += len(rows[i].answers)
        # rows come from short to long: this one is the batch's width
        if n_answers > batch_size or (len(batches[-1]) + 1) * lengths[i] > _MOST_TOKENS:
            batches.append([])
            n_answers = len(rows[i].answers)
        batches[-1].append(i)
    return batches
