"""Load a constitution by a shipped name or from a .toml or .md file.

Paper: none.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias

from publius.constitution.checks import MAX_BYTES
from publius.constitution.markdown_format import markdown_principle_lines, parse_markdown
from publius.constitution.principle import Constitution, suggest
from publius.constitution.toml_format import parse_toml, toml_principle_lines
from publius.errors import DataError

Format: TypeAlias = Literal["toml", "md"]
_LIBRARY = resources.files("publius.constitution") / "library"


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a constitution, its format, and the file's name for errors."""

    text: str
    format: Format
    where: str


def shipped() -> tuple[str, ...]:
    """Return the names of the constitutions that come with Publius, sorted."""
    names = (item.name for item in _LIBRARY.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_constitution(name_or_path: str) -> Constitution:
    """Return a constitution by its shipped name, or from the path of a .toml or .md file.

    Raises:
        DataError: There is no such constitution, or its text is wrong; `.where` is `file:line`.
    """
    return parse(read_source(name_or_path))


def read_source(name_or_path: str) -> Source:
    """Return the text behind a shipped name or a path.

    Raises:
        DataError: It does not exist, cannot be read, is over 1 MiB or not UTF-8.
    """
    if name_or_path in shipped():
        file = f"{name_or_path}.toml"
        return Source((_LIBRARY / file).read_text(encoding="utf-8"), "toml", file)
    format = _format_of(name_or_path)
    try:
        with Path(name_or_path).open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise DataError("no such file", where=name_or_path, todo=_suggest_name(name_or_path)) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise DataError(f"cannot be read: {error}", where=name_or_path) from error
    if len(raw) > MAX_BYTES:
        raise DataError(
            f"the file is larger than {MAX_BYTES:,} bytes",
            where=name_or_path,
            todo="is it a constitution? Principles are short",
        )
    return Source(_decode(raw, where=name_or_path), format, name_or_path)


def parse(source: Source) -> Constitution:
    """Return the constitution that a source spells out.

    Raises:
        DataError: The text is wrong; `.where` is `file:line`.
    """
    if source.format == "toml":
        return parse_toml(source.text, where=source.where)
    return parse_markdown(source.text, where=source.where, name=Path(source.where).stem)


def principle_lines(source: Source) -> dict[str, int]:
    """Return the line of each principle by id, of a source that `parse` accepts."""
    if source.format == "toml":
        return toml_principle_lines(source.text)
    return markdown_principle_lines(source.text)


def _format_of(path: str) -> Format:
    match Path(path).suffix.lower():
        case ".toml":
            return "toml"
        case ".md":
            return "md"
        case _:
            raise DataError(f"no constitution is called {path!r:.200}", todo=_suggest_name(path))


def _suggest_name(wanted: str) -> str:
    listing = suggest(Path(wanted).stem, shipped(), noun="shipped constitutions")
    return f"{listing}; or give the path of a .toml or .md file"


def _decode(raw: bytes, *, where: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        todo = "save the file as UTF-8"
        raise DataError(
            f"not UTF-8: byte 0x{raw[error.start]:02x}", where=f"{where}:{line}", todo=todo
        ) from error
