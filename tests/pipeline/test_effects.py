"""Principle effects from order to report: labels' votes are not asked again; the check by retraining."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from command import publius
from publius.errors import DataError, StoreError, UsageError
from publius.feedback.effects import measure_effects
from publius.feedback.rule import LabelRule
from publius.pipeline.effects import read_effects, run_effects
from publius.pipeline.effects_plan import order_effects, plan_effects
from publius.pipeline.effects_retrain import Retrain, retrain
from publius.pipeline.recipe import load_recipe
from publius.pipeline.runner import Listener, StageEvent, run_recipe
from publius.preference.config import PMSettings
from publius.records import Comparison, Preference, Vote, conversation, is_held_back
from publius.store import Journal, StageStore

LISTENER = Listener(lambda _: None, lambda *_: None)
RECIPE = """
name = "small"
stages = ["label"]
rl_start = "start"
constitution = "hhh"
helpfulness = "humanity"
[models]
trained_engine = "scripted"
{roles}
[label]
n_red_team = 12
n_helpful = 4
answer_tokens = 12
construction = 0
principles = "{principles}"
train_on_chance = true
n_audit = 4
[pm]
batch_size = 4
is_bf16 = false
"""


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that labels a run with rules in place of models and gives its directory."""

    def run(principles: str = "mean", *, policy: Path | None = None) -> Path:
        weights = tmp_path / "rules.gguf"
        weights.write_bytes(b"a scripted engine reads no weights")
        roles = "".join(
            f'[models.{name}]\nmodel = "{model}"\nengine = "scripted"\n'
            for name, model in (
                ("policy", policy or weights),
                ("critic", weights),
                ("feedback", weights),
                ("judge", weights),
            )
        )
        recipe = tmp_path / "small.toml"
        recipe.write_text(RECIPE.format(roles=roles, principles=principles))
        run_recipe(load_recipe(str(recipe), environment={}), tmp_path / "run", LISTENER)
        return tmp_path / "run"

    return run


def calls(run: Path, step: str) -> int:
    with Journal(run / "journal.sqlite") as journal:
        return sum(spent.n_calls for spent in journal.spent(step))


def leads_to_files(page: Path) -> list[str]:
    """Check that the files that a page leads to lie beside it, and return them."""
    files = [href for href in re.findall(r'href="([^#"]*)"', page.read_text()) if href != "data:,"]
    assert all((page.parent / file).exists() for file in files)
    return files


def test_votes_of_the_mean_over_principles_are_not_asked_again(labelled: Callable[..., Path]) -> None:
    run = labelled("mean")
    before = calls(run, "label/label")
    order = order_effects(run)
    plan = plan_effects(order)
    assert (plan.n_pairs, plan.n_principles, plan.trainings) == (12, 3, 0)
    assert (plan.calls_of_labeller, plan.calls_of_judge) == (12 * 3 * 2, 2 * 12 * 2)
    run_effects(order, LISTENER)
    assert calls(run, "label/label") == before
    assert calls(run, "effects/") == plan.calls_of_judge
    report = read_effects(run)
    assert report.own_judge == ("helpfulness", "harmlessness")
    assert report.effects is not None
    assert report.effects.n == 12
    assert len(report.effects.principles) == 3
    assert len(report.effects.pairs) == 3
    # what was measured before Publius wrote a page gets its page all the same
    page = run / "stages/effects/effects.html"
    written = page.read_bytes()
    page.unlink()
    events: list[StageEvent] = []
    run_effects(order, Listener(events.append, lambda *_: None))
    assert [event.outcome for event in events] == ["reused"]
    assert page.read_bytes() == written


def test_of_one_principle_a_pair_only_the_others_are_asked(labelled: Callable[..., Path]) -> None:
    run = labelled("one")
    before = calls(run, "label/label")
    run_effects(order_effects(run), LISTENER)
    assert calls(run, "label/label") == before + 12 * 2 * 2
    assert run_effects(order_effects(run, n=5), LISTENER).rows == 5
    assert calls(run, "label/label") == before + 12 * 2 * 2


def test_mistakes_are_refused_before_a_question(labelled: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        order_effects(tmp_path / "nowhere")
    run = labelled("mean")
    n_calls = calls(run, "")
    with pytest.raises(UsageError, match="only principle"):
        plan_effects(order_effects(run, settings=["constitution=humanity"]))
    with pytest.raises(DataError, match=r"none of the run's 16 labels(.|\n)*traits"):
        plan_effects(order_effects(run, settings=["constitution=traits"]))
    with pytest.raises(DataError, match="unknown key"):
        order_effects(run, settings=["pm.epoch=2"])
    with pytest.raises(DataError, match="no axis 'honesty'"):
        order_effects(run, rewards={"honesty": tmp_path})
    with pytest.raises(DataError, match="no preference model"):
        plan_effects(order_effects(run, rewards={"helpfulness": tmp_path}))
    assert calls(run, "") == n_calls


def test_the_command_plans_measures_and_shows(labelled: Callable[..., Path], tmp_path: Path) -> None:
    labelled("mean")
    plan = publius("effects", "run", "--confirm", "2", "--dry-run", cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr
    assert "12 pairs under 3 principles" in plan.stdout
    assert "4 trainings" in plan.stdout
    done = publius("effects", "run", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "own weights" in done.stderr
    assert "of 6 intervals of effects exclude zero; 0.3 would by chance" in done.stdout
    page = tmp_path / "run/stages/effects/effects.html"
    assert done.stdout.rstrip().endswith("run/stages/effects/effects.html")
    assert "the labeller's own weights" in page.read_text()
    leads_to_files(page)
    verdicts = json.loads((page.parent / "verdicts.json").read_text())
    assert {axis: len(own) for axis, own in verdicts.items()} == {"helpfulness": 12, "harmlessness": 12}
    found = publius("effects", "run", "--json", cwd=tmp_path)
    assert json.loads(found.stdout)["effects"]["n"] == 12
    assert json.loads(found.stdout)["page"] == "run/stages/effects/effects.html"
    wrong = publius("effects", "run", "--reward", "helpfulness", cwd=tmp_path)
    assert wrong.returncode == 2


@pytest.mark.tiny
def test_a_preference_model_judges_an_axis_and_small_ones_are_retrained(
    labelled: Callable[..., Path], tiny_model_dir: Path, tiny_pm_dir: Path
) -> None:
    run = labelled("mean", policy=tiny_model_dir)
    order = order_effects(run, rewards={"helpfulness": tiny_pm_dir}, n_confirm=1)
    assert plan_effects(order).calls_of_judge == 12 * 2
    run_effects(order, LISTENER)
    report = read_effects(run)
    assert report.judges["helpfulness"] == str(tiny_pm_dir)
    assert report.own_judge == ("harmlessness",)
    found = report.retraining
    assert found is not None
    assert found.n_train + found.n_held_out == 12
    assert {one.axis for one in found.effects} == set(found.noise) == {"helpfulness", "harmlessness"}
    assert not (run / "stages/effects/models").exists()
    assert len(list((run / "stages/effects/rewards").iterdir())) == 3
    assert "rewards/all.json" in leads_to_files(run / "stages/effects/effects.html")
    # every principle says the same here, so both models learnt the same labels and pick the same answers
    assert all(one.by_models is None or one.by_models.value == 0 for one in found.effects)


def test_small_models_start_from_what_the_runs_preference_models_start_from(
    labelled: Callable[..., Path], tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_effects(labelled("mean", policy=tiny_model_dir), n_confirm=1)
    models = order.recipe.models
    models = replace(models, preference=str(tiny_model_dir), policy=replace(models.policy, model="nowhere"))
    order = replace(order, recipe=replace(order.recipe, models=models))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="effects runs in one process"):
        run_effects(order, LISTENER)
    monkeypatch.delenv("WORLD_SIZE")
    run_effects(order, LISTENER)
    assert read_effects(order.run).retraining is not None


def pairs(n: int) -> list[Preference]:
    """Return pairs on which "kind" wants the answer with "yes", and two others do not look at it."""
    rows: list[Preference] = []
    for i in range(n):
        answers = ("yes yes yes good", "no no no bad")[:: 1 if i % 2 else -1]
        kind = 0.97 if i % 2 else 0.03
        other = 0.6 if (i // 2) % 2 else 0.4
        votes = tuple(
            Vote(id, None, *logs(prob), 1.0)
            for id, prob in (("kind", kind), ("brief", other), ("clear", 1 - other))
        )
        asked = conversation(("user", f"Question {i}: what then?"))
        rows.append(
            Preference(
                Comparison(f"c{i}", f"p{i}", asked, *answers, "x", "y"), None, "asked", "j", "h", votes
            )
        )
    return rows


def logs(prob: float) -> tuple[float, float]:
    return math.log(prob), math.log(1 - prob)


@pytest.mark.tiny
def test_retraining_finds_what_a_principle_taught_and_goes_on_after_a_kill(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    judged = pairs(96)
    axes = {"harmlessness": {f"c{i}": 0.9 if i % 2 else 0.1 for i in range(96)}}
    effects = measure_effects(judged, axes, weights={}, rule=LabelRule(), seed=0)
    assert effects is not None
    settings = PMSettings(epochs=3, batch_size=4, learning_rate=3e-3, is_bf16=False, checkpoint_every=0)
    task = Retrain(judged, axes, {}, LabelRule(), tiny_model_dir, settings)
    with Journal(tmp_path / "journal.sqlite") as journal:
        store = StageStore("effects", tmp_path / "effects", journal, 0, lambda *_: None)
        found = retrain(store, task, effects, n=1)
        # trained models are not trained again: without weights to start from the check still stands
        again = retrain(store, replace(task, start=tmp_path / "nowhere"), effects, n=1)
    assert again == found
    [one] = found.effects
    assert one.principle_id == "kind"
    assert found.n_held_out == sum(is_held_back(item.comparison.messages) for item in judged)
    assert one.sampled is not None
    assert one.by_models is not None
    assert one.by_models.value > 0
    assert one.by_labels is not None
    assert one.by_labels.value > 0
    assert found.noise["harmlessness"] is not None
