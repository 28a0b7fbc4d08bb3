"""Turn records into JSON and back, and hash them by content.

The codec is strict: an unknown key, a missing key or a value of the wrong kind is a `DataError`
that names the record and the field, so that a damaged file can never become a wrong record.

Paper: none.
"""

import hashlib
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

from publius.errors import DataError

R = TypeVar("R")

_PLAIN = frozenset((str, int, float, bool, type(None)))  # every call is encoded: most values are these
_to_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical_json(value: object) -> str:
    """Return `value` as JSON with sorted keys, no spaces, text unescaped; the same value, the same bytes.

    >>> canonical_json({"b": 1, "a": ["é"]})
    '{"a":["é"],"b":1}'
    """
    return _to_json(value)


def content_hash(value: object) -> str:
    """Return `sha256:` and the hex digest of the canonical JSON of a record or a JSON value.

    >>> content_hash({"a": 1})[:15]
    'sha256:015abd7f'
    """
    encoded = canonical_json(encode(value)).encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(encoded).hexdigest()


def records_hash(records: Iterable[object]) -> str:
    """Return one content hash of many records in their order, without holding their JSON.

    >>> records_hash([1, 2]) == records_hash(iter([1, 2])) != records_hash([2, 1])
    True
    """
    digest = hashlib.sha256()
    for record in records:
        digest.update((canonical_json(encode(record)) + "\n").encode("utf-8", "surrogatepass"))
    return "sha256:" + digest.hexdigest()


def encode(value: object) -> Any:
    """Return a record (or tuples, mappings and plain values of records) as plain JSON values."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    names = _field_names(kind)
    if names is not None:
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        items = cast(Mapping[str, object], value)
        return {str(key): encode(item) for key, item in items.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [encode(item) for item in cast(Sequence[object], value)]
    return value


@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None


def decode(kind: type[R], value: object) -> R:
    """Return the record of type `kind` that `encode` turned into `value`.

    Raises:
        DataError: A key is missing or unknown, or a value is not of the field's type.
    """
    return cast(R, _decode(kind, value, kind.__name__))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(kind, value, where)
    if origin is Literal:
        return _expect(value in get_args(kind), value, where, f"one of {get_args(kind)}")
    if kind is Any:
        return value
    if origin is dict:
        _expect(isinstance(value, Mapping), value, where, "a table")
        inner = get_args(kind)[1]
        return {str(key): _decode(inner, item, f"{where}.{key}") for key, item in value.items()}
    if origin is tuple:
        _expect(isinstance(value, list | tuple), value, where, "a list")
        args = get_args(kind)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_decode(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        _expect(len(value) == len(args), value, where, f"a list of {len(args)}")
        pairs = zip(args, value, strict=True)
        return tuple(_decode(arg, item, f"{where}[{i}]") for i, (arg, item) in enumerate(pairs))
    if is_dataclass(kind):
        return _decode_record(cast(type, kind), value, where)
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(_expect(is_number, value, where, "a number"))
    if kind is int:
        return _expect(type(value) is int, value, where, "a whole number")
    return _expect(isinstance(value, kind), value, where, kind.__name__)


def _decode_union(kind: Any, value: Any, where: str) -> Any:
    args = get_args(kind)
    if value is None:
        return _expect(type(None) in args, value, where, "a value")
    records = [arg for arg in args if is_dataclass(arg)]
    if isinstance(value, Mapping) and records:
        keys = set(cast(Mapping[str, object], value))
        fitting = [arg for arg in records if _required(arg) <= keys <= set(_field_names(arg) or ())]
        _expect(len(fitting) == 1, value, where, " or ".join(map(str, args)))
        return _decode(fitting[0], value, where)
    plain = [arg for arg in args if arg is not type(None) and not is_dataclass(arg)]
    errors: list[DataError] = []
    for arg in plain:
        try:
            return _decode(arg, value, where)
        except DataError as error:
            errors.append(error)
    raise errors[0] if errors else DataError(f"{value!r:.80} is not {kind}", where=where)


@cache
def _required(kind: type) -> frozenset[str]:
    """Return the names of the fields that have no default."""
    named = (field for field in fields(kind) if field.default is MISSING)
    return frozenset(field.name for field in named if field.default_factory is MISSING)


def _decode_record(kind: type, value: Any, where: str) -> Any:
    _expect(isinstance(value, Mapping), value, where, f"the fields of {kind.__name__}")
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise DataError(f"unknown field {unknown[0]!r} of {kind.__name__}", where=where)
    missing = sorted(_required(kind) - set(value))
    if missing:
        raise DataError(f"field {missing[0]!r} of {kind.__name__} is missing", where=where)
    hints = _hints(kind)
    return kind(**{name: _decode(hints[name], item, f"{where}.{name}") for name, item in value.items()})


def _expect(holds: bool, value: Any, where: str, wanted: str) -> Any:
    if not holds:
        raise DataError(f"expected {wanted}, found {value!r:.80}", where=where)
    return value
