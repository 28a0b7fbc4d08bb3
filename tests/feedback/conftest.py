"""A label stage of a few scripted calls: no weights are read, and it takes a second."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from publius.pipeline.recipe import Recipe, load_recipe
from publius.pipeline.runner import Listener, run_recipe
from publius.store import StageManifest

N_PROMPTS = 24


@pytest.fixture
def label_recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """Return a function that gives a recipe of revise and label, with settings over it."""
    (tmp_path / "rules.gguf").write_bytes(b"a scripted engine reads no weights")
    for name in ("red", "help"):
        rows = [{"id": f"{name}{i}", "prompt": f"What is {name} number {i}?"} for i in range(N_PROMPTS)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    role = f'{{ model = "{tmp_path}/rules.gguf", engine = "scripted" }}'
    roles = "".join(f"{name} = {role}\n" for name in ("policy", "critic", "feedback", "judge"))
    path = tmp_path / "small.toml"
    path.write_text(
        f'stages = ["revise", "label"]\nrl_start = "start"\n[models]\ntrained_engine = "scripted"\n{roles}'
        f'[prompts]\nred_team = ["{tmp_path}/red.jsonl"]\nhelpful = ["{tmp_path}/help.jsonl"]\ntrait = []\n'
        "[revise]\nn_red_team = 4\nn_helpful = 2\nrounds = 3\nn_exemplars = 0\n"
        "[label]\nn_red_team = 6\nn_helpful = 4\nn_construction = 8\ntrain_on_chance = true\nn_audit = 4\n"
    )

    def load(*settings: str) -> Recipe:
        return load_recipe(str(path), settings=settings, environment={})

    return load


@pytest.fixture
def label_run(tmp_path: Path, label_recipe: Callable[..., Recipe]) -> Callable[..., StageManifest]:
    """Return a function that runs such a recipe in a named directory and gives the label stage's manifest."""

    def run(name: str, *settings: str) -> StageManifest:
        listener = Listener(lambda event: None, lambda stage, step, done, total: None)
        return run_recipe(label_recipe(*settings), tmp_path / name, listener)[-1]

    return run


@pytest.fixture
def label_rows(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Return a function that gives the rows of a file of a run's label stage."""

    def rows(name: str, file: str = "preferences.jsonl") -> list[dict[str, Any]]:
        path = tmp_path / name / "stages/label" / file
        return [json.loads(line) for line in path.read_text().splitlines()]

    return rows
