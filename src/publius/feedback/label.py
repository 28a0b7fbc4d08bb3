"""Comparisons with soft labels: asked from a judge under a principle, or known by construction.

Paper: arXiv:2310.13798, §2.2: "one principle drawn uniformly for every comparison"; the mean over all
principles is named there as probably better and too costly. Labels by construction: arXiv:2212.08073,
§3 shows that a revision is less harmful than its draft; RLCD (arXiv:2307.12950) learns from such pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from publius.constitution import Constitution, Principle, draw_principle
from publius.engines.protocol import Choose, Failure
from publius.judge import JudgeQuestion, Method, judge_comparisons, soft_label
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


def compare_samples(
    prompts: Sequence[Prompt], samples: Mapping[str, tuple[str | Failure, ...]], *, model: str
) -> tuple[Comparison, ...]:
    """Return one comparison of the first two samples for each prompt where both exist and differ."""
    comparisons: list[Comparison] = []
    for prompt in prompts:
        first, second = samples[prompt.id][:2]
        if isinstance(first, Failure) or isinstance(second, Failure) or first == second:
            continue
        if first and second:
            comparisons.append(_comparison(prompt, (first, model), (second, model)))
    return tuple(comparisons)


def label_comparisons(
    tasks: Sequence[LabelTask],
    choose: Choose,
    *,
    judge: str,
    principles: Literal["one", "mean"] = "one",
    method: Method = "both-orders",
    seed: int = 0,
) -> tuple[Preference, ...]:
    """Return a preference with its votes for every task; `prob_a` is None where no vote can be read."""
    asked = [_principles(task, principles, seed) for task in tasks]
    questions = [
        JudgeQuestion(task.comparison, principle.id, principle.comparison)
        for task, own in zip(tasks, asked, strict=True)
        for principle in own
    ]
    votes = iter(judge_comparisons(questions, choose, method=method, seed=seed))
    preferences: list[Preference] = []
    for task, own in zip(tasks, asked, strict=True):
        cast = tuple(vote for _ in own for vote in next(votes))
        preferences.append(
            Preference(
                comparison=task.comparison,
                prob_a=_mean_over_principles(cast, [principle.id for principle in own]),
                origin="asked",
                judge=judge,
                constitution_hash=task.constitution.hash,
                votes=cast,
            )
        )
    return tuple(preferences)


def construct_from_revisions(
    chains: Sequence[RevisionChain], constitution: Constitution, *, prob: float, n: int
) -> tuple[Preference, ...]:
    """Return up to `n` preferences "last revision over draft", with the stated probability `prob`."""
    rows: list[Preference] = []
    for chain in chains[:n]:
        if chain.revisions and chain.revisions[-1].text != chain.draft:
            better = (chain.revisions[-1].text, "revision")
            rows.append(_constructed(chain.prompt, better, (chain.draft, "draft"), prob=prob))
    return tuple(replace(row, constitution_hash=constitution.hash) for row in rows)


def construct_from_mismatch(
    prompts: Sequence[Prompt], answers: Mapping[str, str], strangers: Sequence[str], *, prob: float, n: int
) -> tuple[Preference, ...]:
    """Return up to `n` preferences "the answer to a helpful prompt over one written for another prompt".

    They keep the preference model from learning that declining is always better: `strangers` are
    revisions of red-team drafts, many of which decline.
    """
    rows: list[Preference] = []
    for prompt in [prompt for prompt in prompts if answers.get(prompt.id)][:n] if strangers else []:
        stranger = strangers[derive_seed(0, "mismatch", prompt.id) % len(strangers)]
        if stranger != answers[prompt.id]:
            better = (answers[prompt.id], "answer")
            rows.append(_constructed(prompt, better, (stranger, "other prompt's answer"), prob=prob))
    return tuple(rows)


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
