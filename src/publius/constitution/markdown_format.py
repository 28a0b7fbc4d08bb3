"""Read a constitution written as a Markdown list: the title is the heading, each bullet is a principle.

    # House rules
    ## Manner                          (a later heading names the set of the bullets below it)
    - The assistant should be kind,
      also to people who are not.     (a continuation line belongs to its bullet, a nested bullet too)

Text outside bullets becomes the description. Ids are made of the first words, so they change when
these words change; a file that is to be versioned is better written in TOML.

Paper: none.
"""

import re
from dataclasses import dataclass, field

from publius.constitution.checks import MAX_PRINCIPLES, check_text, slug
from publius.constitution.principle import Constitution, Principle, principle_from
from publius.errors import DataError

UNVERSIONED = "0.0.0"
_HEADING = re.compile(r" {0,3}#{1,6}\s+(.*)$")
_BULLET = re.compile(r"(\s*)(?:[-*+]|\d{1,9}[.)])(?:\s+(.*))?$")


@dataclass(slots=True)
class _Bullet:
    """A principle while its lines are read."""

    line: int
    indent: int
    set_name: str
    parts: list[str]


@dataclass(slots=True)
class _Page:
    """What has been read so far."""

    title: str = ""
    set_name: str = ""
    prose: list[str] = field(default_factory=list[str])
    bullets: list[_Bullet] = field(default_factory=list[_Bullet])


def parse_markdown(text: str, *, where: str, name: str) -> Constitution:
    """Return the constitution of a Markdown list; `name` becomes its name, its version is 0.0.0.

    Raises:
        DataError: There is no bullet, or one is empty or too long; `.where` is `file:line`.
    """
    page = _read_page(text)
    if not page.bullets:
        todo = "start each principle with a dash: - The assistant should …"
        raise DataError("there are no principles", where=f"{where}:1", todo=todo)
    if len(page.bullets) > MAX_PRINCIPLES:
        raise DataError(
            f"{len(page.bullets):,} principles; the limit is {MAX_PRINCIPLES:,}", where=f"{where}:1"
        )
    ids = _unique_ids(page.bullets)
    return Constitution(
        name=slug(name) or "constitution",
        version=UNVERSIONED,
        title=page.title,
        description=" ".join(page.prose),
        source="",
        principles=tuple(
            _read_principle(bullet, id, where=where) for bullet, id in zip(page.bullets, ids, strict=True)
        ),
    )


def markdown_principle_lines(text: str) -> dict[str, int]:
    """Return the line of each bullet by its principle's id."""
    bullets = _read_page(text).bullets
    return {id: bullet.line for id, bullet in zip(_unique_ids(bullets), bullets, strict=True)}


def _read_page(text: str) -> _Page:
    page = _Page()
    open_bullet: _Bullet | None = None
    after_blank = False
    visible = _hide_comments(text.replace("\r\n", "\n"))
    for number, line in enumerate(visible.expandtabs(4).split("\n"), 1):
        if not line.strip():
            after_blank = True
            continue
        if _is_rule(line):
            open_bullet = None
        elif heading := _HEADING.match(line):
            open_bullet = None
            words = heading[1].strip().rstrip("#").rstrip()
            if not page.title and not page.bullets:
                page.title = words
            else:
                page.set_name = slug(words)
        elif (bullet := _BULLET.match(line)) and not (
            open_bullet and len(bullet[1]) > open_bullet.indent + 1
        ):
            open_bullet = _Bullet(number, len(bullet[1]), page.set_name, [bullet[2] or ""])
            page.bullets.append(open_bullet)
        elif open_bullet and (not after_blank or line[0] == " "):
            open_bullet.parts.append((bullet[2] or "") if bullet else line)
        else:
            open_bullet = None
            page.prose.append(line.strip())
        after_blank = False
    return page


def _is_rule(line: str) -> bool:
    """Return whether the line is a horizontal rule such as `---` or `* * *`."""
    marks = line.replace(" ", "")
    return len(marks) >= 3 and marks[0] in "-*_" and marks.count(marks[0]) == len(marks)


def _hide_comments(text: str) -> str:
    """Return the text without HTML comments and with all its line ends.

    A search, not a regular expression: that would take quadratic time on openings without an end.
    """
    shown: list[str] = []
    position = 0
    while (start := text.find("<!--", position)) >= 0 and (end := text.find("-->", start)) >= 0:
        shown += [text[position:start], "\n" * text.count("\n", start, end)]
        position = end + len("-->")
    return "".join(shown) + text[position:]


def _read_principle(bullet: _Bullet, id: str, *, where: str) -> Principle:
    joined = " ".join(" ".join(bullet.parts).split())
    statement = check_text(joined, "principle", where=f"{where}:{bullet.line}")
    return principle_from(id, statement, forms={}, sets=(bullet.set_name,) if bullet.set_name else ())


def _unique_ids(bullets: list[_Bullet]) -> list[str]:
    """Return an id for each bullet, in order: its first words, with a number where they were used."""
    ids: list[str] = []
    taken: set[str] = set()
    for number, bullet in enumerate(bullets, 1):
        stem = slug(" ".join(bullet.parts)) or f"principle-{number}"
        id, copy = stem, 2
        while id in taken:
            id, copy = f"{stem}-{copy}", copy + 1
        taken.add(id)
        ids.append(id)
    return ids
