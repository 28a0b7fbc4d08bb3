"""Labels asked and constructed; the arithmetic of means, and what is left out."""

import math
from collections.abc import Mapping, Sequence

import pytest

from publius.constitution import Constitution, load_constitution
from publius.engines.protocol import Choice, ChooseRequest, Failure
from publius.feedback.label import (
    LabelTask,
    compare_samples,
    construct_from_mismatch,
    construct_from_revisions,
    label_comparisons,
)
from publius.records import Prompt, Revision, RevisionChain, conversation, split_of


def prompt(id: str, purpose: str = "red-team") -> Prompt:
    text = f"Question {id}?"
    return Prompt(id, purpose, "k", split_of(text), conversation(("user", text)))  # type: ignore[arg-type]


def by_principle(probs: Mapping[str, float]):
    """A judge without order bias whose P(first) depends on the question asked."""

    def choose(requests: Sequence[ChooseRequest]) -> dict[str, Choice | Failure]:
        answers: dict[str, Choice | Failure] = {}
        for request in requests:
            _, principle_id, order = request.id.rsplit("/", 2)
            prob = probs[principle_id] if order == "ab" else 1 - probs[principle_id]
            answers[request.id] = Choice(request.id, (math.log(prob), math.log(1 - prob)), 1)
        return answers

    return choose


@pytest.fixture(scope="module")
def hhh() -> Constitution:
    return load_constitution("hhh")


def test_pairs_that_cannot_be_compared_are_left_out() -> None:
    prompts = [prompt(id) for id in "abcd"]
    samples = {
        "a": ("one", "two"),
        "b": ("same", "same"),
        "c": ("one", Failure("c/1", "input", "long")),
        "d": ("", "two"),
    }
    (comparison,) = compare_samples(prompts, samples, model="sft")
    assert (comparison.prompt_id, comparison.answer_a, comparison.answer_b) == ("a", "one", "two")


def test_the_mean_over_principles_is_the_arithmetic_mean(hhh: Constitution) -> None:
    (comparison,) = compare_samples([prompt("a")], {"a": ("one", "two")}, model="sft")
    probs = dict(zip([principle.id for principle in hhh.principles], (0.9, 0.6, 0.3), strict=True))
    (preference,) = label_comparisons(
        [LabelTask(comparison, hhh)], by_principle(probs), judge="judge", principles="mean"
    )
    assert preference.prob_a == pytest.approx(0.6)
    assert len(preference.votes) == 6
    assert preference.constitution_hash == hhh.hash


def test_one_principle_is_drawn_for_every_comparison_uniformly(hhh: Constitution) -> None:
    prompts = [prompt(str(i)) for i in range(600)]
    comparisons = compare_samples(prompts, {item.id: ("one", "two") for item in prompts}, model="sft")
    probs = {principle.id: 0.5 for principle in hhh.principles}
    labelled = label_comparisons(
        [LabelTask(item, hhh) for item in comparisons], by_principle(probs), judge="j"
    )
    counts = {id: sum(item.votes[0].principle_id == id for item in labelled) for id in probs}
    assert sum(counts.values()) == 600
    chi_squared = sum((n - 200) ** 2 / 200 for n in counts.values())
    assert chi_squared < 13.8  # 2 degrees of freedom, p = 0.001


def chain(id: str, *revisions: str) -> RevisionChain:
    rounds = tuple(Revision(i, "kind", "sha256:x", None, "r", text, 0) for i, text in enumerate(revisions, 1))
    return RevisionChain(prompt(id), f"draft {id}", "policy", "critic", rounds)


def test_a_revision_is_preferred_to_its_draft_with_the_stated_probability(hhh: Constitution) -> None:
    chains = [chain("a", "better", "best"), chain("b"), chain("c", "draft c")]
    (preference,) = construct_from_revisions(chains, hhh, prob=0.9, n=10)
    upright = preference if preference.comparison.source_a == "revision" else preference.swap()
    assert upright.prob_a == pytest.approx(0.9)
    assert (upright.comparison.answer_a, upright.comparison.answer_b) == ("best", "draft a")
    assert upright.origin == "construction"


def test_the_better_answer_stands_on_either_side(hhh: Constitution) -> None:
    rows = construct_from_revisions([chain(str(i), "better") for i in range(200)], hhh, prob=0.9, n=200)
    first = sum(row.comparison.source_a == "revision" for row in rows)
    assert 60 < first < 140


def test_an_answer_is_preferred_to_one_for_another_prompt() -> None:
    helpful = [prompt("h1", "helpful"), prompt("h2", "helpful")]
    (row,) = construct_from_mismatch(
        helpful, {"h1": "Boil it.", "h2": ""}, ["I'd rather not."], prob=0.8, n=9
    )
    upright = row if row.comparison.source_a == "answer" else row.swap()
    assert (upright.comparison.answer_a, upright.prob_a) == ("Boil it.", pytest.approx(0.8))
    assert construct_from_mismatch(helpful, {"h1": "Boil it."}, [], prob=0.8, n=9) == ()
