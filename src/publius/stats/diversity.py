"""How different are the answers to one prompt: in their words, and in what they say?

Pairs that differ only in wording teach a preference model form, not content. So every measure is taken
over the answers to one prompt, then averaged over prompts, grouped by where the answers came from:

| figure | of the answers to one prompt | range |
|---|---|---|
| `token_distance` | 1 − Dice overlap of their words, mean over pairs | 0 same words, 1 none shared |
| `edit_distance` | Levenshtein distance over words / longer length, mean over pairs | 0 equal, 1 |
| `distinct_1`, `distinct_2` | different words (word pairs) / all | (0, 1] |
| `self_bleu` | BLEU of each answer against the others, mean | 0 nothing shared, 1 equal |
| `compression` | bytes / bytes after zlib | higher: more repeats |
| `semantic_distance` | 1 − cosine of their embeddings, mean over pairs | 0 same, about 1 unrelated, 2 |

distinct-n, self-BLEU and compression move with the number and the length of the answers: compare groups of
like `n_samples` and `words`. Semantic distance needs an `Embed`; embeddings are centred over all texts that
are compared, since those of a language model all point nearly the same way. Its zero is firm and its scale is
not: compare groups measured together.

Papers: arXiv:2310.13798, figure 4: pairs of a small generator made the better preference models; the authors
suspect that those of a larger one differ in wording only, whatever the temperature, and did not measure it.
Self-BLEU: Zhu et al. 2018, arXiv:1802.01886; compression: Shaib et al. 2024, arXiv:2403.00553; centring: Mu
and Viswanath 2018, arXiv:1702.01417.
"""

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from publius.errors import DataError
from publius.records import Comparison
from publius.stats.intervals import Estimate, bootstrap_mean
from publius.stats.text import distinct_n, ngrams, words

Embed: TypeAlias = Callable[[Sequence[str]], NDArray[np.floating[Any]]]
"""Texts to vectors, shape (texts, dimensions), in the order given; neither centred nor of unit length."""

_MAX_BLEU_ORDER = 4


@dataclass(frozen=True, slots=True)
class Diversity:
    """The figures of the answers of one source, or of two sources against each other.

    `source` names the model (and its settings) as the comparisons do. `n_samples` and `words` are means: of
    answers a prompt, and of words an answer. A figure is None without data, or with fewer than two prompts.
    """

    source: str
    n_prompts: int
    n_samples: float
    words: float
    figures: dict[str, Estimate | None]


@dataclass(frozen=True, slots=True)
class DiversityReport:
    """The two answers of each pair, by the pair's sources, and the answers of each source to one prompt.

    Both are in the order of the sources' names. A source's answer that stands in several pairs is one
    sample; prompts with one sample of a source say nothing about it and are left out.
    """

    pairs: tuple[Diversity, ...]
    samples: tuple[Diversity, ...]


def measure_diversity(
    pairs: Sequence[Comparison], *, embed: Embed | None = None, seed: int
) -> DiversityReport:
    """Return how different the answers are; without `embed` in words only.

    Raises:
        DataError: `embed` does not return one finite vector a text.

    >>> from publius.records import conversation
    >>> pair = Comparison("c", "p", conversation(("user", "Hi")), "one two", "one three", "m", "m")
    >>> measure_diversity([pair], seed=0).pairs[0].source
    'm'
    """
    semantic: _Distance | None = None
    if embed is not None and pairs:
        texts = dict.fromkeys(text for pair in pairs for text in (pair.answer_a, pair.answer_b))
        semantic = _semantic_distance(list(texts), embed)
    return DiversityReport(
        *(
            tuple(_measure(source, groups[source], semantic=semantic, seed=seed) for source in sorted(groups))
            for groups in (_by_pair(pairs), _by_sample(pairs))
        )
    )


def token_distance(a: str, b: str) -> float | None:
    """Return 1 − Dice overlap of the words of two texts, how often each occurs counted; None without words.

    >>> token_distance("the cat sat", "sat the cat"), token_distance("the cat", "the dog")
    (0.0, 0.5)
    """
    left, right = Counter(words(a)), Counter(words(b))
    n = left.total() + right.total()
    return 1 - 2 * (left & right).total() / n if n else None


def edit_distance(a: str, b: str) -> float | None:
    """Return the Levenshtein distance of two texts over words, divided by the longer; None without words.

    >>> edit_distance("the cat sat", "the dog sat down"), edit_distance("", "...")
    (0.5, None)
    """
    left, right = words(a), words(b)
    return float(Levenshtein.normalized_distance(left, right)) if left or right else None


def self_bleu(texts: Sequence[str]) -> float | None:
    """Return the mean BLEU-4 of each text against the others, in [0, 1]; None below two texts with words.

    N-gram precisions above single words are smoothed by one (Lin and Och 2004); a text shorter than four
    words is scored on the n-grams that it has; the reference length is the closest one.

    >>> self_bleu(["a b c d e", "a b c d e"]), self_bleu(["a b", "c d"])
    (1.0, 0.0)
    """
    said = [own for text in texts if (own := words(text))]
    if len(said) < 2:
        return None
    return fmean(_bleu(own, [*said[:i], *said[i + 1 :]]) for i, own in enumerate(said))


def compression_ratio(texts: Sequence[str]) -> float | None:
    """Return the bytes of the texts, one a line, over their bytes after zlib; None for no text.

    >>> compression_ratio(["ab " * 500]) > 20 > compression_ratio(["The cat sat on the mat."])
    True
    """
    data = "\n".join(texts).encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data, 9)) if any(texts) else None


def centred(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return vectors, shape (n, d), less their mean and of unit length; one that is the mean stays zero.

    >>> centred(np.array([[3.0, 1.0], [1.0, 1.0]])).tolist()
    [[1.0, 0.0], [-1.0, 0.0]]
    """
    shifted = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    lengths = np.linalg.norm(shifted, axis=1, keepdims=True)
    return shifted / np.where(lengths > 0, lengths, 1.0)


_Distance: TypeAlias = Callable[[str, str], float | None]
_Groups: TypeAlias = Mapping[str, list[tuple[str, tuple[str, ...]]]]  # source → (prompt id, its answers)


def _by_pair(pairs: Iterable[Comparison]) -> _Groups:
    groups: defaultdict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for pair in pairs:
        source = " against ".join(sorted({pair.source_a, pair.source_b}))
        groups[source].append((pair.prompt_id, (pair.answer_a, pair.answer_b)))
    return groups


def _by_sample(pairs: Iterable[Comparison]) -> _Groups:
    answers: defaultdict[str, defaultdict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    for pair in pairs:
        for source, answer in ((pair.source_a, pair.answer_a), (pair.source_b, pair.answer_b)):
            answers[source][pair.prompt_id][answer] = None
    groups = {
        source: [(prompt_id, tuple(texts)) for prompt_id, texts in by_prompt.items() if len(texts) > 1]
        for source, by_prompt in answers.items()
    }
    return {source: own for source, own in groups.items() if own}


def _semantic_distance(texts: Sequence[str], embed: Embed) -> _Distance:
    raw = embed(texts)
    if raw.ndim != 2 or len(raw) != len(texts) or not np.isfinite(raw).all():
        raise DataError(f"the embeddings of {len(texts)} texts have the shape {raw.shape}, or are not finite")
    vectors = dict(zip(texts, centred(raw), strict=True))
    return lambda a, b: 1 - float(vectors[a] @ vectors[b])


def _measure(
    source: str, answered: list[tuple[str, tuple[str, ...]]], *, semantic: _Distance | None, seed: int
) -> Diversity:
    measures: dict[str, Callable[[Sequence[str]], float | None]] = {
        "token_distance": lambda texts: _mean_distance(texts, token_distance),
        "edit_distance": lambda texts: _mean_distance(texts, edit_distance),
        "distinct_1": lambda texts: distinct_n(texts, 1),
        "distinct_2": lambda texts: distinct_n(texts, 2),
        "self_bleu": self_bleu,
        "compression": compression_ratio,
    }
    if semantic is not None:
        measures["semantic_distance"] = lambda texts: _mean_distance(texts, semantic)
    return Diversity(
        source=source,
        n_prompts=len({prompt_id for prompt_id, _ in answered}),
        n_samples=fmean(len(texts) for _, texts in answered),
        words=fmean(len(words(text)) for _, texts in answered for text in texts),
        figures={name: _over_prompts(answered, measure, seed=seed) for name, measure in measures.items()},
    )


def _over_prompts(
    answered: list[tuple[str, tuple[str, ...]]],
    measure: Callable[[Sequence[str]], float | None],
    *,
    seed: int,
) -> Estimate | None:
    found = [(id, value) for id, texts in answered if (value := measure(texts)) is not None]
    clusters = [id for id, _ in found]
    if len(set(clusters)) < 2:
        return None
    return bootstrap_mean([value for _, value in found], clusters=clusters, seed=seed)


def _mean_distance(texts: Sequence[str], distance: _Distance) -> float | None:
    found = [value for a, b in combinations(texts, 2) if (value := distance(a, b)) is not None]
    return fmean(found) if found else None


def _bleu(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the smoothed BLEU of one text's words against those of the others."""
    logs: list[float] = []
    for n in range(1, min(_MAX_BLEU_ORDER, len(candidate)) + 1):
        grams = Counter(ngrams(candidate, n))
        most = Counter[tuple[str, ...]]()
        for reference in references:
            most |= Counter(ngrams(reference, n))
        added = 0 if n == 1 else 1
        matched = (grams & most).total() + added
        if matched == 0:
            return 0.0
        logs.append(math.log(matched / (grams.total() + added)))
    closest = min((abs(len(own) - len(candidate)), len(own)) for own in references)[1]
    brevity = min(0.0, 1 - closest / len(candidate))
    return math.exp(fmean(logs) + brevity)
