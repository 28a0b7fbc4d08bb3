"""Turn preferences into token ids, and say which ones cannot be trained on.

Paper: none.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from publius.records import Comparison, Message, Preference, Split, content_hash, split_of
from publius.training.chat import encode_answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class PMRow(NamedTuple):
    """A comparison as token ids, each answer ending with the end of turn, and its soft label."""

    prompt_ids: list[int]
    a_ids: list[int]
    b_ids: list[int]
    prob_a: float
    origin: str
    prompt_id: str

    @property
    def n_tokens(self) -> int:
        """The tokens of the row with the prompt counted once."""
        return len(self.prompt_ids) + len(self.a_ids) + len(self.b_ids)


class PMRows(NamedTuple):
    """Rows to train on, rows held out, and how many were left out for which reason."""

    train: list[PMRow]
    held_out: list[PMRow]
    skipped: Counter[str]


def pm_rows(
    tokenizer: "PreTrainedTokenizerBase", preferences: Sequence[Preference], *, max_length: int
) -> PMRows:
    """Return the preferences as rows, split by the hash of the prompt's text.

    Left out and counted: no label, identical answers, and a prompt with an answer over `max_length`.
    """
    rows: dict[Split, list[PMRow]] = {"train": [], "held-out": []}
    skipped: Counter[str] = Counter()
    for preference in preferences:
        comparison = preference.comparison
        if preference.prob_a is None:
            skipped["no label"] += 1
            continue
        if comparison.answer_a.strip() == comparison.answer_b.strip():
            skipped["identical answers"] += 1
            continue
        row = _row(tokenizer, comparison, prob_a=preference.prob_a, origin=preference.origin)
        if len(row.prompt_ids) + max(len(row.a_ids), len(row.b_ids)) > max_length:
            skipped[f"longer than {max_length} tokens"] += 1
            continue
        # by the text: two sources may give one prompt two ids
        rows[split_of(content_hash(comparison.messages))].append(row)
    return PMRows(rows["train"], rows["held-out"], skipped)


def _row(
    tokenizer: "PreTrainedTokenizerBase", comparison: Comparison, *, prob_a: float, origin: str
) -> PMRow:
    prompt_ids, a_ids = encode_answer(
        tokenizer, (*comparison.messages, Message("assistant", comparison.answer_a))
    )
    _, b_ids = encode_answer(tokenizer, (*comparison.messages, Message("assistant", comparison.answer_b)))
    return PMRow(prompt_ids, a_ids, b_ids, prob_a, origin, content_hash(comparison.messages))
