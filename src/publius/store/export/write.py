"""Write rows as they come into a file that appears whole or not at all: JSON Lines, or Parquet.

Paper: none.
"""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from publius.records import canonical_json
from publius.store.files import open_atomic

WriteRow: TypeAlias = Callable[[Mapping[str, Any]], None]

_ROWS_AT_ONCE = 256  # a row group of the Parquet file, held in memory


@contextmanager
def jsonl_file(path: Path) -> Generator[WriteRow]:
    """Open a JSON Lines file; the block is given what writes a row.

    Raises:
        StoreError: The disk is full or cannot be written.
    """
    with open_atomic(path) as file:

        def write(row: Mapping[str, Any]) -> None:
            file.write((json_text(row) + "\n").encode("utf-8"))

        yield write


@contextmanager
def parquet_file(path: Path, schema: Any) -> Generator[WriteRow]:
    """Open a Parquet file with these columns; the block is given what writes a row.

    Raises:
        StoreError: The disk is full or cannot be written.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open_atomic(path))
        writer: Any = stack.enter_context(pq.ParquetWriter(file, schema, compression="zstd"))
        rows: list[Mapping[str, Any]] = []

        def write(row: Mapping[str, Any]) -> None:
            rows.append(row)
            if len(rows) == _ROWS_AT_ONCE:
                flush()

        def flush() -> None:
            writer.write_table(_table(rows, schema))
            rows.clear()

        yield write
        if rows:
            flush()


def json_text(value: object) -> str:
    """Return a JSON value on one line, in text that UTF-8 can hold: half a surrogate pair becomes U+FFFD.

    >>> json_text({"b": "\\ud800", "a": 1})
    '{"a":1,"b":"\ufffd"}'
    """
    text = canonical_json(value)
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _table(rows: list[Mapping[str, Any]], schema: Any) -> Any:
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except UnicodeEncodeError:
        return pa.Table.from_pylist([json.loads(json_text(row)) for row in rows], schema=schema)
