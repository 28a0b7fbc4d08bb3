"""Labels asked and stated: the arithmetic of means, the choice of principles, and what cannot be read."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from by_rule import finish
from publius.constitution import Constitution, load_constitution
from publius.constitution.principle import principle_from
from publius.engines.protocol import Choice, ChooseRequest
from publius.engines.scripted import ScriptedEngine, ScriptedOptions
from publius.errors import DataError
from publius.feedback.config import PrincipleChoice
from publius.feedback.label import Judge, LabelTask, check_questions, choose_principles, label_pair
from publius.feedback.pairs import Pair, Said, compare_answers
from publius.feedback.rule import LabelRule
from publius.judge import JudgeForm
from publius.records import Comparison, Preference, Unparsed, Vote, conversation

JUDGE = Judge("judge")


def by_principle(probs: Mapping[str, float]) -> Callable[[ChooseRequest], Choice]:
    """A judge without order bias whose P(A) depends on the principle asked about."""

    def choose(request: ChooseRequest) -> Choice:
        _, principle_id, order = request.id.split("/")[:3]
        prob = probs[principle_id] if order == "ab" else 1 - probs[principle_id]
        return Choice(request.id, (math.log(prob), math.log(1 - prob)), 1)

    return choose


def pair(better: Literal["a", "b"] | None = None, *, answer: str = "one") -> Pair:
    asked = conversation(("user", "Question?"))
    comparison = compare_answers("p", asked, a=Said(answer, "sft"), b=Said("two", "sft"))
    assert isinstance(comparison, Comparison)
    return Pair(comparison, "red-team", better)


@pytest.fixture(scope="module")
def hhh() -> Constitution:
    return load_constitution("hhh")


@pytest.fixture(scope="module")
def weighted() -> Constitution:
    """Three principles of weights 1, 1 and 2."""
    principles = tuple(principle_from(id, f"The assistant should be {id}.", forms={}) for id in "xyz")
    return Constitution("w", "1.0.0", "", "", "", (*principles[:2], replace(principles[2], weight=2.0)))


def labelled(task: LabelTask, probs: Mapping[str, float], judge: Judge = JUDGE) -> Preference:
    return finish(label_pair(task, judge, stated=0.9, labels="stated"), by_principle(probs))


def test_the_mean_over_principles_is_the_arithmetic_mean(hhh: Constitution) -> None:
    probs = dict(zip([principle.id for principle in hhh.principles], (0.9, 0.6, 0.3), strict=True))
    preference = labelled(LabelTask(pair(), hhh, hhh.principles), probs)
    assert preference.prob_a == pytest.approx(0.6)
    assert len(preference.votes) == 6
    assert {vote.principle_id for vote in preference.votes} == set(probs)
    assert (preference.constitution_hash, preference.judge, preference.origin) == (hhh.hash, "judge", "asked")


def test_the_mean_over_principles_respects_weights(weighted: Constitution) -> None:
    preference = labelled(LabelTask(pair(), weighted, weighted.principles), {"x": 0.9, "y": 0.5, "z": 0.2})
    assert preference.prob_a == pytest.approx((0.9 + 0.5 + 2 * 0.2) / 4)


def test_the_rule_comes_after_all_averaging(hhh: Constitution) -> None:
    probs = dict(zip([principle.id for principle in hhh.principles], (0.98, 0.9, 0.1), strict=True))
    task = LabelTask(pair(), hhh, hhh.principles)
    clamped = labelled(task, probs, replace(JUDGE, rule=LabelRule("clamped", 0.2, 0.65)))
    assert clamped.prob_a == 0.65  # of 0.66; clamped one by one the mean were 0.5
    assert labelled(task, probs, replace(JUDGE, rule=LabelRule("hard"))).prob_a == 1.0


def test_one_order_is_drawn_and_recorded(hhh: Constitution) -> None:
    probs = {principle.id: 0.7 for principle in hhh.principles}
    judge = replace(JUDGE, form=JudgeForm("one-order"))
    orders = Counter[bool | None]()
    for i in range(100):
        found = labelled(LabelTask(pair(answer=str(i)), hhh, hhh.principles[:1]), probs, judge)
        assert len(found.votes) == 1
        assert found.prob_a == pytest.approx(0.7)
        orders[found.votes[0].a_first] += 1
    assert set(orders) == {True, False}
    assert min(orders.values()) > 25


@pytest.mark.parametrize("better", ["a", "b"])
def test_a_stated_label_asks_nothing_and_is_left_by_the_rule(
    hhh: Constitution, better: Literal["a", "b"]
) -> None:
    judge = replace(JUDGE, rule=LabelRule("clamped", 0.4, 0.6))
    preference = labelled(LabelTask(pair(better), hhh), {}, judge)
    assert preference.prob_a == pytest.approx(0.9 if better == "a" else 0.1)
    assert (preference.origin, preference.judge, preference.votes) == ("construction", None, ())
    assert preference.constitution_hash == hhh.hash


def test_a_rescored_pair_has_the_judges_label_and_its_sources(hhh: Constitution) -> None:
    task = LabelTask(pair("b"), hhh, hhh.principles[:1])
    probs = {hhh.principles[0].id: 0.8}
    preference = finish(label_pair(task, JUDGE, stated=0.9, labels="rescored"), by_principle(probs))
    assert (preference.origin, preference.prob_a) == ("asked", pytest.approx(0.8))
    assert preference.comparison == task.pair.comparison


def test_a_mixed_label_is_the_mean_of_the_stated_and_the_judged(hhh: Constitution) -> None:
    task = LabelTask(pair("b"), hhh, hhh.principles[:1])
    rule = replace(JUDGE, rule=LabelRule("clamped", 0.4, 0.6))
    probs = {hhh.principles[0].id: 0.8}
    preference = finish(label_pair(task, rule, stated=0.9, labels="mixed"), by_principle(probs))
    assert preference.prob_a == pytest.approx((0.1 + 0.6) / 2)
    assert (preference.origin, preference.judge, len(preference.votes)) == ("construction", "judge", 2)


def scripted(task: LabelTask, engine: ScriptedEngine, labels: Literal["stated", "mixed"]) -> Preference:
    def answer(request: ChooseRequest) -> object:
        engine.submit([request])
        return engine.wait()[0]

    return finish(label_pair(task, JUDGE, stated=0.9, labels=labels), answer)


@pytest.mark.parametrize("labels", ["stated", "mixed"])
def test_an_answer_over_the_judges_context_is_unparsed_and_not_cut(
    hhh: Constitution, labels: Literal["stated", "mixed"]
) -> None:
    engine = ScriptedEngine(options=ScriptedOptions(max_context=2000))
    long = pair("a" if labels == "mixed" else None, answer="very " * 3000)
    preference = scripted(LabelTask(long, hhh, hhh.principles[:1]), engine, labels)
    assert preference.prob_a is None
    assert len(preference.votes) == 2
    for vote in preference.votes:
        assert isinstance(vote, Unparsed)
        assert "context holds 2000" in vote.reason
    assert all(long.comparison.answer_a in str(request) for request in engine.asked)
    short = scripted(LabelTask(pair(), hhh, hhh.principles[:1]), engine, "stated")
    assert all(isinstance(vote, Vote) for vote in short.votes)


def drawn(constitution: Constitution, how: PrincipleChoice, n: int) -> Counter[str]:
    ids = [str(i) for i in range(n)]
    choose = choose_principles(constitution, ids, how=how, seed=0)
    return Counter(principle.id for id in ids for principle in choose(id))


def test_one_principle_is_drawn_for_every_comparison_uniformly() -> None:
    constitution = load_constitution("harmlessness")
    counts = drawn(constitution, "one", 10_000)
    assert len(counts) == 16
    expected = 10_000 / 16
    chi_squared = sum((n - expected) ** 2 / expected for n in counts.values())
    assert chi_squared < 37.7  # 15 degrees of freedom, p = 0.001


def test_one_principle_is_drawn_by_its_weight(weighted: Constitution) -> None:
    counts = drawn(weighted, "one", 10_000)
    expected = {"x": 2500, "y": 2500, "z": 5000}
    assert sum((counts[id] - n) ** 2 / n for id, n in expected.items()) < 13.8  # 2 degrees, p = 0.001


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 100, 240])
def test_stratified_uses_differ_by_one_at_most(n: int) -> None:
    constitution = load_constitution("harmlessness")
    counts = drawn(constitution, "stratified", n)
    uses = [counts[principle.id] for principle in constitution.principles]
    assert sum(uses) == n
    assert max(uses) - min(uses) <= 1


def test_stratified_uses_follow_the_weights(weighted: Constitution) -> None:
    assert drawn(weighted, "stratified", 40) == {"x": 10, "y": 10, "z": 20}
    counts = drawn(weighted, "stratified", 41)
    assert all(abs(counts[id] - share * 41) < 1 for id, share in {"x": 0.25, "y": 0.25, "z": 0.5}.items())


@given(weights=st.lists(st.floats(0.05, 20.0), min_size=1, max_size=12), n=st.integers(0, 150))
def test_stratified_uses_are_within_one_of_their_share(weights: list[float], n: int) -> None:
    principles = tuple(
        replace(principle_from(f"p{i}", "The assistant should be kind.", forms={}), weight=weight)
        for i, weight in enumerate(weights)
    )
    counts = drawn(Constitution("w", "1.0.0", "", "", "", principles), "stratified", n)
    assert counts.total() == n
    for principle in principles:
        assert abs(counts[principle.id] - n * principle.weight / sum(weights)) < 1 + 1e-6


def test_stratified_choices_do_not_depend_on_the_order_and_mostly_stay() -> None:
    constitution = load_constitution("harmlessness")
    ids = [f"comparison {i}" for i in range(480)]

    def chosen(own: list[str], how: PrincipleChoice = "stratified") -> dict[str, str]:
        choose = choose_principles(constitution, own, how=how, seed=7)
        return {id: choose(id)[0].id for id in own}

    few, many = chosen(ids[:240]), chosen(ids)
    assert chosen(ids[239::-1]) == few
    assert sum(few[id] == many[id] for id in few) > 0.8 * 240
    assert sum(few[id] == one for id, one in chosen(ids[:240], "one").items()) > 0.8 * 240
    assert many != chosen(ids, "one")


def test_a_principle_without_a_question_is_refused_by_name(weighted: Constitution) -> None:
    request = "Say what is harmful in the last response."
    only_requests = principle_from("old", request, forms={"critique": request, "revision": "Rewrite it."})
    constitution = replace(weighted, principles=(*weighted.principles, only_requests))
    with pytest.raises(DataError, match="'old' has no comparison question") as caught:
        check_questions(constitution, contrast=False, where="mine.toml")
    assert caught.value.where == "mine.toml"
    check_questions(weighted, contrast=True, where="mine.toml")


def test_a_question_is_no_principle_to_follow(weighted: Constitution) -> None:
    question = "Which response is kinder?"
    asked = principle_from("asked", question, forms={"comparison": question})
    constitution = replace(weighted, principles=(asked,))
    check_questions(constitution, contrast=False, where="mine.toml")
    with pytest.raises(DataError, match="no statement that a policy could follow"):
        check_questions(constitution, contrast=True, where="mine.toml")
