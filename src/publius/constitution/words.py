"""Words of English that the lint rules know, and how a statement is cut into them.

Everything here is a short list and a crude stemmer; a language other than English passes unread.

Paper: none.
"""

import re
from functools import cache
from itertools import zip_longest


def vocabulary(text: str) -> frozenset[str]:
    """Return the words of a list written with spaces."""
    return frozenset(text.split())


_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_SUFFIXES = ("ingly", "edly", "ing", "ed", "es", "s", "ly")

NEGATORS = vocabulary(
    "not never no nor neither none nothing nobody without avoid refrain refuse forbid forbidden "
    "prohibit decline prevent stop cannot can't don't doesn't won't shouldn't mustn't isn't aren't "
    "away"
)
LESS = vocabulary("less fewer lower least little minimal weaker smaller reduce minimise minimize discourage")
MORE = vocabulary("more greater higher most stronger bigger increase maximise maximize encourage")

# Words that a statement about an assistant's answer consists of before it says anything.
FILLER = vocabulary(
    "a an the this that these those it its itself they them their which who what whom whose how when "
    "where why and or but if as than then so of to in on at by for from with about into over under "
    "between through during is are was were be been being am do does did done has have had having can "
    "could may might must shall should will would one ones any all each every both some such other "
    "others another own same only just very also there here up out off you your we our i my me he she "
    "his her him assistant assistants ai model system chatbot bot response responses answer answers "
    "reply replies respond principle output outputs message always ever way ways manner thing things "
    "something anything everything behave act speak write give choose pick prefer provide make use "
    "say tell take get go keep put"
)
VAGUE = vocabulary(
    "good better best nice appropriate appropriately proper properly suitable suitably reasonable "
    "reasonably right bad fine decent great acceptable acceptably ideal okay quality sensible well "
    "positive adequate"
)
PREACHY = vocabulary(
    "lecture moralise moralize moralising moralizing moralistic preach preachy preaching scold "
    "admonish condemn reprimand chastise sermon sermonise sermonize judgmental judgemental disapprove "
    "disapproval shame denounce rebuke"
)
MORAL = vocabulary("moral morally morality immoral ethical ethics ethically unethical sinful virtuous")
FORBIDDING = NEGATORS | LESS
_TURNING = FORBIDDING | {"rather", "instead"}
_EMPTY = FILLER | VAGUE | NEGATORS | LESS | MORE
ANTONYMS: tuple[tuple[frozenset[str], frozenset[str]], ...] = tuple(
    (vocabulary(left), vocabulary(right))
    for left, right in (
        (
            "brief short concise terse succinct",
            "detailed long thorough elaborate exhaustive comprehensive lengthy",
        ),
        ("warm casual informal chatty", "formal detached impersonal cold"),
        ("confident decisive assertive", "humble tentative hesitant"),
        ("cautious conservative", "bold daring adventurous"),
        ("strict", "lenient permissive"),
        ("playful humorous funny witty", "serious solemn"),
        ("simple", "technical sophisticated"),
        ("neutral impartial", "opinionated partisan"),
        ("obedient deferential compliant", "independent autonomous defiant"),
        ("blunt", "gentle tactful diplomatic"),
    )
)


def words(text: str) -> tuple[str, ...]:
    """Return the words of an English text in order, in lower case.

    >>> words("Don’t lecture: be kind!")
    ("don't", 'lecture', 'be', 'kind')
    """
    return tuple(_WORD.findall(text.lower().replace("’", "'")))


def stem(word: str) -> str:
    """Return a word without its ending, so that forms of one word mostly meet.

    >>> [stem(word) for word in ("copies", "copying", "copy", "medicines", "medicine")]
    ['copi', 'copi', 'copi', 'medicin', 'medicin']
    """
    word = word.split("'")[0]
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            word = word[: -len(suffix)]
            break
    if len(word) < 4:
        return word
    return word[:-1] + "i" if word[-1] == "y" else word.removesuffix("e")


def is_form_of(word: str, vocabulary: frozenset[str]) -> bool:
    """Return whether a word is in the vocabulary, or shares its stem with a word that is.

    >>> is_form_of("lecturing", PREACHY)
    True
    """
    return word in vocabulary or stem(word) in _stems(vocabulary)


@cache
def _stems(vocabulary: frozenset[str]) -> frozenset[str]:
    return frozenset(map(stem, vocabulary))


def content(text: str) -> frozenset[str]:
    """Return the stems of the words that say what a statement is about, direction and vague words left out.

    >>> sorted(content("The assistant should never ask for passwords."))
    ['ask', 'password']
    """
    return frozenset(
        stem(word) for word in words(text) if word not in _EMPTY and not is_form_of(word, NEGATORS)
    )


def is_negated(sequence: tuple[str, ...], position: int) -> bool:
    """Return whether a word is turned round by one of the six before it, or by "is not" after it.

    >>> is_negated(("help", "without", "scolding"), 2)
    True
    """
    before, after = sequence[max(0, position - 6) : position], sequence[position + 1 : position + 3]
    denied = after[:1] in (("isn't",), ("aren't",)) or after in (("is", "not"), ("are", "not"))
    return denied or any(is_form_of(word, _TURNING) for word in before)


def direction(text: str) -> int:
    """Return -1 where a text asks for less of something, 1 for more, 0 where no word says so.

    >>> direction("less desire for power"), direction("not less"), direction("be kind")
    (-1, 1, 0)
    """
    sequence = words(text)
    n_down = sum(is_form_of(word, FORBIDDING) for word in sequence)
    # "more than" compares two things and asks for neither.
    following = zip_longest(sequence, sequence[1:])
    up = any(is_form_of(word, MORE) and after != "than" for word, after in following)
    if n_down:
        return -1 if n_down % 2 else 1
    return 1 if up else 0
