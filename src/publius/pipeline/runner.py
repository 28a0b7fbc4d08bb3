"""Run the stages of a recipe that are not done yet, in order, in one run directory.

Everything that can be known to fail is checked before the first model call (`check_recipe`). A stage
that is done for the same inputs is not run again; a killed one goes on from the journal.

Paper: none.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

from publius import __version__
from publius.engines import check_engine, is_remote
from publius.engines.fetch import check_model
from publius.errors import DataError, MissingExtra, UsageError
from publius.pipeline.context import RunContext
from publius.pipeline.recipe import Recipe
from publius.pipeline.stages import STAGES, Stage
from publius.records import content_hash, encode
from publius.store import Budget, Run, StageManifest, StageStore, open_run, read_json, write_json

Outcome: TypeAlias = Literal["started", "reused", "done"]
RECIPE = "recipe.json"
_BY_NAME = {stage.name: stage for stage in STAGES}
_LIBRARIES = {  # what a stage or an engine needs installed, and the extra that brings it
    "openvino": ("openvino_genai", "local"),
    "transformers": ("transformers", "train"),
    "vllm": ("vllm", "vllm"),
    "ray": ("ray", "ray"),
    "sft": ("trl", "train"),
    "dpo": ("trl", "train"),
    "pm": ("trl", "train"),
    "rl": ("trl", "train"),
}


@dataclass(frozen=True, slots=True)
class StageEvent:
    """What the runner tells while it works."""

    stage: str
    outcome: Outcome
    manifest: StageManifest | None = None


@dataclass(frozen=True)
class Listener:
    """Who is told: `on_event` of stages, `on_progress(stage, step, done, total)` within them."""

    on_event: Callable[[StageEvent], None]
    on_progress: Callable[[str, str, int, int], None]


def run_recipe(
    recipe: Recipe,
    out: Path,
    listener: Listener,
    *,
    only: Sequence[str] | None = None,
    command: str = "",
    budget: Budget | None = None,
) -> tuple[StageManifest, ...]:
    """Run the recipe's stages (or `only` some) in the directory `out` and return their manifests.

    `budget` limits what the run spends, with what it has spent before.

    Raises:
        BudgetReached: The run may not spend more; the same command with a higher limit goes on.
        PubliusError: Something is wrong; what was finished is kept, the same command goes on.
    """
    current = ["plan"]
    context = RunContext(
        recipe, lambda step, done, total: listener.on_progress(current[0], step, done, total), command
    )
    stages = check_recipe(recipe, only=only)
    with open_run(out) as run:
        write_json(run.path / RECIPE, recipe)
        budget = budget or Budget()
        if budget.is_limited:
            _count_spent(budget, run, context)
        manifests: list[StageManifest] = []
        try:
            for stage in stages:
                current[0] = stage.name
                manifests.append(_run_stage(stage, context, run, listener, budget))
        finally:
            context.close_engines()
    return tuple(manifests)


def check_recipe(recipe: Recipe, *, only: Sequence[str] | None = None) -> tuple[Stage, ...]:
    """Return the stages to run, in order, after checking what can be checked without a model.

    Raises:
        DataError: A stage is unknown or lacks one that it needs; a constitution or prompt set is wrong.
        MissingExtra: A library is not installed.
    """
    unknown = [name for name in recipe.stages if name not in _BY_NAME]
    if unknown:
        known = ", ".join(_BY_NAME)
        raise DataError(f"unknown stage {unknown[0]!r}", where="stages", todo=f"the stages are: {known}")
    for name in recipe.stages:
        missing = [need for need in _BY_NAME[name].needs(recipe) if need not in recipe.stages]
        if missing:
            todo = f"add {missing[0]!r} to stages, or leave {name!r} out"
            raise DataError(f"stage {name!r} needs stage {missing[0]!r}", where="stages", todo=todo)
    models = recipe.models
    engines = {models.policy.engine, models.critic.engine, models.feedback.engine, models.judge.engine}
    for name in (*sorted(engines), models.trained_engine):
        check_engine(name)
    for user in (*recipe.stages, *sorted(engines), models.trained_engine):
        library, extra = _LIBRARIES.get(user, ("json", ""))
        if find_spec(library) is None:
            raise MissingExtra(library, extra)
    context = RunContext(recipe, lambda step, done, total: None)
    for role in (models.policy, models.critic, models.feedback, models.judge):
        if not is_remote(role.engine):
            check_model(role.model)
    trained = [name for name in recipe.stages if name in ("sft", "dpo", "pm", "rl", "evaluate")]
    if trained and is_remote(models.policy.engine):
        todo = "name weights on this machine under models.policy, or leave the stage out"
        raise DataError(
            f"stage {trained[0]!r} needs the policy's weights, and {models.policy.engine!r} asks a server",
            where="models.policy",
            todo=todo,
        )
    for purpose in ("red-team", "helpful"):
        for split in ("train", "held-out"):
            if not any(prompt.split == split for prompt in context.of_purpose(purpose)):
                todo = f"name a larger prompt set under prompts.{purpose.replace('-', '_')}"
                raise DataError(
                    f"there are no {purpose} prompts in the {split} part", where="prompts", todo=todo
                )
    _ = context.constitution, context.helpfulness, context.audit_set, context.human_preferences
    wanted = recipe.stages if only is None else only
    absent = [name for name in wanted if name not in recipe.stages]
    if absent:
        raise UsageError(f"the recipe {recipe.name!r} has no stage {absent[0]!r}", where="stages")
    return tuple(stage for stage in STAGES if stage.name in wanted)


def _run_stage(
    stage: Stage, context: RunContext, run: Run, listener: Listener, budget: Budget
) -> StageManifest:
    recipe = content_hash(context.recipe)
    inputs = _inputs_hash(stage, context, run)
    manifest = run.finished(stage.name, inputs)
    if manifest is None:
        run.begin(stage.name, inputs)  # brings back a folder of the same inputs, if it was put aside
        manifest = run.finished(stage.name, inputs)
    if manifest is not None:
        manifest = run.confirm(manifest, recipe)
        listener.on_event(StageEvent(stage.name, "reused", manifest))
        return manifest
    context.check_servers(context.recipe.stages)
    listener.on_event(StageEvent(stage.name, "started"))
    context.close_engines(keep=stage.asks)  # training needs the memory
    began = time.perf_counter()
    store = StageStore(
        stage.name, run.stage_path(stage.name), run.journal, context.recipe.seed, context.on_progress, budget
    )
    result = stage.run(context, run, store)
    seconds = time.perf_counter() - began
    manifest = run.finish(stage.name, inputs, recipe=recipe, result=result, seconds=seconds)
    listener.on_event(StageEvent(stage.name, "done", manifest))
    return manifest


def _count_spent(budget: Budget, run: Run, context: RunContext) -> None:
    models = context.recipe.models
    roles = (models.policy, models.critic, models.feedback, models.judge)
    budget.prices = {context.engine(role).model.revision: role.price for role in roles}
    for spent in run.journal.spent():
        budget.add(spent.model, n_calls=spent.n_calls, n_read=spent.n_read, n_written=spent.n_written)


def _inputs_hash(stage: Stage, context: RunContext, run: Run) -> str:
    needed: dict[str, Any] = {}
    for name in stage.needs(context.recipe):
        manifest = run.finished(name, _inputs_hash(_BY_NAME[name], context, run))
        if manifest is None:
            word = "is not done" if run.manifest(name) is None else "was done for other settings"
            raise UsageError(
                f"stage {stage.name!r} needs stage {name!r}, which {word} in this run",
                where=run.path,
                todo=f"run the stage {name!r} first, or the whole recipe with 'publius run'",
            )
        needed[name] = {file: proof.sha256 for file, proof in manifest.files.items()}
    return content_hash([__version__, stage.name, encode(stage.inputs(context)), needed])


def resolved_recipe(path: Path) -> Any:
    """Return the recipe of a run directory as it was resolved, as JSON."""
    return read_json(path / RECIPE)
