"""Exports for other tools: Parquet and JSONL in TRL's columns, plus provenance that TRL ignores.

`demonstrations`: `prompt`, `completion` (conversational). `preferences`: `prompt`, `chosen`,
`rejected`, with `soft_label` the probability that `chosen` is better. Preferences without a label are
left out here (there is nothing to learn from them) and counted by the caller.

Paper: none. Formats: TRL 1.16, "Dataset formats".
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from publius.records import Demonstration, Preference, Vote, canonical_json, encode
from publius.store.files import write_atomic


def export_demonstrations(folder: Path, demonstrations: Sequence[Demonstration]) -> int:
    """Write `demonstrations.parquet` and `.jsonl` and return the number of rows."""
    rows = [
        {
            "id": item.id,
            "prompt": encode(item.messages),
            "completion": [{"role": "assistant", "content": item.answer}],
            "origin": item.origin,
            "round": item.round,
            "principle_id": item.principle_id,
        }
        for item in demonstrations
    ]
    return _write(folder, "demonstrations", rows)


def export_preferences(folder: Path, preferences: Sequence[Preference]) -> int:
    """Write `preferences.parquet` and `.jsonl` and return the number of rows (labelled ones)."""
    rows = [_preference_row(item) for item in preferences if item.prob_a is not None]
    return _write(folder, "preferences", rows)


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


def _write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> int:
    lines = "".join(canonical_json(row) + "\n" for row in rows)
    write_atomic(folder / f"{name}.jsonl", lines.encode("utf-8", "surrogatepass"))
    buffer = io.BytesIO()
    table: Any = pa.Table.from_pylist([dict(row) for row in rows])
    pq.write_table(table, buffer, compression="zstd")
    write_atomic(folder / f"{name}.parquet", buffer.getvalue())
    return len(rows)
