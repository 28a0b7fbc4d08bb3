"""Decide whether a candidate prompt is kept: form first, then against the seeds, then against those kept.

Paper: arXiv:2310.13798, §2.1 (unique prompts). The checks of form are in `hygiene.py`, what counts as
the same in `duplicates.py`.
"""

from collections.abc import Iterable

from publius.propose.duplicates import KnownTexts
from publius.propose.hygiene import fault_of_form, scripts_of
from publius.propose.proposal import Reason


class Sieve:
    """Knows what must not come back: seeds, the instructions shown, and everything kept so far.

    `seeds` are (id, text); a candidate must be written in their scripts.
    """

    def __init__(
        self,
        seeds: Iterable[tuple[str, str]],
        *,
        instructions: Iterable[str],
        threshold: float,
        words: tuple[int, int],
    ) -> None:
        self._seeds, self._shown, self._kept = (KnownTexts(threshold) for _ in range(3))
        self._words = words
        scripts: set[str] = set()
        for id, text in seeds:
            self._seeds.add(id, text)
            scripts |= scripts_of([text])
        for text in instructions:
            self._shown.add("instruction", text)
        self._scripts = frozenset(scripts)

    def keep(self, id: str, text: str) -> None:
        """Know a kept text from now on."""
        self._kept.add(id, text)

    def fault(self, text: str) -> tuple[Reason, str | None] | None:
        """Return why a candidate is not kept, with the id of the text that it repeats; None if it is."""
        shortest, longest = self._words
        form = fault_of_form(text, min_words=shortest, max_words=longest, scripts=self._scripts)
        if form is not None:
            return form, None
        if self._shown.nearest(text) is not None:
            return "instruction echo", None
        if id := self._seeds.equal(text):
            return "equals a seed", id
        if match := self._seeds.nearest(text):
            return "near a seed", match.id
        if id := self._seeds.quoted(text):
            return "quotes a seed", id
        if id := self._kept.equal(text):
            return "duplicate", id
        if match := self._kept.nearest(text):
            return "near duplicate", match.id
        return None
