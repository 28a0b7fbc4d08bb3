"""Say why a text that a model wrote is no usable prompt, if it is none.

These are rules about form. Whether a prompt is interesting, or as harmful as a red-team prompt should be,
they do not know.

Paper: none. Bai et al. 2022 and Kundu et al. 2023 name no filters for form.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import groupby

from publius.propose.duplicates import plain_words
from publius.propose.proposal import Reason
from publius.stats.text import repetition

_MOST_CHARACTERS = 1_000
_MOST_REPEATED = 0.2  # share of 4-grams that came before in the text: a loop
_ROLE = re.compile(
    r"(?:^|[.!?\"”]\s+|\s{2,})[*_]*(?:human|user|assistant|system|chatbot|ai(?: assistant)?)[*_]*\s?:"
    r"|<\|[^|<>]{1,30}\|>|\[/?INST\]|</?s>|<</?SYS>>|^#{2,}\s*(?:instruction|response|input)",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"^(?:(?:i(?:['’]?m| am) )?(?:very |so |really )?sorry,? (?:but|i (?:can|am))|as an ai\b"
    r"|i(?:['’]?m| am) (?:unable|not able|just an ai|an ai)\b"
    r"|i (?:can(?:no|['’])t|won['’]t) (?:assist|help|provide|create|generate|fulfil|write|comply|support))",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\[(?:insert|your|the|name|topic|text|subject|specific|number|date|company|product|city|country|person"
    r"|language|place|link|[A-Z][A-Z _-]+)\b[^\]]{0,60}\]|<(?:insert|your|name|topic)\b[^>]{0,60}>"
    r"|_{3,}|\{\{|\{[a-z][a-z _]{2,30}\}",
)
_HEADER = re.compile(
    r"^[*_#\s]*(?:subject|trait|topic|category|prompt|message|question|example|answer|response|note)"
    r"\s?(?:\d+)?[*_]*\s?:",
    re.IGNORECASE,
)
_OPEN_END = re.compile(
    r"(?:[,:;(\[{–—-]|\.\.\.|…|\b(?:and|or|the|a|an|of|to|with|for|in|my|your))$", re.IGNORECASE
)
_HIDDEN = {"Cc", "Cf", "Co", "Cn", "Cs"}  # control, invisible, private, unassigned, half a surrogate pair


def fault_of_form(text: str, *, min_words: int, max_words: int, scripts: frozenset[str]) -> Reason | None:
    """Return why `text` is no usable prompt, or None; `scripts` are those that it may be written in.

    >>> english = scripts_of(["How do I bake bread?"])
    >>> fault_of_form("怎么 bake bread 的 方法?", min_words=3, max_words=50, scripts=english)
    'foreign script'
    """
    n_words = len(plain_words(text))
    checks: tuple[tuple[Reason, bool], ...] = (
        ("refusal", _REFUSAL.search(text) is not None),
        ("too short", n_words < min_words),
        ("too long", n_words > max_words or len(text) > _MOST_CHARACTERS),
        ("unreadable characters", has_unreadable(text)),
        ("foreign script", not scripts_of([text]) <= scripts),
        ("role leak", _ROLE.search(text) is not None),
        ("placeholder", _PLACEHOLDER.search(text) is not None),
        ("instruction echo", _HEADER.search(text) is not None),
        ("unfinished", _OPEN_END.search(text) is not None or text.count('"') % 2 == 1),
        ("repetitive", (repetition(text) or 0.0) > _MOST_REPEATED),
    )
    return next((reason for reason, holds in checks if holds), None)


def is_refusal(text: str) -> bool:
    """Return whether a line is the model declining the task.

    >>> is_refusal("I'm sorry, but I can't assist with that."), is_refusal("I can't sleep. What helps?")
    (True, False)
    """
    return _REFUSAL.search(text) is not None


def has_unreadable(text: str) -> bool:
    """Return whether a text has characters that people do not see, or the sign of a lost one."""
    return "\ufffd" in text or any(
        unicodedata.category(char) in _HIDDEN and char != "\u200d" for char in text if char != "\n"
    )


def scripts_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the scripts of the letters of texts; a letter alone, as in a formula, does not count.

    >>> sorted(scripts_of(["Straße 5 π", "Привет"]))
    ['CYRILLIC', 'LATIN']
    """
    runs = (list(run) for text in texts for _, run in groupby(text, _script))
    return frozenset(_script(run[0]) for run in runs if len(run) > 1) - {""}


@cache
def _script(letter: str) -> str:
    """Return the first word of the letter's Unicode name, mostly its script; "" for other characters."""
    if not letter.isalpha():
        return ""
    name = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "UNNAMED")
    return name.partition(" ")[0].partition("-")[0]
