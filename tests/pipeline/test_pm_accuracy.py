"""A preference model that is surely wrong on held-out labels does not pay a policy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from publius.errors import DataError
from publius.pipeline.check import check_recipe
from publius.pipeline.context import RunContext
from publius.pipeline.recipe import load_recipe
from publius.pipeline.rewards import check_accuracy
from publius.pipeline.runner import Listener, run_recipe
from publius.pipeline.stage_table import stage_of
from publius.records import encode
from publius.stats.intervals import Estimate
from publius.store import StageResult, open_run

Write = Callable[..., str]
WRONG, CHANCE = Estimate(0.3, 0.2, 0.4, 50, 0.95), Estimate(0.45, 0.3, 0.6, 50, 0.95)


def plant(run: Path, accuracy: Estimate | None, *, stage: str = "pm", asked: Estimate | None = None) -> Path:
    """Leave a finished stage with this accuracy and a model that nobody loads."""
    with open_run(run) as opened:
        folder = opened.begin(stage, "inputs") / "model"
        folder.mkdir()
        (folder / "config.json").write_text('{"architectures": ["LlamaForSequenceClassification"]}')
        (folder / "chat_template.jinja").write_text("{{ messages }}")
        by_origin = [["asked", encode(asked)]] if asked else []
        figures = {"accuracy": encode(accuracy), "held_out": {"accuracy_by_origin": by_origin}}
        result = StageResult(rows=1, figures=figures)
        opened.finish(stage, "inputs", recipe="recipe", result=result, seconds=1.0)
    return folder


def test_only_an_interval_that_lies_below_is_refused(tmp_path: Path) -> None:
    wrong = plant(tmp_path / "wrong", WRONG, stage="pm-2")
    with pytest.raises(
        DataError, match=r"right on 30% \[20%, 40%\] of held-out labels, n = 50 prompts"
    ) as error:
        check_accuracy(wrong, least=0.5)
    assert (error.value.where, "rl.least_pm_accuracy" in error.value.todo) == (str(wrong), True)
    (tmp_path / "link").symlink_to(wrong)
    with pytest.raises(DataError, match="surely below 50%"):
        check_accuracy(tmp_path / "link", least=0.5)
    check_accuracy(wrong, least=0.4)
    hidden = plant(tmp_path / "hidden", Estimate(0.7, 0.6, 0.8, 170, 0.95), asked=WRONG)
    with pytest.raises(DataError, match=r"labels \(asked\), n = 50 prompts: surely below 50%"):
        check_accuracy(hidden, least=0.5)
    check_accuracy(plant(tmp_path / "chance", CHANCE), least=0.5)
    check_accuracy(plant(tmp_path / "unknown", None), least=0.5)
    check_accuracy(tmp_path, least=0.5)  # nothing is known of a model that lies elsewhere


def test_another_runs_model_is_refused_before_anything_runs(tmp_path: Path, write_tiny_recipe: Write) -> None:
    recipe, wrong = write_tiny_recipe(tmp_path), plant(tmp_path / "wrong", WRONG)

    def check(weight: float, *settings: str) -> None:
        pms = f'rl.pms=[{{ name = "own" }}, {{ name = "other", pm = "{wrong}", weight = {weight} }}]'
        check_recipe(load_recipe(recipe, settings=[pms, *settings], environment={}))

    with pytest.raises(DataError, match="surely below 50%"):
        check(0.5)
    check(0.0)  # it only measures
    check(0.5, "rl.least_pm_accuracy=0.4")
    with pytest.raises(DataError, match="at most 1"):
        check(0.5, "rl.least_pm_accuracy=55")


def test_the_bound_does_not_make_a_finished_training_stale(write_tiny_recipe: Write, tmp_path: Path) -> None:
    recipe = write_tiny_recipe(tmp_path)

    def inputs(*settings: str) -> object:
        loaded = load_recipe(recipe, settings=settings, environment={})
        return stage_of("rl").inputs(RunContext(loaded, lambda *_: None))

    assert inputs() == inputs("rl.least_pm_accuracy=0.4") != inputs("rl.beta=0.5")


@pytest.mark.tiny
def test_the_runs_own_model_is_refused_before_a_step(tmp_path: Path, write_tiny_recipe: Write) -> None:
    path = write_tiny_recipe(tmp_path, "revise", "sft", "label", "pm", "rl")
    recipe, out = load_recipe(path, environment={}), tmp_path / "run"

    def stop_at_rl(event: object) -> None:
        if getattr(event, "stage", "") == "rl":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, out, Listener(stop_at_rl, lambda *_: None))
    with open_run(out) as run:
        pm = run.manifest("pm")
        assert pm is not None
        result = StageResult(pm.rows, {**pm.figures, "accuracy": encode(WRONG)})
        run.finish("pm", pm.inputs, recipe=pm.recipe, result=result, seconds=pm.seconds)
    with pytest.raises(DataError, match="surely below 50%"):
        run_recipe(recipe, out, Listener(lambda _: None, lambda *_: None))
    assert not (out / "stages/rl/model/steps.jsonl").exists()
