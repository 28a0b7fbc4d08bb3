"""Pairs: what is compared, what is skipped and under which name, and where the better answer stands."""

from collections import Counter

import pytest

from by_rule import finish
from publius.constitution import load_constitution
from publius.engines.protocol import Completion, Failure, GenerateRequest, Sampling
from publius.feedback.contrast import Contrast, contrast_messages, sample_contrast
from publius.feedback.pairs import (
    Pair,
    pairs_from_chain,
    pairs_from_mismatch,
    sampled_pair,
)
from publius.records import Prompt, Revision, RevisionChain, content_hash, conversation, split_of

PRINCIPLE = load_constitution("hhh").principles[0]


def prompt(id: str, purpose: str = "red-team") -> Prompt:
    text = f"Question {id}?"
    return Prompt(id, purpose, "k", split_of(conversation(("user", text))), conversation(("user", text)))


def chain(id: str, *revisions: str) -> RevisionChain:
    rounds = tuple(Revision(i, "kind", "sha256:x", None, "r", text, 0) for i, text in enumerate(revisions, 1))
    return RevisionChain(prompt(id), f"draft {id}", "policy", "critic", rounds)


def better_over_worse(pair: Pair | str) -> tuple[str, str, str, str]:
    assert isinstance(pair, Pair)
    item = pair.comparison if pair.better == "a" else pair.comparison.swap()
    return item.answer_a, item.answer_b, item.source_a, item.source_b


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (("same", "same"), "identical answers"),
        (("same", " same\n"), "identical answers"),
        (("one", Failure("c/1", "input", "long")), "no answer"),
        (("", "two"), "empty answer"),
        (("one", " \n"), "empty answer"),
    ],
)
def test_samples_that_cannot_be_compared_are_a_reason(
    samples: tuple[str | Failure, ...], reason: str
) -> None:
    assert sampled_pair(prompt("a"), samples, model="sft") == reason


def test_two_samples_are_a_pair_of_which_nothing_is_known() -> None:
    pair = sampled_pair(prompt("a"), ("one", "two"), model="sft")
    assert isinstance(pair, Pair)
    assert (pair.comparison.prompt_id, pair.comparison.answer_a, pair.comparison.answer_b) == (
        "a",
        "one",
        "two",
    )
    assert (pair.purpose, pair.better, pair.principle_id) == ("red-team", None, None)
    assert pair.comparison.id == content_hash(["a", "one", "two"])


def test_the_last_revision_is_better_than_the_draft() -> None:
    chains = [chain("a", "worse", "best"), chain("b"), chain("c", "x", "draft c"), chain("d", " ")]
    found = [item for one in chains for item in pairs_from_chain(one, which="last-over-draft")]
    assert better_over_worse(found[0]) == ("best", "draft a", "revision 2", "draft")
    assert found[1:] == ["no revision", "identical answers", "empty answer"]


def test_every_round_is_better_than_all_before_it_and_says_which() -> None:
    found = [
        better_over_worse(pair)[2:] for pair in pairs_from_chain(chain("a", "x", "y"), which="every-round")
    ]
    assert found == [("revision 1", "draft"), ("revision 2", "draft"), ("revision 2", "revision 1")]


def test_an_answer_that_comes_back_is_not_better_than_what_came_between() -> None:
    found = list(pairs_from_chain(chain("a", "x", "draft a", "y"), which="every-round"))
    assert found.count("identical answers") == 1
    assert [better_over_worse(pair)[:2] for pair in found if isinstance(pair, Pair)] == [
        ("x", "draft a"), ("y", "draft a"), ("y", "x"),
    ]  # fmt: skip


def test_the_better_answer_stands_on_either_side() -> None:
    found = [
        pair for i in range(200) for pair in pairs_from_chain(chain(str(i), "b"), which="last-over-draft")
    ]
    n_first = Counter(pair.better for pair in found if isinstance(pair, Pair))["a"]
    assert 60 < n_first < 140  # 4 standard deviations


def test_an_answer_is_better_than_one_for_another_prompt() -> None:
    answered = [(prompt("h1", "helpful"), "Boil it."), (prompt("h2", "helpful"), "I'd rather not.")]
    first, second = pairs_from_mismatch(answered, ["I'd rather not."])
    assert better_over_worse(first)[:2] == ("Boil it.", "I'd rather not.")
    assert isinstance(first, Pair)
    assert first.purpose == "helpful"
    assert second == "identical answers"
    assert list(pairs_from_mismatch(answered, [])) == []


def test_a_principle_and_its_opposite_are_told_to_the_policy() -> None:
    asked = conversation(("user", "One?"), ("assistant", "Yes."), ("user", "Two?"))
    for_it, against_it = contrast_messages(asked, PRINCIPLE, "system")
    assert [message.role for message in for_it] == ["system", "user", "assistant", "user"]
    assert for_it[1:] == against_it[1:] == asked
    assert PRINCIPLE.statement in for_it[0].content
    assert PRINCIPLE.statement in against_it[0].content
    assert "opposite" in against_it[0].content
    assert "opposite" not in for_it[0].content.replace(PRINCIPLE.statement, "")


def test_a_system_message_stays_and_is_one() -> None:
    asked = conversation(("system", "Be brief."), ("user", "One?"))
    for_it, _ = contrast_messages(asked, PRINCIPLE, "system")
    assert [message.role for message in for_it] == ["system", "user"]
    assert for_it[0].content.startswith("Be brief.\n\n")


def test_a_suffix_follows_the_last_turn() -> None:
    asked = conversation(("user", "One?"), ("assistant", "Yes."), ("user", "Two?"))
    _, against_it = contrast_messages(asked, PRINCIPLE, "suffix")
    assert against_it[:-1] == asked[:-1]
    assert against_it[-1].content.startswith("Two?\n\n(")


def policy(request: GenerateRequest) -> Completion | Failure:
    """A policy that does as it is told."""
    text = "Mean. And" if "opposite" in request.messages[0].content else "Kind. And"
    return Completion(request.id, text, "length", 5, 2)


def test_a_contrast_pair_shows_the_plain_prompt_and_knows_the_better_answer() -> None:
    how = Contrast("system", Sampling(8), seed=3)
    pair = finish(sample_contrast(prompt("a"), PRINCIPLE, how), policy)
    assert better_over_worse(pair) == ("Kind.", "Mean.", f"for {PRINCIPLE.id}", f"against {PRINCIPLE.id}")
    assert pair.comparison.messages == prompt("a").messages
    assert pair.principle_id == PRINCIPLE.id


def test_both_answers_of_a_contrast_have_their_own_seeds() -> None:
    seeds: list[int] = []

    def note(request: GenerateRequest) -> Completion | Failure:
        seeds.append(request.sampling.seed)
        return policy(request)

    finish(sample_contrast(prompt("a"), PRINCIPLE, Contrast("suffix", Sampling(8), seed=3)), note)
    finish(sample_contrast(prompt("b"), PRINCIPLE, Contrast("suffix", Sampling(8), seed=3)), note)
    assert len(set(seeds)) == 4


def test_a_contrast_without_an_answer_is_a_reason() -> None:
    def mute(request: GenerateRequest) -> Completion | Failure:
        return Failure(request.id, "input", "too long") if "/against" in request.id else policy(request)

    how = Contrast("system", Sampling(8), seed=3)
    assert finish(sample_contrast(prompt("a"), PRINCIPLE, how), mute) == "no answer"

    def stubborn(request: GenerateRequest) -> Completion:
        return Completion(request.id, "Eh.", "stop", 1, 1)

    same = finish(sample_contrast(prompt("a"), PRINCIPLE, how), stubborn)
    assert same == "identical answers"
