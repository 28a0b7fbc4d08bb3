"""Which constitutions a model was trained under, kept beside its weights.

Paper: none.
"""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from publius.errors import DataError
from publius.records import canonical_json
from publius.training.environment import find_device
from publius.training.workroom import write_durably

ORIGIN = "constitutions.json"


def write_origin(model: Path, constitutions: Iterable[str]) -> None:
    """Keep the hashes of constitutions in a model's directory; a model of none has no such file.

    Of several processes the first writes.
    """
    hashes = sorted(set(constitutions))
    if hashes and find_device().is_first:
        write_durably(model / ORIGIN, canonical_json(hashes))


def read_origin(model: Path) -> frozenset[str]:
    """Return the hashes of the constitutions that a model was trained under; none where it does not say.

    Raises:
        DataError: The file is damaged.
    """
    file = model / ORIGIN
    if not file.is_file():
        return frozenset()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"it cannot be read: {error}", where=file) from error
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise DataError("this is no list of hashes", where=file)
    return frozenset(found)


def refuse_other_origin(model: Path, allowed: Collection[str], *, where: str, todo: str) -> None:
    """Refuse a model that was trained under another constitution than those of the `allowed` hashes.

    Raises:
        DataError: It says so itself.
    """
    others = sorted(read_origin(model) - set(allowed))
    if others:
        raise DataError(
            f"the model in {str(model)!r} was trained under another constitution, {others[0]}",
            where=where,
            todo=todo,
        )
