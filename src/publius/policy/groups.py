"""Which answers of a step belong to one prompt, and which groups are computed together.

Paper: none.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from publius.training.batches import cut_by_tokens


class Group(NamedTuple):
    """A prompt, answers to it as token ids, and their places in the step's batch."""

    prompt_ids: tuple[int, ...]
    answers: tuple[list[int], ...]
    places: tuple[int, ...]

    @property
    def n_answer_tokens(self) -> int:
        """The tokens of all answers."""
        return sum(map(len, self.answers))

    @property
    def n_tokens(self) -> int:
        """The tokens of the row, the prompt counted once."""
        return len(self.prompt_ids) + self.n_answer_tokens

    def halves(self) -> "list[Group]":
        """Return two groups of half as many answers."""
        middle = len(self.answers) // 2
        return [
            Group(self.prompt_ids, self.answers[:middle], self.places[:middle]),
            Group(self.prompt_ids, self.answers[middle:], self.places[middle:]),
        ]


def groups_of(
    input_ids_BT: Tensor, mask_BT: Tensor, n_answer_tokens: int, *, together: bool = True
) -> list[Group]:
    """Return the answers by prompt, or every answer alone where they cannot be computed `together`.

    A batch has prompts padded on the left, then answers padded on the right. Prompts and answers are
    sorted: the policy and its reference then compute the same rows, and before the first step their
    log-probabilities are equal to the last bit, so that the KL is exactly 0.
    """
    found: list[tuple[tuple[int, ...], list[int], int]] = []
    for place, (ids_T, mask_T) in enumerate(zip(input_ids_BT, mask_BT.bool(), strict=True)):
        before: list[int] = ids_T[:-n_answer_tokens][mask_T[:-n_answer_tokens]].tolist()
        answered: list[int] = ids_T[-n_answer_tokens:][mask_T[-n_answer_tokens:]].tolist()
        found.append((tuple(before), answered, place))
    if not together:
        return [Group(prompt_ids, (answer_ids,), (place,)) for prompt_ids, answer_ids, place in sorted(found)]
    members: dict[tuple[int, ...], list[tuple[list[int], int]]] = {}
    for prompt_ids, answer_ids, place in sorted(found):
        members.setdefault(prompt_ids, []).append((answer_ids, place))
    return [
        Group(prompt_ids, tuple(answer_ids for answer_ids, _ in own), tuple(place for _, place in own))
        for prompt_ids, own in members.items()
    ]


def cut_groups(groups: Sequence[Group], *, budget: int, n_least: int = 1) -> list[list[Group]]:
    """Return the groups in parts of like length that take at most `budget` tokens, padding counted.

    A group longer than that is a part of its own. There are at least `n_least` parts, if there are as many
    answers: groups are halved for it.
    """
    whole = list(groups)
    while len(whole) < n_least and any(len(group.answers) > 1 for group in whole):
        largest = max(range(len(whole)), key=lambda i: len(whole[i].answers))
        whole[largest : largest + 1] = whole[largest].halves()
    cut = cut_by_tokens([group.n_tokens for group in whole], budget=budget, n_least=n_least)
    return [[whole[i] for i in sorted(part)] for part in cut]
