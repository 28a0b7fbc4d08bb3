"""A recipe small enough for seconds: rules in place of the large models, a tiny real model that learns."""

from collections.abc import Callable
from pathlib import Path

import pytest

RECIPE = """
name = "tiny"
stages = {stages}
[models]
trained_engine = "scripted"
[models.policy]
model = "{model}"
engine = "scripted"
[models.critic]
model = "{model}"
engine = "scripted"
[models.feedback]
model = "{model}"
engine = "scripted"
[models.judge]
model = "{model}"
engine = "scripted"
[revise]
n_red_team = 4
n_helpful = 4
rounds = 2
n_exemplars = 1
draft_tokens = 12
critique_tokens = 12
revision_tokens = 12
[sft]
batch_size = 4
is_bf16 = false
[dpo]
batch_size = 4
is_bf16 = false
[label]
n_red_team = 6
n_helpful = 6
answer_tokens = 12
n_construction = 8
train_on_chance = true
[pm]
batch_size = 4
is_bf16 = false
[rl]
steps = 3
prompts_per_step = 2
num_generations = 2
max_completion_length = 8
snapshot_every = 1
is_bf16 = false
[evaluate]
n_red_team = 4
n_helpful = 4
answer_tokens = 12
n_resamples = 100
"""
ALL = ("revise", "sft", "dpo", "label", "pm", "rl", "evaluate", "report")


@pytest.fixture(scope="session")
def write_tiny_recipe(tiny_model_dir: Path) -> Callable[..., str]:
    """Return a function that writes the recipe into a folder, with all stages or some, and gives its path."""

    def write(folder: Path, *stages: str) -> str:
        path = folder / "tiny.toml"
        names = ", ".join(f'"{name}"' for name in stages or ALL)
        path.write_text(RECIPE.format(stages=f"[{names}]", model=tiny_model_dir))
        return str(path)

    return write
