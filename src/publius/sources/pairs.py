"""Make preferences of pairs whose better answer is known, and count the pairs that cannot be used.

Which answer becomes A is decided by a hash of the comparison's id, so that "A" is right in one half of
any set, on every machine, and a judge that always says A is at chance.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1; appendix B (the human comparisons).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from publius.errors import DataError
from publius.records import Comparison, Conversation, Preference, content_hash, derive_seed
from publius.sources.turns import prompt_id

Refusal: TypeAlias = Literal["prompts differ", "bad prompt", "identical", "empty"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A conversation that ends with the user's turn, and two answers of which one is better.

    `labels` name the better and the worse answer as their file does. `id` is None where none was given.
    """

    id: str | None
    messages: Conversation
    better: str
    worse: str
    labels: tuple[str, str]


@dataclass(frozen=True, slots=True)
class LoadedPreferences:
    """The preferences in the order of the source, and how many rows were left out and why.

    `n_prompts_differ`: the two answers do not answer the same prompt. `n_bad_prompt`: the prompt does not
    end with a user's turn, or has an empty turn. `n_identical`: both answers are the same. `n_empty`: an
    answer is empty. `n_duplicates`: the row repeats an earlier one.
    """

    preferences: tuple[Preference, ...]
    n_prompts_differ: int
    n_bad_prompt: int
    n_identical: int
    n_empty: int
    n_duplicates: int

    @property
    def n_rows(self) -> int:
        """How many rows the source had."""
        refused = self.n_prompts_differ + self.n_bad_prompt + self.n_identical + self.n_empty
        return len(self.preferences) + refused + self.n_duplicates


def check_pair(pair: Pair) -> Pair | Refusal:
    """Return the pair, or why it cannot be used."""
    if not pair.messages or pair.messages[-1].role != "user":
        return "bad prompt"
    if any(not message.content for message in pair.messages):
        return "bad prompt"
    if not pair.better or not pair.worse:
        return "empty"
    return "identical" if pair.better == pair.worse else pair


def collect(pairs: Iterable[tuple[str, Pair | Refusal]]) -> LoadedPreferences:
    """Return the preferences of `(where, pair or refusal)` rows, and the counts.

    Raises:
        DataError: An id was used for two different pairs.
    """
    preferences: list[Preference] = []
    refused: Counter[Refusal] = Counter()
    seen: set[str] = set()
    row_of_id: dict[str, str] = {}
    n_duplicates = 0
    for where, pair in pairs:
        if not isinstance(pair, Pair):
            refused[pair] += 1
            continue
        content = content_hash([pair.messages, pair.better, pair.worse])
        id = pair.id or content
        if content in seen:
            n_duplicates += 1
            continue
        if id in row_of_id:
            what = f"the id {id!r} was used before for another comparison, at {row_of_id[id]}"
            raise DataError(what, where=where, todo="give each comparison its own id, or none")
        seen.add(content)
        row_of_id[id] = where
        preferences.append(_place(id, pair))
    return LoadedPreferences(
        tuple(preferences),
        n_prompts_differ=refused["prompts differ"],
        n_bad_prompt=refused["bad prompt"],
        n_identical=refused["identical"],
        n_empty=refused["empty"],
        n_duplicates=n_duplicates,
    )


def _place(id: str, pair: Pair) -> Preference:
    """Return the human preference with the better answer as A or as B, by the hash of the id."""
    comparison = Comparison(
        id=id,
        prompt_id=prompt_id(pair.messages),
        messages=pair.messages,
        answer_a=pair.better,
        answer_b=pair.worse,
        source_a=pair.labels[0],
        source_b=pair.labels[1],
    )
    preference = Preference(
        comparison, prob_a=1.0, origin="human", judge=None, constitution_hash=None, votes=()
    )
    return preference if derive_seed(0, "placement", id) % 2 == 0 else preference.swap()
