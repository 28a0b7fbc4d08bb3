"""Stages that come again: their names, their order, and two rounds from end to end."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from publius.constitution import load_constitution
from publius.errors import DataError
from publius.pipeline.check import check_recipe
from publius.pipeline.conclusions import conclude
from publius.pipeline.plan import plan_recipe
from publius.pipeline.recipe import Recipe, load_recipe
from publius.pipeline.runner import Listener, StageEvent, run_recipe
from publius.pipeline.stage_table import find_stage, in_order
from publius.pipeline.status import read_status
from publius.policy.rl_log import RLStep, Rollout, read_rows
from publius.records import Preference, draw_key
from publius.store import read_manifest, read_records
from publius.training.origin import read_origin, write_origin

Write = Callable[..., str]
FIRST = ("revise", "sft", "label", "pm", "rl")
TWICE = (*FIRST, "label-2", "pm-2", "rl-2", "evaluate", "report")


def _run(recipe: Recipe, out: Path, *, stop_at: str = "") -> dict[str, str]:
    outcomes: dict[str, str] = {}

    def hear(event: StageEvent) -> None:
        outcomes[event.stage] = event.outcome
        if event.outcome == "started" and event.stage == stop_at:
            raise KeyboardInterrupt

    run_recipe(recipe, out, Listener(hear, lambda *_: None))
    return outcomes


def _recipe(path: str, *settings: str) -> Recipe:
    return load_recipe(path, settings=settings, environment={})


def _figures(out: Path, stage: str) -> Any:
    manifest = read_manifest(out / "stages" / stage)
    assert manifest is not None
    return manifest.figures


@pytest.mark.parametrize("name", ["rl-1", "rl-0", "rl-02", "sft-2", "evaluate-2", "rl-x", "tune"])
def test_what_is_no_stage(name: str) -> None:
    assert find_stage(name) is None
    with pytest.raises(DataError, match="unknown stage"):
        in_order(Recipe("r", stages=(name,)))


def test_a_round_needs_the_round_before() -> None:
    with pytest.raises(DataError, match="stage 'rl-2' needs stage 'pm-2'"):
        in_order(Recipe("r", stages=(*FIRST, "rl-2")))
    with pytest.raises(DataError, match="needs stage 'rl-2'"):
        in_order(Recipe("r", stages=(*FIRST, "label-3", "pm-3", "rl-3")))


def test_stages_come_after_what_they_need_in_any_order_of_writing() -> None:
    names = [stage.name for stage in in_order(Recipe("r", stages=tuple(reversed(TWICE))))]
    assert names == list(TWICE)


def test_dpo_comes_after_the_labels_that_it_learns_from(tmp_path: Path, write_tiny_recipe: Write) -> None:
    path = write_tiny_recipe(tmp_path, "revise", "sft", "dpo", "label")
    settings = ("dpo.learn_from=labels",)
    assert [one.name for one in in_order(_recipe(path))] == ["revise", "sft", "dpo", "label"]
    assert [one.name for one in in_order(_recipe(path, *settings))] == ["revise", "sft", "label", "dpo"]
    with pytest.raises(DataError, match="'dpo', 'label' need each other"):
        in_order(_recipe(path, *settings, "rl_start=dpo"))


def test_the_plan_counts_every_round(tmp_path: Path, write_tiny_recipe: Write) -> None:
    plans = {plan.name: plan for plan in plan_recipe(_recipe(write_tiny_recipe(tmp_path, *TWICE)))}
    assert list(plans) == list(TWICE)
    assert plans["pm-2"].trained_tokens > plans["pm"].trained_tokens  # the labels of both rounds
    assert plans["label-2"].calls == plans["label"].calls  # what is stated by construction is not asked
    alone = plan_recipe(_recipe(write_tiny_recipe(tmp_path, *FIRST, "evaluate")))[-1]
    assert plans["evaluate"].calls > alone.calls


@pytest.mark.tiny
def test_two_rounds_from_end_to_end(tmp_path: Path, write_tiny_recipe: Write) -> None:
    recipe, out = _recipe(write_tiny_recipe(tmp_path, *TWICE)), tmp_path / "run"
    for stage in ("pm-2", "rl-2"):  # ended between the stages of a round, and gone on with
        with pytest.raises(KeyboardInterrupt):
            _run(recipe, out, stop_at=stage)
    outcomes = _run(recipe, out)
    assert {stage for stage, outcome in outcomes.items() if outcome == "reused"} == {
        *FIRST,
        "label-2",
        "pm-2",
    }
    assert set(_run(recipe, out).values()) == {"reused"}

    first, again = (
        read_records(out / "stages" / name / "preferences.jsonl", Preference) for name in ("label", "label-2")
    )
    assert {one.origin for one in first} == {"asked", "construction"}
    assert {one.origin for one in again} == {"asked"}
    assert {one.comparison.source_a for one in again} == {"rl"}
    n_learnt = [_figures(out, name)["training"]["n_rows"] for name in ("pm", "pm-2")]
    assert n_learnt[1] > n_learnt[0]

    logs = [read_rows(out / "stages" / name / "model" / "steps.jsonl", RLStep) for name in ("rl", "rl-2")]
    assert [step.step for step in logs[0]] == [1, 2, 3]
    assert [step.step for step in logs[1]] == [4, 5, 6]
    assert logs[0][0].kl == pytest.approx(0.0, abs=1e-6)
    assert logs[1][0].kl > 0.0
    assert [step.prompt_ids for step in logs[0]] != [step.prompt_ids for step in logs[1]]

    status = read_status(out)
    assert status.finished
    assert {row["model"] for row in status.elo} == {"start", "sft", "rl", "rl-2"}
    assert status.kl == logs[1][-1].kl
    page = (out / "report.html").read_text()
    assert "rl-2" in page
    assert page.index("Round 1: label<") < page.index("Round 2: label-2<")
    for number, labelled in enumerate((first, again), start=1):
        shown = re.findall(rf'id="pair-{number}-\d+">\n.*?<span class="id">([^<]*)<', page)
        # drawn with the run's seed, three of each origin, and not the first in the file
        drawn = sorted(
            (one for one in labelled if one.prob_a is not None),
            key=lambda one: (draw_key(one.comparison.id, seed=recipe.seed), one.comparison.id),
        )
        origins = ("asked", "construction")
        wanted = [[one for one in drawn if one.origin == origin][:3] for origin in origins]
        assert shown == [one.comparison.prompt_id for own in wanted for one in own]
        assert f'<figure id="soft-labels-{number}"' in page
    constitution = load_constitution(recipe.constitution).hash
    assert constitution in read_origin(out / "stages" / "rl-2" / "model")


@pytest.mark.tiny
def test_several_preference_models_and_dpo_from_labels(tmp_path: Path, write_tiny_recipe: Write) -> None:
    path = write_tiny_recipe(tmp_path, *FIRST, "dpo")
    labels = ("dpo.learn_from=both", "label.construction_labels=rescored", "rl.steps=1")
    _run(_recipe(path, *labels), tmp_path / "one")
    learnt_from = _figures(tmp_path / "one", "dpo")["learnt_from"]
    assert learnt_from["labels"] == _figures(tmp_path / "one", "label")["n_asked"]
    assert learnt_from["revisions"] < 4  # the others are among the labelled

    pm = json.dumps(str(tmp_path / "one" / "stages" / "pm" / "model"))
    pms = f'rl.pms=[{{name = "own"}}, {{name = "other", pm = {pm}, weight = 0.5, standardise = false}}]'
    only = tmp_path / "two"
    _run(_recipe(path, *labels, pms), only)
    assert _figures(only, "rl")["weights"] == {"own": 1.0, "other": 0.5}
    for row in read_rows(only / "stages" / "rl" / "model" / "answers.jsonl", Rollout):
        own, other = row.parts["own"], row.parts["other"]
        assert own is not None
        assert other is not None
        assert row.reward == pytest.approx(own + 0.5 * other)
        scale = json.loads((only / "stages" / "pm" / "model" / "reward_scale.json").read_text())
        assert own == pytest.approx((other - scale["mean"]) / scale["std"], abs=1e-3)  # the same model

    foreign = _recipe(path, *labels, pms, "constitution=humanity")
    with pytest.raises(DataError, match="trained under another constitution") as error:
        check_recipe(foreign)
    assert error.value.where == "rl.pms, 'other'"
    named = pms.replace("standardise = false", 'constitution = "harmlessness"')
    check_recipe(_recipe(path, *labels, named, "constitution=humanity"))


def test_a_policy_of_another_constitution_is_refused(
    tmp_path: Path, write_tiny_recipe: Write, tiny_model_dir: Path
) -> None:
    path = write_tiny_recipe(tmp_path, "revise", "sft")
    model = tmp_path / "model"
    model.symlink_to(tiny_model_dir)
    check_recipe(_recipe(path, f"models.policy.model={model}"))
    other = tmp_path / "other"
    other.mkdir()
    for file in tiny_model_dir.iterdir():
        (other / file.name).symlink_to(file)
    write_origin(other, [load_constitution("humanity").hash])
    with pytest.raises(DataError, match="trained under another constitution") as error:
        check_recipe(_recipe(path, f"models.policy.model={other}"))
    assert error.value.where == "models.policy"
    check_recipe(_recipe(path, f"models.policy.model={other}", "constitution=humanity"))
    check_recipe(_recipe(path, f"models.policy.model={other}"), only=["revise"])  # it is asked, not trained


@pytest.mark.parametrize("finding", ["inverted", "chance"])
def test_a_later_round_labelled_by_an_untrusted_model_is_a_caveat(finding: str) -> None:
    def label(found: str) -> dict[str, Any]:
        return {"audit": {"finding": found, "trusted": found == "trusted"}}

    def caveats(second: str) -> tuple[str, ...]:
        return conclude(Recipe("r"), {"label": label("trusted"), "label-2": label(second)}).caveats

    assert len(caveats(finding)) == len(caveats("trusted")) + 1
    assert "feedback model" in caveats(finding)[0]
