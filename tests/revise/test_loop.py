"""Critique and revision rounds, driven by rules instead of a model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from by_rule import finish
from publius.constitution import load_constitution
from publius.engines.protocol import Answer, Completion, Failure, GenerateRequest, Sampling
from publius.records import Prompt, RevisionChain, conversation, split_of
from publius.revise.demonstrations import helpful_demonstrations, revision_demonstrations
from publius.revise.loop import Critic, revise, start_chain
from publius.revise.prompts import shipped_exemplars

Rule = Callable[[GenerateRequest], str | Failure]
HARMLESSNESS = load_constitution("harmlessness")


def revised(
    chains: tuple[RevisionChain, ...],
    rule: Rule,
    how: Critic | None = None,
    asked: list[GenerateRequest] | None = None,
) -> list[RevisionChain]:
    """Return the chains revised by a critic that speaks by the rule; `asked` collects its requests."""

    def answer(request: GenerateRequest) -> Answer:
        if asked is not None:
            asked.append(request)
        text = rule(request)
        return text if isinstance(text, Failure) else Completion(request.id, text, "stop", 1, 1)

    return [finish(revise(chain, how or critic()), answer) for chain in chains]


def critic(rounds: int = 1, mode: Literal["critique", "direct"] = "critique", n_exemplars: int = 1) -> Critic:
    exemplars = shipped_exemplars()[:n_exemplars]
    return Critic(HARMLESSNESS, rounds, mode, Sampling(32), Sampling(32), exemplars, tries=3, seed=0)


def echo(request: GenerateRequest) -> str:
    return f"text of {request.id}"


def prompts(n: int) -> tuple[Prompt, ...]:
    texts = [f"Question {i}?" for i in range(n)]
    return tuple(
        Prompt(f"p{i}", "red-team", "k", split_of(conversation(("user", text))), conversation(("user", text)))
        for i, text in enumerate(texts)
    )


def chains(n: int) -> tuple[RevisionChain, ...]:
    return tuple(
        start_chain(prompt, f"draft {prompt.id}", models=("policy", "critic")) for prompt in prompts(n)
    )


def test_a_round_asks_for_a_critique_and_then_for_a_revision_that_follows_it() -> None:
    asked: list[GenerateRequest] = []
    (chain,) = revised(chains(1), echo, asked=asked)
    first, second = asked
    revision = chain.revisions[0]
    principle = HARMLESSNESS.principle(revision.principle_id)
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


def test_the_answer_to_improve_can_be_left_out_of_sight() -> None:
    asked: list[GenerateRequest] = []
    revised(chains(1), echo, replace(critic(), show_answer=False), asked)
    critique, revision = asked
    assert "> draft p0" in critique.messages[-1].content
    assert all("draft p0" not in turn.content for turn in revision.messages)


def test_a_revision_can_be_asked_after_the_message() -> None:
    asked: list[GenerateRequest] = []
    (chain,) = revised(chains(1), echo, replace(critic(), layout="suffix"), asked)
    principle = HARMLESSNESS.principle(chain.revisions[0].principle_id)
    system, *_, last = asked[1].messages
    assert principle.revision not in system.content
    assert principle.revision in last.content
    assert "> text of p0/1/critique/0" in last.content


def test_direct_revision_never_shows_a_critique() -> None:
    asked: list[GenerateRequest] = []
    (chain,) = revised(chains(1), echo, critic(mode="direct", n_exemplars=5), asked)
    assert chain.revisions[0].critique is None
    assert "> draft p0" in asked[0].messages[0].content
    critiques = {exemplar.critique for exemplar in shipped_exemplars()}
    shown = {turn.content for request in asked for turn in request.messages}
    assert not shown & critiques
    assert len(asked) == 1


def test_the_next_round_revises_the_last_revision() -> None:
    asked: list[GenerateRequest] = []
    (chain,) = revised(chains(1), echo, critic(rounds=3), asked)
    assert [revision.round for revision in chain.revisions] == [1, 2, 3]
    assert "> text of p0/1/revision/0" in asked[2].messages[-1].content
    assert "> draft p0" not in asked[2].messages[-1].content


def test_principles_are_drawn_anew_for_every_prompt_and_round() -> None:
    own = revised(chains(200), echo, critic(rounds=2, mode="direct"))
    first = [chain.revisions[0].principle_id for chain in own]
    second = [chain.revisions[1].principle_id for chain in own]
    assert set(first) == {principle.id for principle in HARMLESSNESS.principles}
    agree = sum(a == b for a, b in zip(first, second, strict=True))
    assert agree < 30  # 200 / 16 = 12.5 expected, ± 5 standard deviations
    again = revised(chains(200), echo, critic(mode="direct"))
    assert [chain.revisions[0].principle_id for chain in again] == first


def test_a_leak_is_cut_and_counted() -> None:
    def leaky(request: GenerateRequest) -> str:
        return (
            "I would rather help.\n\nCritique Request: Say more" if "revision" in request.id else "Too harsh."
        )

    (chain,) = revised(chains(1), leaky)
    assert chain.revisions[0].text == "I would rather help."
    assert chain.revisions[0].n_leaks == 1


def test_an_empty_text_is_asked_again_with_another_seed_and_given_up_after_the_tries() -> None:
    asked: list[GenerateRequest] = []

    def silent_for_p1(request: GenerateRequest) -> str:
        return "Human: hello" if request.id.startswith("p1/1/revision") else echo(request)

    one, two = revised(chains(2), silent_for_p1, critic(rounds=2), asked)
    assert one.failure is None
    assert two.failure == "round 1, revision: nothing readable in 3 tries"
    tries = [request for request in asked if request.id.startswith("p1/1/revision")]
    assert len({request.sampling.seed for request in tries}) == 3
    assert [len(chain.revisions) for chain in (one, two)] == [2, 0]


def test_a_prompt_that_cannot_be_served_ends_its_own_chain_only() -> None:
    def too_long(request: GenerateRequest) -> str | Failure:
        return Failure(request.id, "input", "9000 tokens") if request.id.startswith("p0/") else echo(request)

    one, two = revised(chains(2), too_long)
    assert one.failure == "round 1, critique: input: 9000 tokens"
    assert len(two.revisions) == 1


def test_an_empty_draft_is_a_failure_of_its_chain() -> None:
    one, two = prompts(2)
    models = ("policy", "critic")
    assert start_chain(one, "", models=models).failure == "draft: the answer is empty"
    failed = start_chain(two, Failure("p1/0", "input", "too long"), models=models)
    assert failed.failure == "draft: too long"
    asked: list[GenerateRequest] = []
    assert revised((failed,), echo, asked=asked) == [failed]
    assert asked == []


def test_demonstrations_are_all_rounds_or_the_last_and_every_text_once() -> None:
    def same_in_round_two(request: GenerateRequest) -> str:
        return "text of p0/1/revision/0" if request.id.startswith("p0/2/revision") else echo(request)

    own = revised(chains(2), same_in_round_two, critic(rounds=2))
    everything = [row for chain in own for row in revision_demonstrations(chain, learn_from="all")]
    last = [row for chain in own for row in revision_demonstrations(chain, learn_from="last")]
    assert [(row.answer, row.round) for row in everything] == [
        ("text of p0/1/revision/0", 1),
        ("text of p1/1/revision/0", 1),
        ("text of p1/2/revision/0", 2),
    ]
    assert [row.round for row in last] == [2, 2]
    assert len({row.id for row in everything}) == 3


def test_helpful_samples_become_demonstrations_unless_they_failed() -> None:
    (own,) = prompts(1)
    rows = helpful_demonstrations(own, ("Here.", "", Failure("p0/2", "input", "long")))
    assert [row.answer for row in rows] == ["Here."]
