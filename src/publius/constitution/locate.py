"""Find the line on which each key of a constitution's TOML text stands, so that errors can name it.

`tomllib` gives values without positions. This scanner reads only as much TOML as that takes: headers,
keys, and where a value ends (strings in four quotings, brackets, comments). It is given text that
`tomllib` has already accepted.

Paper: none.
"""

import re
from dataclasses import dataclass

_BLANK = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*")
_PART = r"(?:\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|[A-Za-z0-9_-]+)"
_HEADER = re.compile(rf"(\[\[?)[ \t]*({_PART})(?:[ \t]*\.[ \t]*({_PART}))?[^\n]*")
_KEY = re.compile(rf"({_PART})(?:[ \t]*\.[ \t]*{_PART})*[ \t]*=")
_VALUE_TOKEN = re.compile(
    r"\"\"\"(?:\\.|[^\\])*?\"\"\"\"{0,2}|'''.*?''''{0,2}"
    r"|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|#[^\n]*|[\[{\]}\n]|[^\[\]{}\"'#\n]+",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class KeyLines:
    """Lines, from 1: `top` of each top-level key, `tables` of each key of each `[[principle]]`.

    The header of a table is under the key `""`.
    """

    top: dict[str, int]
    tables: tuple[dict[str, int], ...]

    def line(self, key: str, *, table: int | None = None) -> int:
        """Return the line of a key; of its table's header, or of the list, where the key has none."""
        if table is None:
            return self.top.get(key, 1)
        if table < len(self.tables):
            return self.tables[table].get(key, self.tables[table][""])
        return self.top.get("principle", 1)


def locate_keys(text: str) -> KeyLines:
    """Return the line of every key of a valid TOML text with `\\n` line ends.

    >>> locate_keys('name = "a"\\n[[principle]]\\nid = "b"').tables
    ({'': 2, 'id': 3},)
    """
    top: dict[str, int] = {}
    tables: list[dict[str, int]] = []
    current = top
    position, line = 0, 1
    while position < len(text):
        start = _skip(_BLANK, text, position)
        line += text.count("\n", position, start)
        position = start
        header = _HEADER.match(text, position)
        key = _KEY.match(text, position)
        if header:
            current = _open_table(header, line, top=top, tables=tables)
            position = header.end()
        elif key:
            current.setdefault(_unquote(key[1]), line)
            end = _value_end(text, key.end())
            line += text.count("\n", position, end)
            position = end
        else:
            break
    return KeyLines(top, tuple(tables))


def _open_table(
    header: re.Match[str], line: int, *, top: dict[str, int], tables: list[dict[str, int]]
) -> dict[str, int]:
    """Return the table that the header opens; `[other]` and `[principle.other]` open a throw-away one."""
    name, child = _unquote(header[2]), header[3]
    if name == "principle" and child is None and header[1] == "[[":
        top.setdefault(name, line)
        tables.append({"": line})
        return tables[-1]
    if name == "principle" and child is not None and tables:
        tables[-1].setdefault(_unquote(child), line)
    else:
        top.setdefault(name, line)
    return {}


def _value_end(text: str, position: int) -> int:
    """Return where the value that begins at `position` ends: a line end outside strings and brackets."""
    depth = 0
    while token := _VALUE_TOKEN.match(text, position):
        if token[0] == "\n" and depth == 0:
            return position
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        position = token.end()
    return len(text)


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    matched = pattern.match(text, position)
    return matched.end() if matched else position


def _unquote(part: str) -> str:
    return part[1:-1] if part[0] in "\"'" else part
