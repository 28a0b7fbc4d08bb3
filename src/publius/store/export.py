"""Exports for other tools: Parquet and JSONL in TRL's columns, plus provenance that TRL ignores.

`demonstrations`: `prompt`, `completion` (conversational). `preferences`: `prompt`, `chosen`,
`rejected`, with `soft_label` the probability that `chosen` is better. Preferences without a label are
left out here (there is nothing to learn from them) and counted by the caller.

Paper: none. Formats: TRL 1.16, "Dataset formats".
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from publius.records import Demonstration, Preference, Vote, canonical_json, encode
from publius.store.files import open_atomic

_ROWS_AT_ONCE = 1000  # a row group of the Parquet file
_TURNS: Any = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_DEMONSTRATIONS: Any = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", _TURNS),
        ("completion", _TURNS),
        ("origin", pa.string()),
        ("round", pa.int64()),
        ("principle_id", pa.string()),
    ]
)
_PREFERENCES: Any = pa.schema(
    [
        ("id", pa.string()),
        ("prompt_id", pa.string()),
        ("prompt", _TURNS),
        ("chosen", _TURNS),
        ("rejected", _TURNS),
        ("soft_label", pa.float64()),
        ("origin", pa.string()),
        ("judge", pa.string()),
        ("constitution_sha", pa.string()),
        ("principle_ids", pa.list_(pa.string())),
        ("label_mass", pa.float64()),
        ("chosen_from", pa.string()),
        ("rejected_from", pa.string()),
    ]
)


def export_demonstrations(folder: Path, demonstrations: Iterable[Demonstration]) -> int:
    """Write `demonstrations.parquet` and `.jsonl` and return the number of rows."""
    rows = (_demonstration_row(item) for item in demonstrations)
    return _write(folder / "demonstrations", rows, _DEMONSTRATIONS)


def export_preferences(folder: Path, preferences: Iterable[Preference]) -> int:
    """Write `preferences.parquet` and `.jsonl` and return the number of rows (labelled ones)."""
    rows = (_preference_row(item) for item in preferences if item.prob_a is not None)
    return _write(folder / "preferences", rows, _PREFERENCES)


def _demonstration_row(item: Demonstration) -> dict[str, Any]:
    return {
        "id": item.id,
        "prompt": encode(item.messages),
        "completion": [{"role": "assistant", "content": item.answer}],
        "origin": item.origin,
        "round": item.round,
        "principle_id": item.principle_id,
    }


def _preference_row(preference: Preference) -> dict[str, Any]:
    better = preference if (preference.prob_a or 0.0) >= 0.5 else preference.swap()
    votes = [vote for vote in better.votes if isinstance(vote, Vote)]
    comparison = better.comparison
    return {
        "id": comparison.id,
        "prompt_id": comparison.prompt_id,
        "prompt": encode(comparison.messages),
        "chosen": [{"role": "assistant", "content": comparison.answer_a}],
        "rejected": [{"role": "assistant", "content": comparison.answer_b}],
        "soft_label": better.prob_a,
        "origin": better.origin,
        "judge": better.judge,
        "constitution_sha": better.constitution_hash,
        "principle_ids": sorted({vote.principle_id for vote in better.votes}),
        "label_mass": sum(vote.label_mass for vote in votes) / len(votes) if votes else None,
        "chosen_from": comparison.source_a,
        "rejected_from": comparison.source_b,
    }


def _write(path: Path, rows: Iterable[dict[str, Any]], schema: Any) -> int:
    n = 0
    with ExitStack() as stack:
        lines = stack.enter_context(open_atomic(path.with_suffix(".jsonl")))
        columns = stack.enter_context(open_atomic(path.with_suffix(".parquet")))
        writer: Any = stack.enter_context(pq.ParquetWriter(columns, schema, compression="zstd"))
        for part in _parts(rows):
            lines.write("".join(canonical_json(row) + "\n" for row in part).encode("utf-8", "surrogatepass"))
            writer.write_table(pa.Table.from_pylist(part, schema=schema))
            n += len(part)
    return n


def _parts(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    source = iter(rows)
    while part := list(islice(source, _ROWS_AT_ONCE)):
        yield part
