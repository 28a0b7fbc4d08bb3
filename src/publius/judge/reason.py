"""Have the judge think before it votes: K reasonings for every question and order.

A reasoning ends at a stop string or at the token limit, then without its broken last sentence; the vote is
read after it in any case. What a reasoning says is never parsed for a verdict.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 ("think step by step"; the mean of five reasonings).
"""

from collections.abc import Sequence

from publius.engines.answers import whole_sentences
from publius.engines.flow import Flow
from publius.engines.protocol import Answer, Completion, Failure, GenerateRequest, Sampling
from publius.judge.form import JudgeForm
from publius.judge.prompts import Asked, Pair, reasoning_prompt, stops_of
from publius.records import Unparsed, derive_seed

_TEMPERATURE = 0.7  # the papers state none; at 1.0 models of one or two billion parameters drift


def reason(
    asked: Sequence[Asked], form: JudgeForm, *, seed: int
) -> Flow[tuple[tuple[str | Unparsed, ...], ...]]:
    """Return `form.reasonings` texts for each of `asked`, or what stands in the place of its vote."""
    requests = [
        _request(f"{one.id}/reasoning-{index}", one.pair, form, seed=seed)
        for one in asked
        for index in range(form.reasonings)
    ]
    said = iter((yield tuple(requests)))
    return tuple(tuple(_read(one, next(said)) for _ in range(form.reasonings)) for one in asked)


def _request(id: str, pair: Pair, form: JudgeForm, *, seed: int) -> GenerateRequest:
    sampling = Sampling(
        max_tokens=form.reasoning_tokens,
        temperature=_TEMPERATURE,
        stop=stops_of(form.layout),
        seed=derive_seed(seed, id),
    )
    messages, prefill = reasoning_prompt(pair, form, seed=seed)
    return GenerateRequest(id, messages, sampling, prefill)


def _read(one: Asked, answer: Answer) -> str | Unparsed:
    if isinstance(answer, Failure):
        return one.unparsed(f"{answer.owner}: {answer.reason}")
    assert isinstance(answer, Completion)
    text = whole_sentences(answer.text, finished=answer.finish == "stop")
    return text or one.unparsed("the reasoning is empty")
