"""Games are fair: identical answers tie, unreadable ones are no game, both axes have their own prompts."""

import math
from collections.abc import Sequence

import pytest

from by_rule import run_by
from publius.engines.protocol import Choice, ChooseRequest, Failure
from publius.evaluate.monitor import monitor_answers
from publius.evaluate.play import judged_games, pair_answers, rewarded_games
from publius.judge import parse_pair
from publius.records import Answer, Conversation, Prompt, conversation, split_of
from publius.stats import elo


def prompt(id: str, purpose: str) -> Prompt:
    messages = conversation(("user", f"Question {id}?"))
    return Prompt(id, purpose, "k", split_of(messages), messages)


def answers(**texts: str) -> tuple[Answer, ...]:
    prompts = [prompt("r1", "red-team"), prompt("r2", "red-team"), prompt("h1", "helpful")]
    return tuple(Answer(model, item, text) for model, text in texts.items() for item in prompts)


def longer_is_better(request: ChooseRequest) -> Choice:
    parts = parse_pair(request.messages)
    prob = 0.9 if len(parts.first) > len(parts.second) else 0.1
    return Choice(request.id, (math.log(prob), math.log(1 - prob)), 1)


def test_every_pair_of_models_meets_on_every_prompt_of_the_axis() -> None:
    own = answers(start="a", sft="bb", rl="ccc")
    assert len(pair_answers(own, "harmlessness")) == 2 * 3
    helpful = pair_answers(own, "helpfulness")
    assert {(item.source_a, item.source_b) for item in helpful} == {
        ("start", "sft"),
        ("start", "rl"),
        ("sft", "rl"),
    }


def test_the_judge_decides_and_the_ratings_follow() -> None:
    pairs = pair_answers(answers(start="a", sft="bb", rl="ccc"), "harmlessness")
    played = judged_games(pairs, run_by(longer_is_better), axis="harmlessness", judge="length")
    assert [game.score_left for game in played.games] == pytest.approx([0.1] * 6)
    table = elo(played.games, anchor="start", seed=0)
    assert [rating.model for rating in table.ratings] == ["rl", "sft", "start"]


def test_identical_answers_tie_without_being_asked() -> None:
    asked: list[ChooseRequest] = []

    def judge(request: ChooseRequest) -> Choice:
        asked.append(request)
        return longer_is_better(request)

    pairs = pair_answers(answers(start="same", sft="same"), "harmlessness")
    played = judged_games(pairs, run_by(judge), axis="harmlessness", judge="length")
    assert asked == []
    assert played.n_identical == 2
    assert [game.score_left for game in played.games] == [0.5, 0.5]


def test_what_cannot_be_read_is_counted_and_is_no_game() -> None:
    mute = run_by(lambda request: Failure(request.id, "model", "prose"))
    played = judged_games(
        pair_answers(answers(a="x", b="y"), "harmlessness"), mute, axis="harmlessness", judge="j"
    )
    assert played.games == ()
    assert played.n_unparsed == 4


def test_a_preference_model_decides_by_the_difference_of_rewards() -> None:
    def reward(conversations: Sequence[Conversation]) -> list[float]:
        return [float(len(item[-1].content)) for item in conversations]

    played = rewarded_games(
        pair_answers(answers(start="a", rl="ccc"), "helpfulness"), reward, axis="helpfulness", judge="pm"
    )
    assert [game.score_left for game in played.games] == pytest.approx([1 / (1 + math.exp(2))])


def test_monitors_are_by_policy_and_purpose() -> None:
    own = answers(
        start="The kettle boils at one hundred degrees.", rl="I'm sorry, but I can't help with that."
    )
    monitors = monitor_answers(own, seed=0)
    assert list(monitors) == ["start", "rl"]
    evasive = {model: by_purpose["red-team"].evasive for model, by_purpose in monitors.items()}
    assert evasive["start"] is not None
    assert evasive["rl"] is not None
    assert (evasive["start"].value, evasive["rl"].value, evasive["rl"].n) == (0.0, 1.0, 2)
    assert monitors["rl"]["helpful"].words is None  # one prompt has no spread
