"""Text monitors of every policy on every kind of prompt: does training make answers evasive or repetitive?

Papers: arXiv:2310.13798, §4.3 (openings such as "I am not designed to" mark over-training);
arXiv:2212.08073, §4.3 (boilerplate).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from publius.records import Answer
from publius.stats import (
    Estimate,
    bootstrap_mean,
    distinct_n,
    evasion_rate,
    mean_words,
    refusal_rate,
    repetition,
    shared_endings,
)


@dataclass(frozen=True, slots=True)
class TextMonitors:
    """Figures of one policy's answers to one purpose of prompts; what has no data is None.

    `evasive`, `refusals`: share of answers that open so. `words`: mean length. `distinct_2`: different
    over all word pairs of these answers together. `repetition`: mean share of repeated 4-grams.
    `shared_endings`: share of answers that end like another one.
    """

    n: int
    evasive: Estimate | None
    refusals: Estimate | None
    words: Estimate | None
    distinct_2: float | None
    repetition: Estimate | None
    shared_endings: Estimate | None


def monitor_answers(answers: Sequence[Answer], *, seed: int) -> dict[str, dict[str, TextMonitors]]:
    """Return the monitors by policy and purpose, policies in the order of the answers."""
    groups: dict[str, dict[str, list[str]]] = {}
    for answer in answers:
        groups.setdefault(answer.model, {}).setdefault(answer.prompt.purpose, []).append(answer.text)
    return {
        model: {purpose: _monitors(texts, seed=seed) for purpose, texts in by_purpose.items()}
        for model, by_purpose in groups.items()
    }


def _monitors(texts: Sequence[str], *, seed: int) -> TextMonitors:
    repeated = [value for text in texts if (value := repetition(text)) is not None]
    return TextMonitors(
        n=len(texts),
        evasive=evasion_rate(texts),
        refusals=refusal_rate(texts),
        words=mean_words(texts, seed=seed),
        distinct_2=distinct_n(texts, 2),
        repetition=bootstrap_mean(repeated, seed=seed) if len(repeated) > 1 else None,
        shared_endings=shared_endings(texts),
    )
