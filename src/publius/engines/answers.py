"""Sample answers to prompts: the one question that every stage puts to a policy.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.2 (T=1).
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from publius.engines.protocol import Failure, Generate, GenerateRequest, Sampling
from publius.records import Prompt, derive_seed

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)")


def sample_answers(
    prompts: Sequence[Prompt], generate: Generate, *, sampling: Sampling, seed: int, n_samples: int = 1
) -> dict[str, tuple[str | Failure, ...]]:
    """Return `n_samples` answers to every prompt, by prompt id, each with a seed of its own.

    An answer cut by the token limit ends at its last whole sentence, if it has one.
    """
    requests = [
        GenerateRequest(id, prompt.messages, replace(sampling, seed=derive_seed(seed, id)))
        for prompt in prompts
        for id in _ids(prompt, n_samples)
    ]
    answers = generate(requests)
    texts = {
        id: answer
        if isinstance(answer, Failure)
        else whole_sentences(answer.text, finished=answer.finish == "stop")
        for id, answer in answers.items()
    }
    return {prompt.id: tuple(texts[id] for id in _ids(prompt, n_samples)) for prompt in prompts}


def whole_sentences(text: str, *, finished: bool) -> str:
    """Return `text` without outer space and, if it is unfinished, without its broken last sentence.

    >>> whole_sentences(" One. Two and", finished=False)
    'One.'
    """
    text = text.strip()
    ends = [] if finished else [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else text


def _ids(prompt: Prompt, n_samples: int) -> tuple[str, ...]:
    return tuple(f"{prompt.id}/{index}" for index in range(n_samples))
