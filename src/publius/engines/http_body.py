"""Read what a server sent: JSON that may not be JSON, error messages, text that must be safe to keep.

Nothing here trusts the sender. Lone surrogates, which JSON can carry and UTF-8 cannot, become U+FFFD, in
what is sent as in what is received; NUL and other control characters stay in an answer's text (JSON can
carry them into the journal) and are escaped in error messages, which end up on a terminal.

Paper: none.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

_SURROGATES = re.compile("[\ud800-\udfff]")


class NotJson(ValueError):
    """A body that is no JSON object; the message says what it is instead."""


def read_json(content: bytes, content_type: str = "") -> Mapping[str, Any]:
    """Return the JSON object in `content`, with lone surrogates replaced.

    The content type is only used to say what came instead: servers of good JSON send wrong types too.

    Raises:
        NotJson: The content is something else, is cut short, or nests too deep.

    >>> read_json(b'{"a": 1}')
    {'a': 1}
    """
    try:
        value = json.loads(content.decode("utf-8", "replace"), parse_constant=_no_number)
        if rb"\ud" in content.lower():
            value = _without_surrogates(value)
    except (ValueError, RecursionError) as error:
        raise NotJson(_what_it_is(content, content_type)) from error
    if not isinstance(value, dict):
        raise NotJson(f"the answer is JSON but no object: {shown(content.decode('utf-8', 'replace'), 80)}")
    return cast(Mapping[str, Any], value)


def error_message(body: Mapping[str, Any]) -> str:
    """Return the message of an error body in any of the usual shapes, or "" if it has none.

    >>> error_message({"error": {"message": "too long", "code": "context_length_exceeded"}})
    'too long (context_length_exceeded)'
    >>> error_message({"detail": "Not Found"})
    'Not Found'
    """
    error = body.get("error") or body.get("message") or body.get("detail")
    if isinstance(error, Mapping):
        inner = cast(Mapping[str, object], error)
        code = inner.get("code") or inner.get("type")
        text = inner.get("message") or ""
        return shown(f"{text} ({code})" if code else str(text))
    if error is None or error == "":
        return ""
    return shown(error if isinstance(error, str) else json.dumps(error))


def error_code(body: Mapping[str, Any]) -> str:
    """Return code and type of an error body in lower case, one after the other, or "".

    >>> error_code({"error": {"type": "invalid_request_error", "code": "model_not_found"}})
    'model_not_found invalid_request_error'
    """
    error = body.get("error")
    if not isinstance(error, Mapping):
        return ""
    inner = cast(Mapping[str, object], error)
    return " ".join(str(inner[key]).lower() for key in ("code", "type") if inner.get(key))


def whole_text(text: str) -> str:
    """Return `text` with every lone surrogate replaced by U+FFFD; everything else stays, NUL too.

    >>> whole_text("a" + chr(0xD800) + chr(0))
    'a\ufffd\\x00'
    """
    return _SURROGATES.sub("\ufffd", text)


def shown(text: str, limit: int = 300) -> str:
    """Return `text` fit for an error message: control and invisible characters escaped, cut at `limit`.

    >>> shown("red " + chr(27) + "[31m alert")
    'red \\\\x1b[31m alert'
    """
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(char if char.isprintable() else _escaped(char) for char in cut)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode()


def _what_it_is(content: bytes, content_type: str) -> str:
    text = content[:4000].decode("utf-8", "replace").strip()
    kind = content_type.partition(";")[0].strip().lower()
    said = f" (it calls itself {shown(kind, 60)})" if kind and "json" not in kind else ""
    if not text:
        return "the answer is empty"
    if text[:1] == "<":
        return f"the answer is HTML or XML, not JSON{said}: {shown(text, 120)}"
    if text[:1] in "{[":
        return f"the answer is broken JSON, {len(content)} bytes{said}: …{shown(text[-80:], 80)}"
    return f"the answer is not JSON{said}: {shown(text, 120)}"


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {
            whole_text(key): _without_surrogates(item) for key, item in cast(dict[str, Any], value).items()
        }
    return value


def _no_number(name: str) -> float | None:
    """Read `Infinity` and `-Infinity`, which JSON does not have, as no number; `NaN` stays, to be refused.

    A probability of 0 has the logarithm −∞; nothing that is right has NaN.
    """
    return math.nan if name == "NaN" else None
