"""Check the texts, ids and numbers of a constitution, whatever file format they came from.

Paper: none.
"""

import contextlib
import math
import re
import unicodedata

from publius.errors import DataError

MAX_BYTES = 1 << 20
MAX_PRINCIPLES = 1000
MAX_TEXT = 4000  # characters of a statement or a form: several pages; a principle is a sentence or two
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# The grammar of semver.org 2.0.0: major.minor.patch, then an optional pre-release and build.
_SEMVER = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(-[0-9A-Za-z.-]{1,64})?(\+[0-9A-Za-z.-]{1,64})?"
)


def check_text(value: object, field: str, *, where: str, may_be_empty: bool = False) -> str:
    """Return `value` without outer white space.

    Raises:
        DataError: It is not text, is empty, longer than `MAX_TEXT`, or has NUL or unpaired surrogates.
    """
    if not isinstance(value, str):
        raise DataError(f"{field} must be text in quotes, found {value!r:.80}", where=where)
    text = value.strip()
    if not text and not may_be_empty:
        raise DataError(f"{field} is empty", where=where, todo=f"write the {field}, or take the line out")
    if len(text) > MAX_TEXT:
        raise DataError(
            f"{field} has {len(text):,} characters; the limit is {MAX_TEXT:,}",
            where=where,
            todo="say it in a sentence or two, or split it into several principles",
        )
    if "\x00" in text or any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise DataError(f"{field} contains a NUL or half a surrogate pair", where=where)
    return text


def check_id(value: object, field: str, *, where: str) -> str:
    """Return `value`, a name that is safe in file names and reports.

    Raises:
        DataError: It is not 1 to 64 letters, digits, dots, dashes and underscores.
    """
    text = check_text(value, field, where=where)
    if not _ID.fullmatch(text):
        raise DataError(
            f"{field} {text!r:.80} is not a plain name",
            where=where,
            todo="use up to 64 letters, digits, dots, dashes and underscores, e.g. 'harm-to-others'",
        )
    return text


def check_version(value: object, *, where: str) -> str:
    """Return `value`, a semantic version.

    Raises:
        DataError: It is not of the form 1.2.3.
    """
    text = check_text(value, "version", where=where)
    if not _SEMVER.fullmatch(text):
        raise DataError(
            f"version {text!r:.80} is not a semantic version",
            where=where,
            todo='write e.g. version = "1.0.0"',
        )
    return text


def check_weight(value: object, *, where: str) -> float:
    """Return `value` as a float.

    Raises:
        DataError: It is not a finite number above 0.
    """
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # a whole number of more than 308 digits
            number = float(value)
    if not math.isfinite(number) or number <= 0:
        raise DataError(
            f"weight must be a number above 0, found {value!r:.80}",
            where=where,
            todo="leave it out for 1.0; to switch a principle off, take it out",
        )
    return number


def slug(text: str, *, n_words: int = 5) -> str:
    """Return the first words of `text` as a plain lower-case name, "" where it has no Latin letters.

    >>> slug("Be **honest** about what you don't know, always")
    'be-honest-about-what-you'
    """
    plain = (
        unicodedata.normalize("NFKD", text.replace("'", "").replace("’", ""))
        .encode("ascii", "ignore")
        .decode()
    )
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower())[:n_words])[:48].strip("-")
