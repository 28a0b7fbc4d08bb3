"""Critique and revision rounds, driven by rules instead of a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from publius.constitution import Constitution, load_constitution
from publius.engines.protocol import Completion, Failure, GenerateRequest, Sampling
from publius.records import Prompt, RevisionChain, conversation, split_of
from publius.revise.demonstrations import helpful_demonstrations, revision_demonstrations
from publius.revise.loop import Critic, revise_once, start_chains
from publius.revise.prompts import shipped_exemplars

Rule = Callable[[GenerateRequest], str | Failure]


def model(rule: Rule, asked: list[GenerateRequest] | None = None):
    def generate(requests: Sequence[GenerateRequest]) -> Mapping[str, Completion | Failure]:
        if asked is not None:
            asked.extend(requests)
        answers = {request.id: rule(request) for request in requests}
        return {
            id: text if isinstance(text, Failure) else Completion(id, text, "stop", 1, 1)
            for id, text in answers.items()
        }

    return generate


def critic(rule: Rule, asked: list[GenerateRequest] | None = None, n_exemplars: int = 1) -> Critic:
    sampling = Sampling(32)
    return Critic(model(rule, asked), sampling, sampling, shipped_exemplars()[:n_exemplars], tries=3)


def echo(request: GenerateRequest) -> str:
    return f"text of {request.id}"


def prompts(n: int) -> tuple[Prompt, ...]:
    texts = [f"Question {i}?" for i in range(n)]
    return tuple(
        Prompt(f"p{i}", "red-team", "k", split_of(text), conversation(("user", text)))
        for i, text in enumerate(texts)
    )


def chains(n: int) -> tuple[RevisionChain, ...]:
    own = prompts(n)
    return start_chains(
        own, {prompt.id: (f"draft {prompt.id}",) for prompt in own}, models=("policy", "critic")
    )


@pytest.fixture(scope="module")
def harmlessness() -> Constitution:
    return load_constitution("harmlessness")


def test_a_round_asks_for_a_critique_and_then_for_a_revision_that_follows_it(
    harmlessness: Constitution,
) -> None:
    asked: list[GenerateRequest] = []
    (chain,) = revise_once(chains(1), harmlessness, critic(echo, asked), round=1, mode="critique", seed=0)
    first, second = asked
    revision = chain.revisions[0]
    principle = harmlessness.principle(revision.principle_id)
    assert first.messages[-1].content.endswith(principle.critique)
    assert "> draft p0" in first.messages[-1].content
    assert second.messages[-1] == chain.prompt.messages[-1]
    system = second.messages[0].content
    assert "> draft p0" in system
    assert "> text of p0/1/critique/0" in system
    assert principle.revision in system
    assert revision.critique is not None
    assert revision.critique.text == "text of p0/1/critique/0"
    assert revision.text == "text of p0/1/revision/0"
    assert revision.principle_hash == principle.hash


def test_the_answer_to_improve_can_be_left_out_of_sight(harmlessness: Constitution) -> None:
    asked: list[GenerateRequest] = []
    blind = replace(critic(echo, asked), show_answer=False)
    revise_once(chains(1), harmlessness, blind, round=1, mode="critique", seed=0)
    critique, revision = asked
    assert "> draft p0" in critique.messages[-1].content
    assert all("draft p0" not in turn.content for turn in revision.messages)


def test_direct_revision_never_shows_a_critique(harmlessness: Constitution) -> None:
    asked: list[GenerateRequest] = []
    (chain,) = revise_once(chains(1), harmlessness, critic(echo, asked, 5), round=1, mode="direct", seed=0)
    assert chain.revisions[0].critique is None
    assert "> draft p0" in asked[0].messages[0].content
    critiques = {exemplar.critique for exemplar in shipped_exemplars()}
    shown = {turn.content for request in asked for turn in request.messages}
    assert not shown & critiques
    assert len(asked) == 1


def test_the_next_round_revises_the_last_revision(harmlessness: Constitution) -> None:
    asked: list[GenerateRequest] = []
    own = chains(1)
    for round in (1, 2, 3):
        own = revise_once(own, harmlessness, critic(echo, asked), round=round, mode="critique", seed=0)
    assert [revision.round for revision in own[0].revisions] == [1, 2, 3]
    assert "> text of p0/1/revision/0" in asked[2].messages[-1].content
    assert "> draft p0" not in asked[2].messages[-1].content


def test_principles_are_drawn_anew_for_every_prompt_and_round(harmlessness: Constitution) -> None:
    own = chains(200)
    for round in (1, 2):
        own = revise_once(own, harmlessness, critic(echo), round=round, mode="direct", seed=0)
    first = [chain.revisions[0].principle_id for chain in own]
    second = [chain.revisions[1].principle_id for chain in own]
    assert set(first) == {principle.id for principle in harmlessness.principles}
    agree = sum(a == b for a, b in zip(first, second, strict=True))
    assert agree < 30  # 200 / 16 = 12.5 expected, ± 5 standard deviations
    again = revise_once(chains(200), harmlessness, critic(echo), round=1, mode="direct", seed=0)
    assert [chain.revisions[0].principle_id for chain in again] == first


def test_a_leak_is_cut_and_counted(harmlessness: Constitution) -> None:
    def leaky(request: GenerateRequest) -> str:
        return (
            "I would rather help.\n\nCritique Request: Say more" if "revision" in request.id else "Too harsh."
        )

    (chain,) = revise_once(chains(1), harmlessness, critic(leaky), round=1, mode="critique", seed=0)
    assert chain.revisions[0].text == "I would rather help."
    assert chain.revisions[0].n_leaks == 1


def test_an_empty_text_is_asked_again_with_another_seed_and_given_up_after_the_tries(
    harmlessness: Constitution,
) -> None:
    asked: list[GenerateRequest] = []

    def silent_for_p1(request: GenerateRequest) -> str:
        return "Human: hello" if request.id.startswith("p1/1/revision") else echo(request)

    one, two = revise_once(
        chains(2), harmlessness, critic(silent_for_p1, asked), round=1, mode="critique", seed=0
    )
    assert one.failure is None
    assert two.failure == "round 1, revision: nothing readable in 3 tries"
    tries = [request for request in asked if request.id.startswith("p1/1/revision")]
    assert len({request.sampling.seed for request in tries}) == 3
    later = revise_once((one, two), harmlessness, critic(echo), round=2, mode="critique", seed=0)
    assert [len(chain.revisions) for chain in later] == [2, 0]


def test_a_prompt_that_cannot_be_served_ends_its_own_chain_only(harmlessness: Constitution) -> None:
    def too_long(request: GenerateRequest) -> str | Failure:
        return Failure(request.id, "input", "9000 tokens") if request.id.startswith("p0/") else echo(request)

    one, two = revise_once(chains(2), harmlessness, critic(too_long), round=1, mode="critique", seed=0)
    assert one.failure == "round 1, critique: input: 9000 tokens"
    assert len(two.revisions) == 1


def test_an_empty_draft_is_a_failure_of_its_chain() -> None:
    own = prompts(2)
    drafts = {"p0": ("",), "p1": (Failure("p1/0", "input", "too long"),)}
    one, two = start_chains(own, drafts, models=("policy", "critic"))
    assert one.failure == "draft: the answer is empty"
    assert two.failure == "draft: too long"


def test_demonstrations_are_all_rounds_or_the_last_and_every_text_once(harmlessness: Constitution) -> None:
    def same_in_round_two(request: GenerateRequest) -> str:
        return "text of p0/1/revision/0" if request.id.startswith("p0/2/revision") else echo(request)

    own = chains(2)
    for round in (1, 2):
        own = revise_once(own, harmlessness, critic(same_in_round_two), round=round, mode="critique", seed=0)
    everything = revision_demonstrations(own, learn_from="all")
    last = revision_demonstrations(own, learn_from="last")
    assert [(row.answer, row.round) for row in everything] == [
        ("text of p0/1/revision/0", 1),
        ("text of p1/1/revision/0", 1),
        ("text of p1/2/revision/0", 2),
    ]
    assert [row.round for row in last] == [2, 2]
    assert len({row.id for row in everything}) == 3


def test_helpful_samples_become_demonstrations_unless_they_failed() -> None:
    own = prompts(1)
    rows = helpful_demonstrations(own, {"p0": ("Here.", "", Failure("p0/2", "input", "long"))})
    assert [row.answer for row in rows] == ["Here."]
