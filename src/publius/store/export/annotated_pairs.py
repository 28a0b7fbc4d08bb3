"""AnnotatedPairs 2.0: one JSON document with what every annotator, and so every principle, said of each pair.

The format is that of ICAI 0.4.8 (`annotated_pairs_format.py`, README "annotated-pairs"), which Feedback
Forensics 0.4 opens. `metadata` stands first, as its readers expect; the annotators come last, since only
then is it known who they are. A pair keeps its own order of A and B.

- The default annotator is the label itself: the side it is on, its `prob_a` beside it. Its id is the one that
  Feedback Forensics looks for. Its type is "human" when people gave all labels, else "unknown".
- A principle is an annotator of type "principle", once for each constitution it was asked under, and
  described by its statement. Its side is that of its own votes, each order weighing the same.
- No side is `"pref": null` with a reason: "tie" for one half (ours), "invalid" where nothing was
  readable.
- `prompt` is the user's text; a longer conversation is written as headed paragraphs.

Paper: Findeis et al. 2024, arXiv:2406.06560 (inverse constitutional AI).
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from publius.records import Conversation, Preference, Unparsed, Vote, content_hash
from publius.store.export.provenance import is_tie, mean, prob_in_order
from publius.store.export.write import json_text
from publius.store.files import open_atomic

PrincipleKey: TypeAlias = tuple[str | None, str]  # constitution hash, principle id

VERSION = "2.0"
DEFAULT_ANNOTATOR = "ba751e7b"  # the reference column of Feedback Forensics, whatever a file says
_METADATA_KEYS = ("prompt_id", "origin", "judge", "constitution_sha")


@dataclass(frozen=True, slots=True)
class About:
    """What a document says of itself: its name, when it was written (ISO 8601), and its principles' texts."""

    name: str
    created_at: str
    principles: Mapping[PrincipleKey, str]


@contextmanager
def annotated_pairs_file(
    path: Path, about: About
) -> Generator[Callable[[Preference, Mapping[str, Any]], None]]:
    """Open a document; the block is given what writes a preference and its `comparison_entry`.

    Raises:
        StoreError: The disk is full or cannot be written.
    """
    origins = Counter[str]()
    principles: set[PrincipleKey] = set()
    with open_atomic(path) as file:

        def write(preference: Preference, entry: Mapping[str, Any]) -> None:
            before = ",\n" if origins else ""
            file.write((before + json_text(entry)).encode("utf-8"))
            origins[preference.origin] += 1
            principles.update((preference.constitution_hash, vote.principle_id) for vote in preference.votes)

        head = f'{{"metadata":{json_text(_metadata(about))},\n"comparisons":[\n'
        file.write(head.encode("utf-8"))
        yield write
        annotators = _annotators(principles, about, all_human=set(origins) == {"human"})
        # readers take every annotator for a column, and fail on one that no comparison has
        file.write(f'],\n"annotators":{json_text(annotators if origins else {})}}}\n'.encode())


def comparison_entry(preference: Preference) -> dict[str, Any]:
    """Return one element of `comparisons`; A and B stand as in the preference."""
    comparison = preference.comparison
    hash = preference.constitution_hash
    by_principle: dict[str, list[Vote | Unparsed]] = {}
    for vote in preference.votes:
        by_principle.setdefault(vote.principle_id, []).append(vote)
    given = (comparison.prompt_id, preference.origin, preference.judge, hash)
    return {
        "id": comparison.id,
        "prompt": prompt_text(comparison.messages),
        "response_a": {"text": comparison.answer_a, "model": comparison.source_a},
        "response_b": {"text": comparison.answer_b, "model": comparison.source_b},
        "annotations": {
            DEFAULT_ANNOTATOR: side(preference.prob_a),
            **{annotator_id((hash, id)): _votes_entry(votes) for id, votes in by_principle.items()},
        },
        "metadata": {
            key: value for key, value in zip(_METADATA_KEYS, given, strict=True) if value is not None
        },
    }


def side(prob_a: float | None) -> dict[str, Any]:
    """Return the annotation of a label: its side, or null with the reason.

    >>> side(0.25)
    {'pref': 'b', 'prob_a': 0.25}
    >>> side(None)
    {'pref': None, 'no_pref_reason': 'invalid'}
    """
    if prob_a is None:
        return {"pref": None, "no_pref_reason": "invalid"}
    if is_tie(prob_a):
        return {"pref": None, "no_pref_reason": "tie", "prob_a": prob_a}
    return {"pref": "a" if prob_a > 0.5 else "b", "prob_a": prob_a}


def annotator_id(principle: PrincipleKey) -> str:
    """Return the eight characters that name a principle in a document."""
    return content_hash(list(principle)).removeprefix("sha256:")[:8]


def prompt_text(messages: Conversation) -> str:
    """Return a conversation as one text; a single turn is its own text.

    >>> from publius.records import conversation
    >>> prompt_text(conversation(("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")))
    '### user:\\nHi\\n\\n### assistant:\\nHello\\n\\n### user:\\nBye'
    """
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"### {message.role}:\n{message.content}" for message in messages)


def _votes_entry(votes: Sequence[Vote | Unparsed]) -> dict[str, Any]:
    """Return a principle's annotation: the mean over orders, and the votes behind it."""
    by_order = {order: prob_in_order(votes, a_first=order) for order in (True, False, None)}
    entry = side(mean([prob for prob in by_order.values() if prob is not None]))
    for name, order in (("p_ab", True), ("p_ba", False)):
        if by_order[order] is not None:
            entry[name] = by_order[order]
    mass = mean([vote.label_mass for vote in votes if isinstance(vote, Vote)])
    return entry if mass is None else {**entry, "label_mass": mass}


def _metadata(about: About) -> dict[str, Any]:
    return {
        "version": VERSION,
        "description": "Comparisons labelled by Publius under a constitution, with each principle's vote",
        "created_at": about.created_at,
        "dataset_name": about.name,
        "default_annotator": DEFAULT_ANNOTATOR,
        "available_metadata_keys_per_comparison": list(_METADATA_KEYS),
    }


def _annotators(principles: set[PrincipleKey], about: About, *, all_human: bool) -> dict[str, Any]:
    default = {
        "name": "label",
        "description": "The label that is trained on: the side on which prob_a lies",
        "type": "human" if all_human else "unknown",
    }
    found = {
        annotator_id(key): {
            "name": key[1],
            "description": about.principles.get(key, key[1]),
            "type": "principle",
        }
        for key in sorted(principles, key=lambda key: (key[0] or "", key[1]))
    }
    return {DEFAULT_ANNOTATOR: default, **found}
