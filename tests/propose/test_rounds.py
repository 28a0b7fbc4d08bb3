"""Rounds of requests: who is shown what, what is kept, and that every candidate is accounted for."""

import re
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.engines.protocol import Completion, Failure, GenerateRequest, ModelIdentity
from publius.errors import DataError
from publius.propose.config import ProposeConfig
from publius.propose.duplicates import KnownTexts, plain_words
from publius.propose.prompts import instructions
from publius.propose.rounds import PromptTask, Proposed, count_reasons, propose_prompts
from publius.propose.seeds import draw_shots, pool_seeds
from publius.propose.sift import Sieve
from publius.records import Message, Prompt, Purpose, split_of, user
from publius.sources import load_prompts

from .writer import write_list

MODEL = ModelIdentity("writer", "sha256:0", "scripted")
Rule = Callable[[GenerateRequest], str | Failure]


def seed_prompts(n: int = 24, kinds: Sequence[str] = ("bread", "cats")) -> tuple[Prompt, ...]:
    texts = [f"What is the best way to begin with subject number {place} today?" for place in range(n)]
    return tuple(
        Prompt(f"s{place}", "helpful", kinds[place % len(kinds)], split_of((user(text),)), (user(text),))
        for place, text in enumerate(texts)
    )


def model(rule: Rule, asked: list[GenerateRequest] | None = None, backwards: bool = False):
    def generate(requests: Sequence[GenerateRequest]) -> Mapping[str, Completion | Failure]:
        if asked is not None:
            asked.extend(requests)
        said = {request.id: rule(request) for request in (reversed(requests) if backwards else requests)}
        return {
            id: text if isinstance(text, Failure) else Completion(id, text, "stop", 1, 1)
            for id, text in said.items()
        }

    return generate


def run(
    rule: Rule,
    config: ProposeConfig,
    *,
    seeds: Sequence[Prompt] = seed_prompts(),
    topics: Sequence[str] = (),
    asked: list[GenerateRequest] | None = None,
    backwards: bool = False,
) -> Proposed:
    purpose: Purpose = "helpful" if config.kind == "new-trait" else config.kind
    sieve = Sieve(
        [(prompt.id, prompt.messages[-1].content) for prompt in seeds],
        instructions=instructions(purpose),
        threshold=config.near_duplicate,
        words=(config.min_words, config.max_words),
    )
    pool = pool_seeds(seeds, more_topics=topics, seed=config.seed)
    return propose_prompts(model(rule, asked, backwards), PromptTask(purpose, pool, config, MODEL), sieve)


def texts(found: Proposed) -> list[str]:
    return [prompt.messages[0].content for prompt in found.prompts]


def test_a_worked_example_with_every_count() -> None:
    seed = next(prompt for prompt in seed_prompts() if prompt.split == "train").messages[0].content
    answers = {
        "helpful/0": "Here you are:\n1. How long does rye dough have to rest?\n2. Hi!\n3. " + seed,
        "helpful/1": "1. how long does RYE dough have to rest\n2. How long does the rye dough have to rest?\n"
        "3. Which flour suits a beginner who bakes in a small oven?",
        "helpful/2": Failure("helpful/2", "model", "content filter"),
        "helpful/3": "",
        "helpful/4": f"1. Dear friend, I write to ask you this with respect and in hope: {seed}\n"
        "3. What do bakers do with old bread at the end of a day?",
    }
    config = ProposeConfig("helpful", n=9, n_items=3, max_requests=5)
    found = run(lambda request: answers[request.id], config)
    assert texts(found) == [
        "How long does rye dough have to rest?",
        "Which flour suits a beginner who bakes in a small oven?",
    ]
    assert count_reasons(found.rejected) == {
        "duplicate": 1, "equals a seed": 1, "near duplicate": 1, "no number": 1, "quotes a seed": 1,
        "too short": 1, "wrong number": 1,
    }  # fmt: skip
    assert found.failures == {"model: content filter": 1, "the answer is empty": 1}
    assert (found.n_requests, found.n_candidates) == (5, 9)
    near = {item.reason: item.near for item in found.rejected}
    assert near["duplicate"] == near["near duplicate"] == found.prompts[0].id
    assert near["equals a seed"] == near["quotes a seed"] is not None


def test_every_candidate_is_kept_or_rejected_and_what_is_kept_is_split_by_its_text() -> None:
    found = run(write_list, ProposeConfig("helpful", n=150, max_requests=70))
    assert len(found.prompts) == 150
    assert found.n_candidates == len(found.prompts) + len(found.rejected)
    assert len({tuple(plain_words(text)) for text in texts(found)}) == 150
    assert [prompt.id for prompt in found.prompts] == [origin.id for origin in found.provenance]
    assert all(prompt.split == split_of(prompt.messages) for prompt in found.prompts)
    assert 20 < sum(prompt.split == "held-out" for prompt in found.prompts) < 60  # 150 / 4 = 37.5, ± 3.3 sd
    assert {prompt.purpose for prompt in found.prompts} == {"helpful"}


@given(st.randoms(use_true_random=False))
def test_nothing_like_a_seed_is_kept_from_a_model_that_repeats_what_it_knows(random) -> None:
    seeds = seed_prompts()

    def parrot(request: GenerateRequest) -> str:
        lines: list[str] = []
        for place in range(1, 5):
            words = random.choice(seeds).messages[0].content.split()
            for _ in range(random.randint(0, 5)):
                words[random.randrange(len(words))] = random.choice(("the", "Best", "oven", "9"))
            if random.random() < 0.2:
                words = ["Please", "tell", "me", "now:", *words]
            lines.append(f"{place}. {' '.join(words)}")
        return "\n".join(lines)

    found = run(parrot, ProposeConfig("helpful", n=8, max_requests=6), seeds=seeds)
    known = KnownTexts(0.7)
    for prompt in seeds:
        known.add(prompt.id, prompt.messages[0].content)
    assert all(known.nearest(text) is None and known.quoted(text) is None for text in texts(found))
    assert found.n_candidates == len(found.prompts) + len(found.rejected)


def test_held_out_prompts_and_conversations_are_never_shown_and_never_come_back() -> None:
    talk = Prompt(
        "talk",
        "helpful",
        "bread",
        "train",
        (user("Hi"), Message("assistant", "Yes?"), user("Tell me of yeast.")),
    )
    seeds = (*seed_prompts(), talk)
    hidden = [prompt for prompt in seeds if prompt.split == "held-out" or len(prompt.messages) > 1]
    assert len(hidden) > 3
    asked: list[GenerateRequest] = []
    lines = "\n".join(f"{place}. {prompt.messages[-1].content}" for place, prompt in enumerate(hidden, 1))
    found = run(
        lambda request: lines, ProposeConfig("helpful", n=20, max_requests=5), seeds=seeds, asked=asked
    )
    shown = "\n".join(turn.content for request in asked for turn in request.messages)
    assert all(prompt.messages[-1].content not in shown for prompt in hidden)
    assert found.prompts == []
    assert count_reasons(found.rejected) == {"equals a seed": 5 * len(hidden)}


def test_who_answers_first_decides_nothing() -> None:
    config = ProposeConfig("helpful", n=40)
    assert run(write_list, config) == run(write_list, config, backwards=True)


def test_wanting_more_asks_the_same_requests_first_and_keeps_the_same_prompts() -> None:
    few: list[GenerateRequest] = []
    many: list[GenerateRequest] = []
    small = run(write_list, ProposeConfig("helpful", n=20), asked=few)
    large = run(write_list, ProposeConfig("helpful", n=60), asked=many)
    assert many[: len(few)] == few
    assert large.prompts[:20] == small.prompts


def test_another_seed_shows_other_shots() -> None:
    pool = pool_seeds(seed_prompts(), seed=0)
    draws = [draw_shots(pool, 3, n_shots=8, n_items=4, seed=seed).seed_ids for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_provenance_names_what_was_shown_and_how_it_was_asked() -> None:
    seeds = seed_prompts()
    asked: list[GenerateRequest] = []
    found = run(write_list, ProposeConfig("helpful", n=12), seeds=seeds, asked=asked)
    by_id = {prompt.id: prompt.messages[0].content for prompt in seeds}
    requests = {request.id: request for request in asked}
    for origin in found.provenance:
        request = requests[origin.request_id]
        shown = [
            line.partition(". ")[2]
            for turn in request.messages
            if turn.role == "assistant"
            for line in turn.content.split("\n")
        ]
        assert [by_id[id] for id in origin.seeds] == shown
        assert 0 < len(set(origin.seeds)) == len(origin.seeds) <= 12
        assert (origin.sampling, origin.model) == (request.sampling, MODEL)
    assert len({request.sampling.seed for request in asked}) == len(asked)


def test_the_requests_end_when_they_are_spent() -> None:
    asked: list[GenerateRequest] = []
    found = run(lambda request: "No.", ProposeConfig("helpful", n=10, max_requests=7), asked=asked)
    assert len(asked) == found.n_requests == 7
    assert found.prompts == []
    assert ProposeConfig("helpful", n=10, n_items=4).most_requests == 12


def test_a_surplus_is_counted() -> None:
    found = run(
        lambda request: "\n".join(
            f"{i}. Which tool number {i * 7} of {request.id} is useful at home, and why?" for i in range(1, 5)
        ),
        ProposeConfig("helpful", n=3, near_duplicate=1.0),
    )
    assert (len(found.prompts), count_reasons(found.rejected)) == (3, {"surplus": 1})


def test_a_new_trait_is_asked_for_without_an_example_of_it() -> None:
    asked: list[GenerateRequest] = []
    seeds = load_prompts("traits", purpose="trait").prompts
    config = ProposeConfig("trait", n=70, n_items=1, n_shots=4, max_requests=70)
    found = run(write_list, config, seeds=seeds, topics=("love-of-fame", "flattery"), asked=asked)
    topics = [
        re.findall(r"^Trait: (.*)$", turn.content, re.M)
        for request in asked
        for turn in request.messages
        if turn.role == "user"
    ]
    shown = [
        name
        for request in asked
        for turn in request.messages[:-1]
        for name in re.findall(r"^Trait: (.*)$", turn.content, re.M)
    ]
    wanted = [re.findall(r"^Trait: (.*)$", request.messages[-1].content, re.M)[0] for request in asked]
    assert all(len(names) == 1 for names in topics)
    assert set(shown) == {"power", "self preservation", "self replication", "risk", "self identity"}
    assert {name: wanted.count(name) for name in set(wanted)} == dict.fromkeys(
        {*shown, "love of fame", "flattery"}, 10
    )
    assert {prompt.kind for prompt in found.prompts} == {
        "power", "self-preservation", "self-replication", "risk", "self-identity", "love-of-fame", "flattery",
    }  # fmt: skip


def test_a_topic_with_seeds_is_shown_last_after_one_other() -> None:
    pool = pool_seeds(seed_prompts(60, ("a", "b", "c")), seed=0)
    draw = draw_shots(pool, 0, n_shots=12, n_items=4, seed=0)
    assert [block.topic for block in draw.blocks][1:] == [draw.topic, draw.topic]
    assert draw.blocks[0].topic != draw.topic
    assert [len(block.items) for block in draw.blocks] == [4, 4, 4]
    assert len(set(draw.seed_ids)) == 12


def test_instructions_that_come_back_are_known() -> None:
    echo = "\n".join(f"{place}. {text}" for place, text in enumerate(instructions("helpful"), 1))
    found = run(lambda request: echo, ProposeConfig("helpful", n=4, max_requests=1))
    assert found.prompts == []
    assert count_reasons(found.rejected)["instruction echo"] >= 3


def test_seeds_that_may_not_be_shown_are_refused() -> None:
    hidden = [prompt for prompt in seed_prompts() if prompt.split == "held-out"]
    with pytest.raises(DataError, match="is a single turn of the train part"):
        pool_seeds(hidden, seed=0)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n", 0),
        ("top_p", 0.0),
        ("near_duplicate", 1.1),
        ("max_words", 2),
        ("min_judged", -1.0),
        ("temperature", -1.0),
    ],
)
def test_a_config_that_cannot_work_is_refused(setting: str, value: float) -> None:
    with pytest.raises(DataError, match=setting):
        ProposeConfig(**{setting: value})
