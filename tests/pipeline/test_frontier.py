"""Who is on the frontier, what a judge could not rate, and who was paid by which preference model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from publius.engines.scripted import ScriptedEngine
from publius.evaluate.config import EvaluateConfig
from publius.evaluate.stage import Judge, run_evaluate
from publius.pipeline.frontier import in_one_run, judged_frontier, pms_that_paid
from publius.pipeline.recipe import Recipe, change_recipe
from publius.records import Conversation, Prompt, encode, user
from publius.report.frontier_page import JudgedFrontier, frontier_sentence
from publius.store import StageStore, open_run
from publius.training.digest import weights_hash

DECLINE, ANSWER, NOISE = "I cannot help with that.", "Certainly, like this.", "Hm."
PROMPTS = [
    Prompt(f"{purpose}-{i}", purpose, "k", "held-out", (user(f"{purpose} {i}?"),))
    for purpose in ("red-team", "helpful")
    for i in range(6)
]
ON_BOTH = {  # what each policy says to red-team and to harmless prompts
    "start": (NOISE, NOISE),
    "declines all": (DECLINE, DECLINE),
    "declines right": (DECLINE, ANSWER),
    "answers all": (ANSWER, ANSWER),
}


def merit(conversations: Sequence[Conversation]) -> list[float | str]:
    """Pay for declines on red-team prompts and for answers on others; one prompt's answers do not fit."""

    def rate(prompt: str, text: str) -> float | str:
        if prompt == "red-team 3?":
            return "it is too long"
        best = DECLINE if prompt.startswith("red-team") else ANSWER
        return 1.0 if text == best else -0.5 if text == NOISE else -1.0

    return [rate(one[0].content, one[-1].content) for one in conversations]


def judge_policies(folder: Path, policies: Mapping[str, tuple[str, str]]) -> JudgedFrontier:
    engines = {
        name: ScriptedEngine(
            lambda request, said=said: said[request.messages[0].content.startswith("helpful")], name=name
        )
        for name, said in policies.items()
    }
    with open_run(folder) as run:
        run.begin("frontier", "inputs")
        store = StageStore(
            "frontier", run.stage_path("frontier"), run.journal, 0, lambda _step, _done, _total: None
        )
        config = EvaluateConfig(n_resamples=100)
        judges = [Judge("pm", rewards=merit)]
        figures = run_evaluate(store, config, prompts=PROMPTS, policies=engines, judges=judges).figures
    return judged_frontier("pm", figures, tuple(policies))


def test_a_policy_that_another_beats_on_both_axes_is_not_on_the_frontier(tmp_path: Path) -> None:
    judged = judge_policies(tmp_path, ON_BOTH)
    rows = {row.policy: row for row in judged.rows}
    assert list(rows) == list(ON_BOTH)
    assert [name for name, row in rows.items() if row.is_on_frontier] == ["declines right"]
    assert rows["declines right"].frontier_share == 1.0
    assert frontier_sentence(judged) == "On the frontier by pm: declines right (100% of draws)."
    over = {name: row.over_refusals.value for name, row in rows.items() if row.over_refusals}
    assert over == {"start": 0.0, "declines all": 1.0, "declines right": 0.0, "answers all": 0.0}
    declines = rows["declines right"].declines
    assert declines is not None
    assert (declines.value, declines.n) == (1.0, 6)
    assert any(note.startswith("in harmlessness 12 sides of games have no reward") for note in judged.notes)


def test_without_the_policy_that_beats_them_both_ends_are_on_the_frontier(tmp_path: Path) -> None:
    left = {name: said for name, said in ON_BOTH.items() if name != "declines right"}
    judged = judge_policies(tmp_path, left)
    on = [row.policy for row in judged.rows if row.is_on_frontier]
    assert on == ["start", "declines all", "answers all"]


def test_a_policy_and_a_preference_model_of_one_run_are_akin(tmp_path: Path) -> None:
    sft, pm = tmp_path / "a/stages/sft/model", tmp_path / "a/stages/pm/model"
    for made in (sft, pm, tmp_path / "b/stages/pm/model"):
        made.mkdir(parents=True)
    (tmp_path / "link").symlink_to(sft)
    assert in_one_run(str(sft), pm)
    assert in_one_run(str(tmp_path / "link"), pm)
    assert not in_one_run(str(sft), tmp_path / "b/stages/pm/model")
    assert not in_one_run(str(tmp_path / "copy"), pm)


@pytest.mark.tiny
def test_a_runs_records_say_which_preference_models_paid_a_policy(
    tmp_path: Path, tiny_pm_dir: Path, tiny_model_dir: Path
) -> None:
    run = tmp_path / "run"
    for name in ("pm", "pm-2"):
        (run / "stages" / name).mkdir(parents=True)
        (run / "stages" / name / "model").symlink_to(tiny_pm_dir)
    step = run / "stages/rl-2/model/snapshots/step-5"
    step.mkdir(parents=True)
    (tmp_path / "best").symlink_to(step)
    own, other = {weights_hash(tiny_pm_dir)}, {weights_hash(tiny_model_dir)}
    watched = [f'rl.pms=[{{name="own", weight=0.0}}, {{name="other", pm="{tiny_model_dir}"}}]']
    gone = ['rl.pms=[{name="other", pm="gone"}]']
    partly = ['rl.pms=[{name="other", pm="gone"}, {name="own"}]']
    for settings, paid in (([], own), (watched, other), (gone, set[str]()), (partly, own)):
        written = change_recipe(Recipe("r"), settings)
        (run / "recipe.json").write_text(json.dumps(encode(written)))
        assert pms_that_paid(str(step)) == pms_that_paid(str(tmp_path / "best")) == paid
        assert pms_that_paid(str(run / "stages/sft/model")) == set()
    (tmp_path / "disk").mkdir()
    (run / "stages/rl").symlink_to(tmp_path / "disk")
    assert pms_that_paid(str(run / "stages/rl/model")) == own
    (run / "recipe.json").unlink()
    assert pms_that_paid(str(run / "stages/rl/model")) == set()
