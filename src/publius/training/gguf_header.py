"""Read the header of a GGUF file: its metadata (tokenizer, template, sizes) and where its tensors lie.

The file comes from outside, so every length in it is checked before anything is allocated for it.

Paper: none. Format: the public GGUF specification, versions 2 and 3, little-endian.
"""

import struct
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from publius.errors import DataError

Value: TypeAlias = int | float | bool | str | list["Value"]

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_MAX_FIELDS = 65_536
_MAX_ITEMS = 8_000_000
_MAX_STRING_BYTES = 16_000_000


def read_gguf_header(path: Path) -> dict[str, Value]:
    """Return the metadata of a GGUF file by key, arrays as lists.

    Raises:
        DataError: The file is not GGUF version 2 or 3, or it ends too early.
    """
    with _opened(path) as file:
        return _read_fields(file, path)[1]


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where a tensor lies in its file: `shape` with the longest stride first, `start` in bytes.

    `kind` is GGUF's number of the storage type: 0 float32, 1 float16, 2 Q4_0, 3 Q4_1, 8 Q8_0, 12 Q4_K,
    14 Q6_K and so on.
    """

    kind: int
    shape: tuple[int, ...]
    start: int


def read_gguf_tensors(path: Path) -> dict[str, TensorPlace]:
    """Return the places of a GGUF file's tensors by name.

    Raises:
        DataError: The file is not GGUF version 2 or 3, or it ends too early.
    """
    with _opened(path) as file:
        n_tensors, fields = _read_fields(file, path)
        _check(n_tensors <= _MAX_FIELDS, path, f"{n_tensors} tensors")
        places = [_read_tensor(file, path) for _ in range(n_tensors)]
        alignment = header_number(fields, "general.alignment") or 32
        data = -(-file.tell() // alignment) * alignment
        return {name: replace(place, start=place.start + data) for name, place in places}


def header_text(header: Mapping[str, Value], key: str) -> str | None:
    """Return the text under `key`, or None if it is absent or not text.

    >>> header_text({"general.name": "m"}, "general.name")
    'm'
    """
    value = header.get(key)
    return value if isinstance(value, str) else None


def header_number(header: Mapping[str, Value], key: str) -> int | None:
    """Return the whole number under `key`, or None if it is absent or not one.

    >>> header_number({"llama.context_length": 8192}, "llama.context_length")
    8192
    """
    value = header.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def token_text(header: Mapping[str, Value], which: str) -> str | None:
    """Return the text of a named token such as "eos" or "bos", or None.

    >>> token_text({"tokenizer.ggml.eos_token_id": 1, "tokenizer.ggml.tokens": ["a", "</s>"]}, "eos")
    '</s>'
    """
    token_id = header_number(header, f"tokenizer.ggml.{which}_token_id")
    tokens = header.get("tokenizer.ggml.tokens")
    if token_id is None or not isinstance(tokens, list) or not 0 <= token_id < len(tokens):
        return None
    return str(tokens[token_id])


def control_tokens(header: Mapping[str, Value]) -> dict[str, int]:
    """Return the tokens that are no ordinary text, by their string: GGUF types 3 (control) and 4 (user).

    >>> control_tokens({"tokenizer.ggml.tokens": ["a", "<end>"], "tokenizer.ggml.token_type": [1, 3]})
    {'<end>': 1}
    """
    tokens = cast(list[str], header.get("tokenizer.ggml.tokens") or [])
    kinds = cast(list[int], header.get("tokenizer.ggml.token_type") or [])
    return {tokens[i]: i for i, kind in enumerate(kinds) if kind in (3, 4) and i < len(tokens)}


@contextmanager
def _opened(path: Path) -> Generator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=path) from error
    except struct.error as error:
        raise DataError("the GGUF header ends too early", where=path, todo="fetch the file again") from error


def _read_fields(file: BinaryIO, path: Path) -> tuple[int, dict[str, Value]]:
    """Return the number of tensors and the metadata; the file then stands at the first tensor's entry."""
    magic, version = struct.unpack("<4sI", file.read(8))
    if magic != b"GGUF":
        raise DataError("this is not a GGUF file", where=path)
    if version not in (2, 3):
        raise DataError(f"GGUF version {version} is not known (2 and 3 are)", where=path)
    n_tensors, n_fields = struct.unpack("<QQ", file.read(16))
    _check(n_fields <= _MAX_FIELDS, path, f"{n_fields} metadata fields")
    fields: dict[str, Value] = {}
    for _ in range(n_fields):
        key = _read_string(file, path)
        (kind,) = struct.unpack("<I", file.read(4))
        fields[key] = _read_value(file, kind, path)
    return n_tensors, fields


def _read_tensor(file: BinaryIO, path: Path) -> tuple[str, TensorPlace]:
    name = _read_string(file, path)
    (n_dimensions,) = struct.unpack("<I", file.read(4))
    _check(n_dimensions <= 4, path, f"a tensor of {n_dimensions} dimensions")
    shape = struct.unpack(f"<{n_dimensions}Q", file.read(8 * n_dimensions))
    kind, start = struct.unpack("<IQ", file.read(12))
    return name, TensorPlace(kind, shape[::-1], start)


def _read_value(file: BinaryIO, kind: int, path: Path) -> Value:
    if kind == _STRING:
        return _read_string(file, path)
    if kind == _ARRAY:
        return _read_array(file, path)
    _check(kind in _SCALARS, path, f"a value of type {kind}")
    code = _SCALARS[kind]
    return struct.unpack(code, file.read(struct.calcsize(code)))[0]


def _read_array(file: BinaryIO, path: Path) -> Value:
    kind, n_items = struct.unpack("<IQ", file.read(12))
    _check(n_items <= _MAX_ITEMS, path, f"an array of {n_items}")
    if kind == _STRING:
        return [_read_string(file, path) for _ in range(n_items)]
    _check(kind in _SCALARS, path, f"an array of type {kind}")  # arrays of arrays are not used
    code = _SCALARS[kind]
    data = file.read(struct.calcsize(code) * n_items)
    return list(struct.unpack(f"<{n_items}{code[1]}", data))


def _read_string(file: BinaryIO, path: Path) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    _check(length <= _MAX_STRING_BYTES, path, f"a string of {length} bytes")
    data = file.read(length)
    if len(data) < length:
        raise struct.error("short read")
    return data.decode("utf-8", "replace")


def _check(holds: bool, path: Path, found: str) -> None:
    if not holds:
        raise DataError(f"the GGUF header is damaged: it announces {found}", where=path)
