"""Whole runs: finished, kept, changed in part, and killed in every stage."""

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import publius, start_publius
from publius.errors import DataError, JudgeNotTrusted, UsageError
from publius.pipeline.plan import plan_recipe
from publius.pipeline.recipe import Recipe, load_recipe
from publius.pipeline.runner import Listener, StageEvent, run_recipe
from publius.pipeline.stage_table import STAGES, Need
from publius.pipeline.status import read_status
from publius.store import Journal, read_manifest

pytestmark = pytest.mark.tiny
Write = Callable[..., str]


def run(recipe: Recipe, out: Path, only: list[str] | None = None) -> list[StageEvent]:
    events: list[StageEvent] = []
    run_recipe(recipe, out, Listener(events.append, lambda *_: None), only=only)
    return events


def stop(event: StageEvent) -> None:
    """End a run where a stage begins to work."""
    if event.outcome == "started":
        raise KeyboardInterrupt


def outcomes(events: list[StageEvent]) -> dict[str, str]:
    return {event.stage: event.outcome for event in events}


def n_calls(out: Path) -> int:
    with Journal(out / "journal.sqlite") as journal:
        return journal.count()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, write_tiny_recipe: Write) -> tuple[str, Path]:
    """One finished run of all stages: (recipe, run directory)."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = write_tiny_recipe(folder)
    events = run(load_recipe(recipe, environment={}), folder / "run")
    assert set(outcomes(events).values()) == {"done"}
    return recipe, folder / "run"


def test_a_finished_run_has_every_figure_that_the_status_names(finished: tuple[str, Path]) -> None:
    status = read_status(finished[1])
    assert status.finished
    assert [stage.name for stage in status.stages] == list(load_recipe(finished[0], environment={}).stages)
    assert all(stage.seconds is not None and stage.rows is not None for stage in status.stages)
    assert status.audit is not None
    assert set(status.audit) >= {"accuracy", "low", "high", "n", "share_first"}
    assert status.audit["n"] == 104
    assert status.pm is not None
    assert set(status.pm) >= {"accuracy", "low", "high", "n", "ece"}
    assert {row["model"] for row in status.elo} == {"start", "sft", "dpo", "rl"}
    assert {row["axis"] for row in status.elo} == {"helpfulness", "harmlessness"}
    assert status.kl is not None
    assert status.evasive is not None
    assert set(status.evasive) == {"start", "sft", "dpo", "rl"}
    report = (finished[1] / "report.html").read_text()
    assert "harmlessness" in report
    assert re.search(r"Peak memory</\w+>\s*<\w+[^>]*>[\d.]+\s[MG]B", report)
    assert "http://" not in report.replace("http://www.w3.org", "")


def test_a_preference_model_of_another_run_and_a_second_model_judge_too(
    finished: tuple[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(finished[1], tmp_path / "run")
    shutil.copytree(finished[1] / "stages/pm/model", tmp_path / "people")
    config = tmp_path / "people/config.json"
    config.write_text(config.read_text() + " ")  # other bytes are another model
    (tmp_path / "rules.gguf").write_bytes(b"a scripted engine reads no weights")
    judges = f"""evaluate.judges=[
      {{ pm = "{finished[1]}" }}, {{ pm = "{tmp_path / "people"}" }},
      {{ model = "{tmp_path / "rules.gguf"}", engine = "scripted", options = {{ prefer = "kind" }} }}]"""
    recipe = load_recipe(finished[0], settings=[judges], environment={})
    events = run(recipe, tmp_path / "run")
    assert {stage for stage, outcome in outcomes(events).items() if outcome == "done"} == {
        "evaluate",
        "report",
    }
    figures = events[-3].manifest.figures if events[-3].manifest else {}
    assert [judge["tie"] for judge in figures["judges"]] == ["labeller", "reward", None, "reward", None]
    names = [judge["name"] for judge in figures["judges"]]
    assert names[1:] == [
        "preference model",
        str(tmp_path / "rules.gguf"),
        str(finished[1]),
        str(tmp_path / "people"),
    ]
    rl = {
        row["judge"]: row["elo"]
        for row in figures["elo"]
        if (row["model"], row["axis"]) == ("rl", "helpfulness")
    }
    assert rl["preference model"] == rl[str(finished[1])]  # the same weights
    page = (tmp_path / "run/report.html").read_text()
    assert "The judges side by side." in page
    assert f"{tmp_path / 'people'}" in page


def test_running_again_does_nothing(finished: tuple[str, Path]) -> None:
    before = n_calls(finished[1])
    events = run(load_recipe(finished[0], environment={}), finished[1])
    assert set(outcomes(events).values()) == {"reused"}
    assert n_calls(finished[1]) == before


def test_every_label_and_revision_is_accounted_for(finished: tuple[str, Path]) -> None:
    revise = read_manifest(finished[1] / "stages" / "revise")
    label = read_manifest(finished[1] / "stages" / "label")
    assert revise is not None
    assert label is not None
    assert revise.figures["n_revisions"] == 4 * 2
    assert sum(revise.figures["per_principle"].values()) == 8
    figures = label.figures
    assert figures["n_asked"] + figures["n_unusable_pairs"] == figures["n_prompts"] == 12
    assert figures["n_votes"] == 2 * figures["n_asked"]
    assert label.rows == figures["n_asked"] + figures["n_constructed"]


def test_editing_one_principle_asks_again_only_where_it_was_drawn(
    tmp_path: Path, write_tiny_recipe: Write
) -> None:
    def write_constitution(**words: str) -> Path:
        principles = "".join(
            f'[[principle]]\nid = "{id}"\nstatement = "The assistant should be {word} to everybody."\n'
            for id, word in words.items()
        )
        path = tmp_path / "mine.toml"
        path.write_text(f'name = "mine"\nversion = "1.0.0"\n{principles}')
        return path

    def principles_drawn() -> list[str]:
        lines = (tmp_path / "run/stages/revise/chains.jsonl").read_text().splitlines()
        return [json.loads(line)["revisions"][0]["principle_id"] for line in lines]

    constitution = write_constitution(a="kind", b="calm", c="honest", d="brief")
    settings = [f"constitution={constitution}", "revise.rounds=1", "revise.n_red_team=24"]
    recipe = load_recipe(write_tiny_recipe(tmp_path, "revise"), settings=settings, environment={})
    run(recipe, tmp_path / "run")
    drawn, before = principles_drawn(), n_calls(tmp_path / "run")
    write_constitution(a="kind", b="patient", c="honest", d="brief")
    run(recipe, tmp_path / "run")
    assert principles_drawn() == drawn
    assert 0 < drawn.count("b") < 24
    assert n_calls(tmp_path / "run") - before == 2 * drawn.count("b")  # a critique and a revision each


def test_a_stage_without_the_stage_it_needs_says_which_one(tmp_path: Path, write_tiny_recipe: Write) -> None:
    recipe = load_recipe(write_tiny_recipe(tmp_path), environment={})
    with pytest.raises(UsageError, match="needs stage 'revise', which is not done"):
        run(recipe, tmp_path / "run", only=["sft"])


def test_a_judge_at_chance_stops_the_run_before_anything_is_sampled(
    tmp_path: Path, write_tiny_recipe: Write
) -> None:
    recipe = load_recipe(
        write_tiny_recipe(tmp_path, "revise", "sft", "label"),
        # no answer holds this word, so every comparison is a tie
        settings=["label.train_on_chance=false", 'models.feedback.options={prefer="xyzzy"}'],
        environment={},
    )
    with pytest.raises(JudgeNotTrusted, match="not above chance"):
        run(recipe, tmp_path / "run")
    status = read_status(tmp_path / "run")
    assert [stage.state for stage in status.stages] == ["done", "done", "interrupted"]
    with Journal(tmp_path / "run" / "journal.sqlite") as journal:
        assert journal.count("label/audit") == 208
        assert journal.count("label/sample") == 0


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (['stages=["revise", "fly"]'], "unknown stage 'fly'"),
        (['stages=["revise", "pm"]'], "needs stage 'label'"),
        (["constitution=hh"], "hh"),
        (["prompts.helpful=[]"], "no helpful prompts in the train part"),
        (['prompts.red_team=["nowhere.jsonl"]'], "nowhere.jsonl"),
        (["audit=nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_what_can_be_known_before_is_said_before(
    tmp_path: Path, write_tiny_recipe: Write, settings: list[str], what: str
) -> None:
    recipe = load_recipe(write_tiny_recipe(tmp_path), settings=settings, environment={})
    with pytest.raises(DataError) as caught:
        plan_recipe(recipe)
    assert what in str(caught.value)
    with pytest.raises(DataError):
        run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_killed_in_every_stage_and_started_again_nothing_is_lost_or_doubled(
    tmp_path: Path, write_tiny_recipe: Write, finished: tuple[str, Path]
) -> None:
    recipe = write_tiny_recipe(tmp_path)
    out = tmp_path / "run"
    command = ("run", recipe, "--out", str(out), "--json", "-q")
    random_delay = random.Random(0)
    kills = 0
    for stage in load_recipe(recipe, environment={}).stages:
        process = start_publius(*command, cwd=tmp_path)
        folder = out / "stages" / stage
        while process.is_alive() and not (folder / "inputs.json").exists():
            time.sleep(0.002)
        time.sleep(random_delay.uniform(0, 0.3))
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
    done = publius(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert status["finished"]
    assert kills >= 5
    for name in ("revise/chains.jsonl", "revise/demonstrations.jsonl"):
        assert (out / "stages" / name).read_bytes() == (finished[1] / "stages" / name).read_bytes()
    assert _without_models(out) == _without_models(finished[1])
    assert n_calls(out) == n_calls(finished[1])


def _without_models(out: Path) -> list[dict[str, Any]]:
    """Return the preferences with nothing that depends on the last bit of a trained weight."""
    lines = (out / "stages/label/preferences.jsonl").read_text().splitlines()
    return [
        {"prompt": row["comparison"]["prompt_id"], "origin": row["origin"]} for row in map(json.loads, lines)
    ]


def test_other_settings_are_not_shown_as_done_and_come_back_for_nothing(
    tmp_path: Path, write_tiny_recipe: Write
) -> None:
    path, out = write_tiny_recipe(tmp_path, "revise", "sft"), tmp_path / "run"
    first = load_recipe(path, environment={})
    other = load_recipe(path, settings=["revise.rounds=1"], environment={})
    run(first, out)
    run(other, out, only=["revise"])
    assert [stage.state for stage in read_status(out).stages] == ["done", "outdated"]
    with pytest.raises(UsageError, match="was done for other settings"):
        run(first, out, only=["sft"])
    before = n_calls(out)
    assert outcomes(run(first, out)) == {"revise": "reused", "sft": "reused"}
    assert n_calls(out) == before
    assert read_status(out).finished


def test_a_stage_runs_again_only_where_what_it_reads_has_changed(
    tmp_path: Path, write_tiny_recipe: Write
) -> None:
    path = write_tiny_recipe(tmp_path, "label", "pm")

    def recipe_with(*settings: str) -> Recipe:
        own = ["rl_start=start", "label.n_construction=0", "label.n_helpful=0", *settings]
        return load_recipe(path, settings=own, environment={})

    run(recipe_with("label.n_audit=4"), tmp_path / "run")
    # another audit writes other files, and the same preferences
    again = run(recipe_with("label.n_audit=6"), tmp_path / "run")
    assert outcomes(again) == {"label": "done", "pm": "reused"}
    assert read_status(tmp_path / "run").finished
    run(recipe_with("label.n_audit=6", "label.n_red_team=7"), tmp_path / "run", only=["label"])
    assert [stage.state for stage in read_status(tmp_path / "run").stages] == ["done", "outdated"]
    with pytest.raises(KeyboardInterrupt):
        run_recipe(
            recipe_with("label.n_audit=6", "label.n_red_team=7"),
            tmp_path / "run",
            Listener(stop, lambda *_: None),
        )


def test_what_a_stage_reads_of_another_is_there(finished: tuple[str, Path]) -> None:
    recipe = load_recipe(finished[0], environment={})
    needs = {stage.name: stage.needs(recipe) for stage in STAGES}
    assert [need for need in needs["dpo"] if need.stage == "revise"] == [Need("revise", "chains.jsonl")]
    for need in [need for own in needs.values() for need in own]:
        manifest = read_manifest(finished[1] / "stages" / need.stage)
        assert manifest is not None
        assert any(need.covers(file) for file in manifest.files), need


def test_edited_prompts_under_the_same_ids_are_done_again(tmp_path: Path, write_tiny_recipe: Write) -> None:
    prompts = tmp_path / "mine.jsonl"

    def write(word: str) -> Recipe:
        texts = [f"How do I {word} number {i} without being seen?" for i in range(40)]
        prompts.write_text(
            "".join(json.dumps({"id": f"m{i}", "prompt": t}) + "\n" for i, t in enumerate(texts))
        )
        settings = [f"prompts.red_team={json.dumps([str(prompts)])}"]
        return load_recipe(write_tiny_recipe(tmp_path, "revise"), settings=settings, environment={})

    run(write("open"), tmp_path / "run")
    assert outcomes(run(write("close"), tmp_path / "run")) == {"revise": "done"}
    assert outcomes(run(write("close"), tmp_path / "run")) == {"revise": "reused"}


def test_two_prompts_with_one_id_are_refused_before_anything_runs(
    tmp_path: Path, write_tiny_recipe: Write
) -> None:
    for name in ("red", "help"):
        rows = [{"id": str(i), "prompt": f"{name} question number {i}?"} for i in range(20)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [
        f"prompts.red_team={json.dumps([str(tmp_path / 'red.jsonl')])}",
        f"prompts.helpful={json.dumps([str(tmp_path / 'help.jsonl')])}",
    ]
    recipe = load_recipe(write_tiny_recipe(tmp_path), settings=settings, environment={})
    with pytest.raises(DataError, match="have the id"):
        run(recipe, tmp_path / "run")
