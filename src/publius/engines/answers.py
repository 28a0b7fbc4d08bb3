"""Sample answers to prompts: the one question that every stage puts to a policy.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.2 (T=1).
"""

import re
from collections.abc import Iterable, Iterator, Sized
from dataclasses import replace

from publius.engines.flow import Flow, RunFlows
from publius.engines.protocol import Failure, GenerateRequest, Sampling
from publius.records import Prompt, derive_seed

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s|$)")


def sample_answers(
    prompts: Iterable[Prompt], run: RunFlows, *, sampling: Sampling, seed: int, n_samples: int = 1
) -> Iterator[tuple[str | Failure, ...]]:
    """Yield `n_samples` answers to every prompt, in the order of `prompts`, each with a seed of its own.

    An answer cut by the token limit ends at its last whole sentence, if it has one.
    """
    flows = (_answers(prompt, sampling, seed=seed, n_samples=n_samples) for prompt in prompts)
    return run(flows, expected=len(prompts) * n_samples if isinstance(prompts, Sized) else 0)


def _answers(
    prompt: Prompt, sampling: Sampling, *, seed: int, n_samples: int
) -> Flow[tuple[str | Failure, ...]]:
    ids = [f"{prompt.id}/{index}" for index in range(n_samples)]
    answers = yield tuple(
        GenerateRequest(id, prompt.messages, replace(sampling, seed=derive_seed(seed, id))) for id in ids
    )
    return tuple(
        answer
        if isinstance(answer, Failure)
        else whole_sentences(answer.text, finished=answer.finish == "stop")
        for answer in answers
    )


def whole_sentences(text: str, *, finished: bool) -> str:
    """Return `text` without outer space and, if it is unfinished, without its broken last sentence.

    >>> whole_sentences(" One. Two and", finished=False)
    'One.'
    """
    text = text.strip()
    ends = [] if finished else [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else text
