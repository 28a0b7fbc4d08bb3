"""Which answer was preferred, how sure the label is, and where it came from: columns that formats share.

Readers ignore columns that they do not know. `p_ab` and `p_ba` are the judge's P(chosen is better) with the
chosen answer shown first and shown second, before any clamping; they are None where no such vote was read.

Parquet has them all. JSON Lines has no types, so `datasets` takes a column's from the first rows (10 MB), and
refuses a file whose column begins with nothing and goes on with something. There a column is always filled:
an empty text stands for none, and numbers that a row may lack are left out.

Paper: none.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from publius.records import Preference, Unparsed, Vote

TIE_MARGIN = 1e-9  # the mean of p and 1 − p is one half but for rounding

PROVENANCE: tuple[tuple[str, Any], ...] = (
    ("soft_label", pa.float64()),
    ("origin", pa.string()),
    ("judge", pa.string()),
    ("constitution_sha", pa.string()),
    ("principle_ids", pa.list_(pa.string())),
    ("label_mass", pa.float64()),
    ("p_ab", pa.float64()),
    ("p_ba", pa.float64()),
    ("chosen_from", pa.string()),
    ("rejected_from", pa.string()),
)

_NOT_ALWAYS = ("label_mass", "p_ab", "p_ba")
_EMPTY: Mapping[str, Any] = {"judge": "", "constitution_sha": "", "principle_ids": [""]}


def better_first(preference: Preference) -> Preference:
    """Return the preference with the preferred answer as A; a tie stays as it is."""
    return preference if preference.prob_a is None or preference.prob_a >= 0.5 else preference.swap()


def is_tie(prob: float) -> bool:
    """Return whether a label prefers neither answer.

    >>> is_tie(0.5 + 1e-16), is_tie(0.501)
    (True, False)
    """
    return abs(prob - 0.5) <= TIE_MARGIN


def provenance(better: Preference) -> Mapping[str, Any]:
    """Return the columns of `PROVENANCE` of a preference whose preferred answer is A."""
    readable = [vote for vote in better.votes if isinstance(vote, Vote)]
    return {
        "soft_label": better.prob_a,
        "origin": better.origin,
        "judge": better.judge,
        "constitution_sha": better.constitution_hash,
        "principle_ids": sorted({vote.principle_id for vote in better.votes}),
        "label_mass": mean([vote.label_mass for vote in readable]),
        "p_ab": prob_in_order(better.votes, a_first=True),
        "p_ba": prob_in_order(better.votes, a_first=False),
        "chosen_from": better.comparison.source_a,
        "rejected_from": better.comparison.source_b,
    }


def always_filled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for JSON Lines: without columns that a row may lack, an empty text for none.

    >>> always_filled({"id": "c", "judge": None, "principle_ids": [], "p_ab": 0.7})
    {'id': 'c', 'judge': '', 'principle_ids': ['']}
    """
    return {name: value or _EMPTY.get(name, value) for name, value in row.items() if name not in _NOT_ALWAYS}


def prob_in_order(votes: Sequence[Vote | Unparsed], *, a_first: bool | None) -> float | None:
    """Return the mean P(A is better) over the readable votes of one order, or None for none.

    >>> prob_in_order([Vote("p", True, -1.0, -1.0, 0.9)], a_first=True)
    0.5
    """
    own = [vote for vote in votes if isinstance(vote, Vote) and vote.a_first is a_first]
    return mean([1 / (1 + math.exp(min(vote.logprob_b - vote.logprob_a, 700.0))) for vote in own])


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None for no values.

    >>> mean([0.5, 1.0]), mean([])
    (0.75, None)
    """
    return math.fsum(values) / len(values) if values else None
