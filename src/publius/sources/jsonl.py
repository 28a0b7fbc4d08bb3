"""Read JSON Lines, plain or gzipped, one row at a time, and name file and line of whatever is wrong.

Paper: none.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from publius.errors import DataError

MAX_LINE_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 32  # unpacked; a gzipped file of a few MB can unpack to thousands of times that


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a data file, and where it stands (`file:line`)."""

    where: str
    fields: dict[str, object]


def read_jsonl_file(path: Path) -> Iterator[Row]:
    """Yield the rows of a .jsonl or .jsonl.gz file, blank lines left out.

    Raises:
        DataError: A line is not a JSON object in UTF-8, or is longer than 1 MiB, or the gzip is damaged.
    """
    is_gzip = path.suffix.lower() == ".gz"
    with gzip.open(path, "rb") if is_gzip else path.open("rb") as stream:
        yield from read_jsonl(cast(BinaryIO, stream), name=str(path))


def read_jsonl(stream: BinaryIO, *, name: str) -> Iterator[Row]:
    """Yield the rows of an open binary stream; `name` is the file's name in errors.

    Raises:
        DataError: As for `read_jsonl_file`.
    """
    n_bytes, number = 0, 0
    while True:
        number += 1
        where = f"{name}:{number}"
        try:
            raw = stream.readline(MAX_LINE_BYTES + 1)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            todo = "fetch or compress the file again"
            raise DataError(f"the gzip data is damaged: {error}", where=where, todo=todo) from error
        if not raw:
            return
        n_bytes += len(raw)
        if len(raw) > MAX_LINE_BYTES:
            todo = "is this one JSON object a line? A prompt of this size fits no model's context"
            raise DataError(f"the line is longer than {MAX_LINE_BYTES:,} bytes", where=where, todo=todo)
        if n_bytes > MAX_FILE_BYTES:
            raise DataError(f"the file unpacks to more than {MAX_FILE_BYTES:,} bytes", where=where)
        text = _decode(raw, where=where, is_first=number == 1)
        if text.strip():
            yield Row(where, _parse(text, where=where))


def _decode(raw: bytes, *, where: str, is_first: bool) -> str:
    try:
        return raw.decode("utf-8-sig" if is_first else "utf-8")
    except UnicodeDecodeError as error:
        what = f"not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}"
        raise DataError(what, where=where, todo="save the file as UTF-8") from error


def _parse(text: str, *, where: str) -> dict[str, object]:
    try:
        value = json.loads(text, object_pairs_hook=_refuse_repeated_keys, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        what = f"not valid JSON: {error.msg} at position {error.pos + 1}"
        raise DataError(what, where=where, todo="write one JSON object a line") from error
    except (ValueError, RecursionError) as error:  # from the two hooks; huge numbers; nested too deep
        raise DataError(f"not valid JSON: {error!s:.120}", where=where) from error
    if not isinstance(value, dict):
        raise DataError(f"expected a JSON object, found {value!r:.80}", where=where)
    return cast(dict[str, object], value)


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {repeated!r:.80} is given twice")
    return fields


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
