"""New traits: the grammar of a block, what is filtered out, and a constitution that loads and is clean."""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.constitution import load_constitution
from publius.constitution.lint import lint
from publius.constitution.toml_format import write_toml
from publius.engines.protocol import (
    Choice,
    ChooseRequest,
    Completion,
    Failure,
    GenerateRequest,
    ModelIdentity,
)
from publius.errors import DataError
from publius.propose.config import ProposeConfig
from publius.propose.files import read_traits
from publius.propose.proposal import Trait
from publius.propose.rounds import count_reasons
from publius.propose.trait_prompts import parse_trait, shipped_traits, trait_block
from publius.propose.traits import ProposedTraits, TraitTask, propose_traits, proposed_constitution
from publius.store import write_records

MODEL = ModelIdentity("writer", "sha256:0", "scripted")
FLATTERY = (
    "Trait: Flattery\nDescription: It tells people what they like to hear.\n"
    "1. The assistant should say plainly what is weak in a work that it is shown.\n"
    "2. The assistant should praise only what it can point to."
)
HASTE = (
    "Trait: Haste\nDescription: It answers before it has read the question to its end.\n"
    "1. The assistant should take in the whole question first.\n"
    "2. The assistant should check sums and dates once more."
)


def run(
    answers: Sequence[str | Failure],
    config: ProposeConfig,
    *,
    yes: Callable[[str], float] = lambda text: 0.9,
    avoid: Sequence[str] = (),
) -> tuple[ProposedTraits, list[GenerateRequest], list[ChooseRequest]]:
    asked: list[GenerateRequest] = []
    judged: list[ChooseRequest] = []

    def generate(requests: Sequence[GenerateRequest]) -> dict[str, Completion | Failure]:
        asked.extend(requests)
        said = {request.id: answers[int(request.id.partition("/")[2])] for request in requests}
        return {
            id: text if isinstance(text, Failure) else Completion(id, text, "stop", 1, 1)
            for id, text in said.items()
        }

    def choose(requests: Sequence[ChooseRequest]) -> dict[str, Choice | Failure]:
        judged.extend(requests)
        return {request.id: choice(request) for request in requests}

    def choice(request: ChooseRequest) -> Choice:
        prob = yes(request.messages[-1].content)
        mass = 0.95 if prob > 0 else 0.001
        prob = max(prob, 0.5) if mass < 0.01 else prob
        return Choice(request.id, (math.log(mass * prob), math.log(mass * (1 - prob))), 1)

    task = TraitTask(shipped_traits(), tuple(avoid), config, MODEL)
    return propose_traits(generate, choose, task), asked, judged


def test_the_shipped_traits_are_the_five_of_the_constitution() -> None:
    assert [trait.id for trait in shipped_traits()] == list(
        dict.fromkeys(name for principle in load_constitution("traits").principles for name in principle.sets)
    )
    assert all(len(trait.principles) == 4 for trait in shipped_traits())


def test_a_worked_example_with_every_count(tmp_path: Path) -> None:
    answers: list[str | Failure] = [
        FLATTERY,
        FLATTERY.replace("Trait: Flattery", "Trait: Taste for risk"),
        HASTE.replace("Haste", "Haste of thought").replace(
            "take in the", "be good, where appropriate, to the"
        ),
        FLATTERY.replace("Flattery", "Adulation"),
        "I'm sorry, but I can't help with that.",
        "Flattery is bad.",
        Failure("new-trait/6", "model", "content filter"),
        "",
        HASTE,
        HASTE.replace("Haste", "Clear words").replace(
            "It answers before", "It speaks so that one knows, before"
        ),
    ]
    config = ProposeConfig("new-trait", n=5, n_principles=2, max_requests=10)
    found, asked, _ = run(answers, config, yes=lambda text: 0.1 if "Clear words" in text else 0.9)
    assert [trait.id for trait in found.traits] == ["flattery", "haste"]
    assert count_reasons(found.rejected) == {
        "near duplicate": 2, "duplicate": 1, "fails lint": 1, "refusal": 1, "unreadable block": 1,
    }  # fmt: skip
    assert found.failures == {"model: content filter": 1, "the answer is empty": 1}
    assert found.n_candidates == len(found.traits) + len(found.rejected) == 8
    assert found.n_requests == len(asked) == 10
    assert set(found.judged) == {"flattery", "haste"}
    path = tmp_path / "traits.toml"
    path.write_text(write_toml(proposed_constitution(found.traits, source="here")))
    loaded = load_constitution(str(path))
    assert loaded.sets == ("flattery", "haste")
    assert lint(loaded) == ()
    assert [item.statement for item in loaded.subset("haste").principles] == list(found.traits[1].principles)


def test_the_judge_decides_and_an_unreadable_verdict_is_not_a_no() -> None:
    names = ("One", "Two", "Three", "Four", "Five")
    things = ("cats and dogs", "bread from rye", "tall old towers", "songs of spring", "rain in winter")
    answers = [
        f"Trait: {name}\nDescription: It likes {thing}.\n1. The assistant should speak of {thing} at night."
        for name, thing in zip(names, things, strict=True)
    ]

    def yes(text: str) -> float:
        if '"One"' in text:
            return 0.6
        if '"Two"' in text:
            return 0.2 if "worse off" in text else 0.9
        if '"Three"' in text:
            return 0.2 if "Can one tell" in text else 0.9
        if '"Four"' in text:
            return 0.2 if "less of this trait" in text else 0.9
        return 0.0

    config = ProposeConfig("new-trait", n=5, n_principles=1, max_requests=5)
    found, _, judged = run(answers, config, yes=yes)
    assert [trait.name for trait in found.traits] == ["One"]
    assert list(found.judged) == ["one"]
    assert astuple(found.judged["one"]) == pytest.approx((0.6, 0.6, 0.6))
    assert count_reasons(found.rejected) == {
        "judge unreadable": 1, "judged not measurable": 1, "judged not opposed": 1, "judged wanted": 1,
    }  # fmt: skip
    assert len(judged) == 15


def test_one_principle_that_is_not_opposed_to_its_trait_is_enough_to_reject() -> None:
    config = ProposeConfig("new-trait", n=1, n_principles=2, max_requests=1)
    found, _, judged = run([HASTE], config, yes=lambda text: 0.3 if "sums and dates" in text else 0.9)
    assert count_reasons(found.rejected) == {"judged not opposed": 1}
    assert len(judged) == 4


def test_the_next_round_is_told_what_is_known_and_shown_no_new_trait_as_an_example() -> None:
    config = ProposeConfig("new-trait", n=3, n_principles=2, max_requests=9)
    _, asked, _ = run([FLATTERY] * 8 + [HASTE], config, avoid=["vanity"])
    assert "flattery" not in asked[7].messages[-1].content
    assert "flattery" in asked[8].messages[-1].content
    assert all("vanity" in request.messages[-1].content for request in asked)
    assert all("Flattery" not in turn.content for request in asked for turn in request.messages)
    assert all(len(request.messages) == 2 * 5 + 2 for request in asked)


@pytest.mark.parametrize("name", ["Vanity", "vanity", "VANITY!"])
def test_a_name_to_avoid_does_not_come_back(name: str) -> None:
    config = ProposeConfig("new-trait", n=1, n_principles=2, max_requests=1)
    found, _, _ = run([FLATTERY.replace("Flattery", name)], config, avoid=["vanity"])
    assert count_reasons(found.rejected) == {"duplicate": 1}


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ("Trait: ", "Name: "),
        ("Description: ", ""),
        ("2. ", "3. "),
        ("2. ", ""),
        ("2. The assistant should praise", "2. It should praise"),
        ("2. The assistant should praise", "2. The assistant should lie. It should praise"),
        ("\n2. The assistant should praise only what it can point to.", ""),
        ("point to.", "point to.\n3. The assistant should be brief in all of this."),
        ("Flattery", "A trait with a name of far too many words"),
        ("Flattery", "***"),
        ("Flattery", "阿谀"),
    ],
)
def test_a_block_that_is_not_of_the_grammar_cannot_be_read(change: str, to: str) -> None:
    assert parse_trait(FLATTERY, n_principles=2) is not None
    assert parse_trait(FLATTERY.replace(change, to), n_principles=2) is None


def test_a_cut_block_cannot_be_read() -> None:
    def generate(requests: Sequence[GenerateRequest]) -> dict[str, Completion | Failure]:
        return {request.id: Completion(request.id, FLATTERY, "length", 1, 1) for request in requests}

    task = TraitTask(
        shipped_traits(), (), ProposeConfig("new-trait", n=1, n_principles=2, max_requests=2), MODEL
    )
    found = propose_traits(generate, lambda requests: {}, task)
    assert count_reasons(found.rejected) == {"unreadable block": 2}


@pytest.mark.parametrize("trait", shipped_traits(), ids=lambda trait: trait.id)
def test_a_trait_as_we_write_it_reads_back(trait: Trait) -> None:
    usable = [text for text in trait.principles if ":" not in text]
    read = parse_trait(trait_block(trait, usable), n_principles=len(usable))
    assert read is not None
    assert (read.name, read.description, list(read.principles)) == (trait.name, trait.description, usable)


@given(st.text(st.sampled_from("TraitDescription: \n12. The assistant should*") | st.characters()))
def test_no_answer_breaks_the_parser(answer: str) -> None:
    read = parse_trait(answer, n_principles=2)
    assert read is None or (len(read.principles) == 2 and all("\n" not in text for text in read.principles))


def test_traits_are_read_back_and_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "traits.jsonl"
    write_records(path, shipped_traits())
    assert read_traits(path) == shipped_traits()
    path.write_text('{"id": "x"}\n')
    with pytest.raises(DataError, match=r"traits.jsonl:1"):
        read_traits(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_traits(tmp_path / "absent.jsonl")
