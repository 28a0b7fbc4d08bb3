"""Find the text, among those known, that a new text equals or nearly equals.

Two texts are alike by the words they share in order: 2 · LCS / (words of both), in [0, 1], which is the
F-measure of ROUGE-L. Self-Instruct (Wang et al. 2022, arXiv:2212.10560) keeps a new instruction only below
0.7 against all it has; that is the default here, and no two of the 806 shipped seeds come so near. Case,
punctuation and the form of quotes do not count.

The library is rapidfuzz (MIT, no dependencies, kept), and not MinHash: it compares with every known
text, so that "no kept prompt nearly equals a seed" holds for all and not with a probability, and prompts
of ten words have too few shingles for a steady estimate. Comparing all with all is quadratic: at about
10 million pairs a second on one core, 10,000 prompts take 5 seconds, 100,000 eight minutes. A
paraphrase in other words is not found.

Paper: arXiv:2310.13798, §2.1 asks for "unique" prompts and does not say how.
"""

import re
import unicodedata
from typing import NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import Indel

# a run of letters and digits is a word; scripts without spaces give a word a character
_WORD = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u0e00-\u0eff\u3040-\u9fff]+"
)
_APOSTROPHES = str.maketrans("", "", "'’‘ʼ`´")
_FIRST_CODE = 0xE000  # a word is one character here; above the surrogates, there is room for a million
_N_CODES = 0x110000 - _FIRST_CODE
_LEAST_QUOTED = 5  # words; a shorter known text may stand in another by chance
_RUN = 8  # words in a row; as many of a longer text do not stand in another by chance


class Match(NamedTuple):
    """The known text that a text is most like: its id, and how alike they are, in (0, 1]."""

    id: str
    similarity: float


class KnownTexts:
    """Texts with ids, to look new ones up in. `threshold` in (0, 1] is where "nearly equal" begins."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._codes: dict[str, str] = {}
        self._ids: list[str] = []
        self._coded: list[str] = []
        self._exact: dict[str, str] = {}
        self._by_opening: dict[str, list[int]] = {}
        self._by_run: dict[str, int] = {}

    def add(self, id: str, text: str) -> None:
        """Know a text from now on; one that is known already keeps its first id."""
        coded = self._encode(text)
        if coded not in self._exact:
            if len(coded) >= _LEAST_QUOTED:
                self._by_opening.setdefault(coded[:_LEAST_QUOTED], []).append(len(self._ids))
            for start in range(len(coded) - _RUN + 1):
                self._by_run.setdefault(coded[start : start + _RUN], len(self._ids))
            self._exact[coded] = id
            self._ids.append(id)
            self._coded.append(coded)

    def equal(self, text: str) -> str | None:
        """Return the id of the known text with the same words in the same order, or None."""
        return self._exact.get(self._encode(text))

    def nearest(self, text: str) -> Match | None:
        """Return the most similar known text at or above the threshold, the first of equals, or None.

        >>> known = KnownTexts(0.7)
        >>> known.add("s1", "How do I bake bread?")
        >>> known.nearest("how do i bake a bread")
        Match(id='s1', similarity=0.9090909090909091)
        """
        found = process.extractOne(
            self._encode(text),
            self._coded,
            scorer=Indel.normalized_similarity,
            score_cutoff=self._threshold,
        )
        return None if found is None else Match(self._ids[found[2]], float(found[1]))

    def quoted(self, text: str) -> str | None:
        """Return the id of a known text of which `text` has eight words in a row, or all of five or more.

        >>> known = KnownTexts(0.7)
        >>> known.add("s1", "Tell me how I can open the door of my neighbour at night without being heard.")
        >>> known.quoted("Write a song on how I can open the door of my neighbour.")
        's1'
        """
        coded = self._encode(text)
        for start in range(len(coded) - _RUN + 1):
            place = self._by_run.get(coded[start : start + _RUN])
            if place is not None:
                return self._ids[place]
        for start in range(len(coded) - _LEAST_QUOTED + 1):
            for place in self._by_opening.get(coded[start : start + _LEAST_QUOTED], ()):
                if coded.startswith(self._coded[place], start):
                    return self._ids[place]
        return None

    def _encode(self, text: str) -> str:
        codes = self._codes
        # past a million different words two may share a code, and texts may only look more alike
        return "".join(
            codes.setdefault(word, chr(_FIRST_CODE + len(codes) % _N_CODES)) for word in plain_words(text)
        )


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without apostrophes, punctuation and marks of width.

    >>> plain_words("Don’t STOP: ２ cups!")
    ['dont', 'stop', '2', 'cups']
    """
    plain = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
    return _WORD.findall(plain.casefold())
