"""What the stages leave beside their records: Parquet and JSON Lines in TRL's columns.

`demonstrations`: `prompt`, `completion` (conversational). `preferences`: the format `trl` of this package.

Paper: none. Formats: TRL 1.16, "Dataset formats".
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from publius.records import Demonstration, Preference, encode
from publius.store.export.formats import FORMATS, trl_row
from publius.store.export.provenance import always_filled, better_first, is_tie
from publius.store.export.write import jsonl_file, parquet_file

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


def export_demonstrations(folder: Path, demonstrations: Iterable[Demonstration]) -> int:
    """Write `demonstrations.parquet` and `.jsonl` and return the number of rows."""
    rows = (_demonstration_row(item) for item in demonstrations)
    return _write(folder / "demonstrations", rows, _DEMONSTRATIONS)


def export_preferences(folder: Path, preferences: Iterable[Preference]) -> int:
    """Write `preferences.parquet` and `.jsonl` and return the number of rows: labels that are no tie."""
    decided = (item for item in preferences if item.prob_a is not None and not is_tie(item.prob_a))
    rows = (dict(trl_row(better_first(item))) for item in decided)
    return _write(folder / "preferences", rows, FORMATS["trl"].schema)


def _demonstration_row(item: Demonstration) -> dict[str, Any]:
    return {
        "id": item.id,
        "prompt": encode(item.messages),
        "completion": [{"role": "assistant", "content": item.answer}],
        "origin": item.origin,
        "round": item.round,
        "principle_id": item.principle_id,
    }


def _write(path: Path, rows: Iterable[dict[str, Any]], schema: Any) -> int:
    n = 0
    with (
        jsonl_file(path.with_suffix(".jsonl")) as write_line,
        parquet_file(path.with_suffix(".parquet"), schema) as write_columns,
    ):
        for row in rows:
            write_line(always_filled(row))
            write_columns(row)
            n += 1
    return n
