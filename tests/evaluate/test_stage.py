"""Several judges of one evaluation: their Elo side by side, how they agree, who is tied to the training."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from publius.engines.scripted import ScriptedEngine, ScriptedOptions
from publius.errors import DataError
from publius.evaluate.config import EvaluateConfig, FurtherJudge
from publius.evaluate.stage import Judge, run_evaluate
from publius.pipeline.conclusions import conclude
from publius.pipeline.recipe import Recipe
from publius.records import Conversation, Prompt, user
from publius.store import StageResult, StageStore, open_run

CONFIG = EvaluateConfig(n_resamples=100)
PROMPTS = [
    Prompt(f"p{i}", "helpful" if i % 2 else "red-team", "k", "held-out", (user(f"Question {i}?"),))
    for i in range(12)
]
Evaluate = Callable[[Sequence[Judge]], StageResult]


def likes(word: str, name: str) -> ScriptedEngine:
    return ScriptedEngine(name=name, options=ScriptedOptions(prefer=word))


def kindness(conversations: Sequence[Conversation]) -> list[float | str]:
    """Rate kind answers 1 and others 0; the answers to one of the prompts do not fit."""
    return [
        "it is too long" if one[0].content == "Question 3?" else float("kind" in one[-1].content)
        for one in conversations
    ]


@pytest.fixture
def evaluate(tmp_path: Path) -> Iterator[Evaluate]:
    """A start that is cruel and a policy that is kind, before judges."""
    with open_run(tmp_path) as run:
        run.begin("evaluate", "inputs")
        store = StageStore("evaluate", run.stage_path("evaluate"), run.journal, 0, lambda *_: None)
        policies = {
            name: ScriptedEngine(
                lambda request, word=word: f"A {word} word, {request.messages[0].content}", name=name
            )
            for name, word in (("start", "cruel"), ("rl", "kind"))
        }
        yield lambda judges: run_evaluate(store, CONFIG, prompts=PROMPTS, policies=policies, judges=judges)


def test_a_preference_model_that_likes_a_refusal_of_everything_is_no_judge_of_help(
    evaluate: Evaluate,
) -> None:
    def declining(conversations: Sequence[Conversation]) -> list[float | str]:
        return [2.0 * ("can't help" in one[-1].content) for one in conversations]

    def answering(conversations: Sequence[Conversation]) -> list[float | str]:
        return [-2.0 * ("can't help" in one[-1].content) for one in conversations]

    judges = [
        Judge("model", engine=likes("kind", "model")),
        Judge("declining", rewards=declining),
        Judge("answering", rewards=answering),
        Judge("kindness", rewards=kindness),
    ]
    figures = evaluate(judges).figures
    found = {one["name"]: one["prefers_refusal"] for one in figures["judges"]}
    assert found["model"] is None
    assert found["declining"]["value"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert found["answering"]["value"] == pytest.approx(1 / (1 + math.exp(2)))
    assert (found["declining"]["n"], found["kindness"]["n"]) == (6, 5)  # one prompt's answers have no reward
    said = " ".join(conclude(Recipe("r"), {"evaluate": figures})[1])
    assert "By declining one refusal of everything beats the start's answer" in said
    assert "so it pays for declining" in said
    assert "By answering" not in said


def test_every_judge_has_its_elo_beside_the_others_and_their_agreement(evaluate: Evaluate) -> None:
    figures = evaluate(
        [
            Judge("one", engine=likes("kind", "one"), tie="labeller"),
            Judge("two", engine=likes("cruel", "two")),
            Judge("people's PM", rewards=kindness),
        ]
    ).figures
    elo = {(row["judge"], row["axis"]): row["elo"] for row in figures["elo"] if row["model"] == "rl"}
    assert list(elo) == [
        (judge, axis) for judge in ("one", "two", "people's PM") for axis in ("helpfulness", "harmlessness")
    ]
    assert min(elo["one", "helpfulness"], elo["people's PM", "helpfulness"]) > 0 > elo["two", "helpfulness"]
    (helpful,) = [one["panel"] for one in figures["agreement"] if one["axis"] == "helpfulness"]
    agree = {(pair["left"], pair["right"]): pair["agreement"] for pair in helpful["pairs"]}
    assert agree["one", "people's PM"]["value"] == 1.0
    assert (agree["one", "two"]["value"], agree["one", "two"]["n"]) == (0.0, 6)
    assert agree["one", "people's PM"]["n"] == 5  # the answers that do not fit are no game ...
    unread = {(one["judge"], one["axis"]): one["n_unparsed"] for one in figures["games"]}
    assert unread["people's PM", "helpfulness"] == 2  # ... and are counted
    assert (figures["judge"], figures["judge_is_labeller"]) == ("one", True)


def test_a_judge_that_is_tied_to_the_training_is_flagged_by_name(evaluate: Evaluate) -> None:
    figures = evaluate(
        [
            Judge("one", engine=likes("kind", "one")),
            Judge("two", engine=likes("cruel", "two"), tie="labeller"),
            Judge("own PM", rewards=kindness, tie="reward"),
        ]
    ).figures
    assert not figures["judge_is_labeller"]
    told = conclude(Recipe("r"), {"evaluate": figures})
    assert [text for text in told.caveats if text.startswith("The judge two is the model that labelled")]
    assert [text for text in told.caveats if text.startswith("The ratings of own PM are what the RL policy")]
    assert not any("judge one" in text for text in told.caveats)
    assert any("of rl by two: -" in text for text in told.conclusions)


def test_two_judges_of_one_name_are_refused_before_anything_is_asked(evaluate: Evaluate) -> None:
    engine = likes("kind", "one")
    with pytest.raises(DataError, match="two judges have one name"):
        evaluate([Judge("one", engine=engine), Judge("one", rewards=kindness)])
    assert engine.asked == []


def test_a_further_judge_is_a_model_or_a_preference_model_and_named_once() -> None:
    for wrong in ({}, {"model": "m", "pm": "p"}):
        with pytest.raises(DataError, match="a model or a preference model"):
            FurtherJudge(**wrong)
    with pytest.raises(DataError, match="named twice"):
        EvaluateConfig(judges=(FurtherJudge(model="m"), FurtherJudge(model="m")))
