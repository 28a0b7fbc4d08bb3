"""A tokenizer as the transformers engine needs it: messages to ids, and ids to the text they add.

Paper: none.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from publius.training.chat import codec_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_N_ANCHOR = 4  # prompt tokens that give the first token of an answer its context when it is decoded


class Vocabulary:
    """A tokenizer, with its chat template if it has one. `codec` encodes; `end_ids` end a turn."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = cast(Any, tokenizer)  # transformers leaves these methods loosely typed
        self.codec = codec_of(tokenizer)
        self.end_ids = frozenset(self.codec.end_ids)
        self.pad_id = int(self._tokenizer.pad_token_id)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids` without control tokens."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def text_after(self, prompt_ids: Sequence[int], ids: Sequence[int]) -> str:
        """Return the text that `ids` add to a prompt.

        Some tokenizers drop the space that opens a text, so a few tokens of the prompt are decoded too.
        """
        anchor = list(prompt_ids[-_N_ANCHOR:])
        before, whole = self.decode(anchor), self.decode([*anchor, *ids])
        return whole[len(before) :] if whole.startswith(before) else self.decode(ids)
