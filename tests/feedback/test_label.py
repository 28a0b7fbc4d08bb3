"""Labels asked and constructed; the arithmetic of means, and what is left out."""

import math
from collections.abc import Callable, Mapping

import pytest

from by_rule import finish
from publius.constitution import Constitution, load_constitution
from publius.engines.protocol import Choice, ChooseRequest, Failure
from publius.feedback.label import (
    LabelTask,
    compare_samples,
    construct_from_mismatch,
    construct_from_revisions,
    label_comparison,
)
from publius.records import Comparison, Prompt, Revision, RevisionChain, conversation, split_of


def prompt(id: str, purpose: str = "red-team") -> Prompt:
    text = f"Question {id}?"
    return Prompt(id, purpose, "k", split_of(text), conversation(("user", text)))  # type: ignore[arg-type]


def by_principle(probs: Mapping[str, float]) -> Callable[[ChooseRequest], Choice]:
    """A judge without order bias whose P(first) depends on the question asked."""

    def choose(request: ChooseRequest) -> Choice:
        _, principle_id, order = request.id.rsplit("/", 2)
        prob = probs[principle_id] if order == "ab" else 1 - probs[principle_id]
        return Choice(request.id, (math.log(prob), math.log(1 - prob)), 1)

    return choose


def compared(id: str) -> Comparison:
    comparison = compare_samples(prompt(id), ("one", "two"), model="sft")
    assert comparison is not None
    return comparison


@pytest.fixture(scope="module")
def hhh() -> Constitution:
    return load_constitution("hhh")


@pytest.mark.parametrize(
    "samples", [("same", "same"), ("one", Failure("c/1", "input", "long")), ("", "two"), ("one", "")]
)
def test_a_pair_that_cannot_be_compared_is_no_comparison(samples: tuple[str | Failure, ...]) -> None:
    assert compare_samples(prompt("a"), samples, model="sft") is None


def test_two_samples_are_a_comparison() -> None:
    comparison = compared("a")
    assert (comparison.prompt_id, comparison.answer_a, comparison.answer_b) == ("a", "one", "two")


def test_the_mean_over_principles_is_the_arithmetic_mean(hhh: Constitution) -> None:
    probs = dict(zip([principle.id for principle in hhh.principles], (0.9, 0.6, 0.3), strict=True))
    flow = label_comparison(LabelTask(compared("a"), hhh), judge="judge", principles="mean")
    preference = finish(flow, by_principle(probs))
    assert preference.prob_a == pytest.approx(0.6)
    assert len(preference.votes) == 6
    assert preference.constitution_hash == hhh.hash


def test_one_principle_is_drawn_for_every_comparison_uniformly(hhh: Constitution) -> None:
    probs = {principle.id: 0.5 for principle in hhh.principles}
    labelled = [
        finish(label_comparison(LabelTask(compared(str(i)), hhh), judge="j"), by_principle(probs))
        for i in range(600)
    ]
    counts = {id: sum(item.votes[0].principle_id == id for item in labelled) for id in probs}
    assert sum(counts.values()) == 600
    chi_squared = sum((n - 200) ** 2 / 200 for n in counts.values())
    assert chi_squared < 13.8  # 2 degrees of freedom, p = 0.001


def chain(id: str, *revisions: str) -> RevisionChain:
    rounds = tuple(Revision(i, "kind", "sha256:x", None, "r", text, 0) for i, text in enumerate(revisions, 1))
    return RevisionChain(prompt(id), f"draft {id}", "policy", "critic", rounds)


def test_a_revision_is_preferred_to_its_draft_with_the_stated_probability(hhh: Constitution) -> None:
    chains = [chain("a", "better", "best"), chain("b"), chain("c", "draft c")]
    (preference,) = construct_from_revisions(chains, hhh, prob=0.9)
    upright = preference if preference.comparison.source_a == "revision" else preference.swap()
    assert upright.prob_a == pytest.approx(0.9)
    assert (upright.comparison.answer_a, upright.comparison.answer_b) == ("best", "draft a")
    assert upright.origin == "construction"


def test_the_better_answer_stands_on_either_side(hhh: Constitution) -> None:
    rows = construct_from_revisions([chain(str(i), "better") for i in range(200)], hhh, prob=0.9)
    first = sum(row.comparison.source_a == "revision" for row in rows)
    assert 60 < first < 140


def test_an_answer_is_preferred_to_one_for_another_prompt() -> None:
    answered = [(prompt("h1", "helpful"), "Boil it."), (prompt("h2", "helpful"), "I'd rather not.")]
    (row,) = construct_from_mismatch(answered, ["I'd rather not."], prob=0.8)
    upright = row if row.comparison.source_a == "answer" else row.swap()
    assert (upright.comparison.answer_a, upright.prob_a) == ("Boil it.", pytest.approx(0.8))
    assert list(construct_from_mismatch(answered, [], prob=0.8)) == []
