"""Comparisons with soft labels: asked from a judge under a principle, or known by construction.

Paper: arXiv:2310.13798, §2.2: "one principle drawn uniformly for every comparison"; the mean over all
principles is named there as probably better and too costly. Labels by construction: arXiv:2212.08073,
§3 shows that a revision is less harmful than its draft; RLCD (arXiv:2307.12950) learns from such pairs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from publius.constitution import Constitution, Principle, draw_principle
from publius.engines.flow import Flow
from publius.engines.protocol import Failure
from publius.judge import JudgeQuestion, Method, judge_questions, soft_label
from publius.records import (
    Comparison,
    Preference,
    Prompt,
    RevisionChain,
    Unparsed,
    Vote,
    content_hash,
    derive_seed,
)


@dataclass(frozen=True, slots=True)
class LabelTask:
    """A comparison to label and the constitution that decides it."""

    comparison: Comparison
    constitution: Constitution


def compare_samples(prompt: Prompt, samples: Sequence[str | Failure], *, model: str) -> Comparison | None:
    """Return the comparison of the first two samples, or None where one is missing or both are equal."""
    first, second = samples[:2]
    if isinstance(first, Failure) or isinstance(second, Failure) or first == second:
        return None
    return _comparison(prompt, (first, model), (second, model)) if first and second else None


def label_comparison(
    task: LabelTask,
    *,
    judge: str,
    principles: Literal["one", "mean"] = "one",
    method: Method = "both-orders",
    seed: int = 0,
) -> Flow[Preference]:
    """Return the task's preference with its votes; `prob_a` is None where no vote can be read."""
    asked = _principles(task, principles, seed)
    questions = [JudgeQuestion(task.comparison, item.id, item.comparison) for item in asked]
    cast = yield from judge_questions(questions, method=method, seed=seed)
    votes = [vote for own in cast for vote in own]
    return Preference(
        comparison=task.comparison,
        prob_a=_mean_over_principles(votes, [principle.id for principle in asked]),
        origin="asked",
        judge=judge,
        constitution_hash=task.constitution.hash,
        votes=tuple(votes),
    )


def construct_from_revisions(
    chains: Iterable[RevisionChain], constitution: Constitution, *, prob: float
) -> Iterator[Preference]:
    """Yield preferences "last revision over draft", with the stated probability `prob`."""
    for chain in chains:
        if chain.revisions and chain.revisions[-1].text != chain.draft:
            better = (chain.revisions[-1].text, "revision")
            row = _constructed(chain.prompt, better, (chain.draft, "draft"), prob=prob)
            yield replace(row, constitution_hash=constitution.hash)


def construct_from_mismatch(
    answered: Iterable[tuple[Prompt, str]], strangers: Sequence[str], *, prob: float
) -> Iterator[Preference]:
    """Yield preferences "the answer to a helpful prompt over one written for another prompt".

    They keep the preference model from learning that declining is always better: `strangers` are
    revisions of red-team drafts, many of which decline.
    """
    for prompt, answer in answered if strangers else ():
        stranger = strangers[derive_seed(0, "mismatch", prompt.id) % len(strangers)]
        if stranger != answer:
            better = (answer, "answer")
            yield _constructed(prompt, better, (stranger, "other prompt's answer"), prob=prob)


def _principles(task: LabelTask, mode: Literal["one", "mean"], seed: int) -> tuple[Principle, ...]:
    if mode == "mean":
        return task.constitution.principles
    return (draw_principle(task.constitution, seed=derive_seed(seed, "label", task.comparison.id)),)


def _mean_over_principles(votes: Sequence[Vote | Unparsed], principle_ids: Sequence[str]) -> float | None:
    labels = [
        label
        for id in principle_ids
        if (label := soft_label([vote for vote in votes if vote.principle_id == id])) is not None
    ]
    return sum(labels) / len(labels) if labels else None


def _comparison(prompt: Prompt, a: tuple[str, str], b: tuple[str, str]) -> Comparison:
    return Comparison(
        id=content_hash([prompt.id, a[0], b[0]]),
        prompt_id=prompt.id,
        messages=prompt.messages,
        answer_a=a[0],
        answer_b=b[0],
        source_a=a[1],
        source_b=b[1],
    )


def _constructed(
    prompt: Prompt, better: tuple[str, str], worse: tuple[str, str], *, prob: float
) -> Preference:
    comparison = _comparison(prompt, better, worse)
    preference = Preference(comparison, prob, "construction", None, None, ())
    # the better answer must not always stand first, or a learner could use the place
    return preference if derive_seed(0, "place", comparison.id) % 2 == 0 else preference.swap()
