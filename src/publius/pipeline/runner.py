"""Run the stages of a recipe that are not done yet, in order, in one run directory.

Everything that can be known to fail is checked before the first model call (`check.py`). A stage
that is done for the same inputs is not run again; a killed one goes on from the journal.

Paper: none.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from publius import __version__
from publius.errors import StoreError, UsageError
from publius.pipeline.cards import write_cards
from publius.pipeline.check import check_prices, check_recipe, check_servers
from publius.pipeline.context import RunContext
from publius.pipeline.earlier import refuse_own_pairs
from publius.pipeline.lineage import TRAINED
from publius.pipeline.recipe import Recipe, role_of
from publius.pipeline.rounds import kind_of, seed_of
from publius.pipeline.stage_table import Stage, stage_of
from publius.records import content_hash, encode
from publius.store import (
    Budget,
    Journal,
    Run,
    StageManifest,
    StageStore,
    model_label,
    open_run,
    read_json,
    write_json,
)
from publius.training.weights import model_directory

Outcome: TypeAlias = Literal["started", "reused", "done"]
RECIPE = "recipe.json"


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
    on_training: Callable[[str], None] | None = None,
    journal: Journal | None = None,
    siblings: Sequence[Path] = (),
) -> tuple[StageManifest, ...]:
    """Run the recipe's stages (or `only` some) in the directory `out` and return their manifests.

    `budget` limits what the run spends, with what it has spent before. `on_training` is told a stage that
    trains before it begins, when all that it reads is in place. The runs of an experiment share a `journal`,
    and take stages with the same inputs over from each other (`siblings`).

    Raises:
        BudgetReached: The run may not spend more; the same command with a higher limit goes on.
        PubliusError: Something is wrong; what was finished is kept, the same command goes on.
    """
    current = ["plan"]
    context = RunContext(
        recipe, lambda step, done, total: listener.on_progress(current[0], step, done, total), command
    )
    stages = check_recipe(recipe, only=only, context=context)
    refuse_own_pairs(recipe, out)
    budget = budget or Budget()
    check_prices(recipe, stages, budget)
    with open_run(out, journal=journal) as run:
        write_json(run.path / RECIPE, recipe)
        if budget.is_limited:
            _count_spent(budget, run, context, stages)
        manifests: list[StageManifest] = []
        servers_are_checked = False
        try:
            for i, stage in enumerate(stages):
                current[0] = stage.name
                manifest = _kept(stage, context, run, siblings)
                if manifest is not None:
                    listener.on_event(StageEvent(stage.name, "reused", manifest))
                else:
                    if not servers_are_checked:
                        check_servers(context, stages[i:])
                        servers_are_checked = True
                    listener.on_event(StageEvent(stage.name, "started"))
                    if on_training is not None and kind_of(stage.name) in TRAINED:
                        # written once, before several processes would do it at the same time
                        models = recipe.models
                        role = models.preference_start if kind_of(stage.name) == "pm" else models.policy
                        model_directory(context.model_path(role.model))
                        on_training(stage.name)
                    manifest = _run_stage(stage, context, run, budget)
                    listener.on_event(StageEvent(stage.name, "done", manifest))
                manifests.append(manifest)
                write_cards(context, run, _up_to_date(context, run))
        finally:
            context.close_engines()
    return tuple(manifests)


def _kept(stage: Stage, context: RunContext, run: Run, siblings: Sequence[Path]) -> StageManifest | None:
    """Return the manifest of a stage that is done already, here or in a sibling, or None.

    It is noted as up to date.
    """
    inputs = _inputs_hash(stage, context, run, {})
    manifest = run.finished(stage.name, inputs)
    if manifest is None:
        run.begin(stage.name, inputs)  # brings back a folder of the same inputs, if it was put aside
        manifest = run.finished(stage.name, inputs) or run.take_over(stage.name, inputs, siblings)
    return None if manifest is None else run.confirm(manifest, content_hash(context.recipe))


def _run_stage(stage: Stage, context: RunContext, run: Run, budget: Budget) -> StageManifest:
    inputs = _inputs_hash(stage, context, run, {})
    context.close_engines(keep=[ask.role for ask in stage.asks(context.recipe)])  # training needs the memory
    began = time.perf_counter()
    seed = seed_of(stage.name, context.recipe.seed)
    store = StageStore(stage.name, run.stage_path(stage.name), run.journal, seed, context.on_progress, budget)
    result = stage.run(context, run, store)
    seconds = time.perf_counter() - began
    recipe = content_hash(context.recipe)
    return run.finish(stage.name, inputs, recipe=recipe, result=result, seconds=seconds, used=store.used)


def _up_to_date(context: RunContext, run: Run) -> dict[str, StageManifest]:
    """Return the manifests of the stages that are done for this recipe, whether run now or before."""
    found: dict[str, StageManifest] = {}
    known: dict[str, str] = {}
    for name in context.recipe.stages:
        if run.manifest(name) is None:
            continue
        try:
            manifest = run.finished(name, _inputs_hash(stage_of(name), context, run, known))
        except UsageError:  # what it was made from is not done for this recipe
            continue
        if manifest is not None:
            found[name] = manifest
    return found


def _count_spent(budget: Budget, run: Run, context: RunContext, stages: Sequence[Stage]) -> None:
    asked = {ask.role for stage in stages for ask in stage.asks(context.recipe)}
    roles = [role_of(context.recipe, name) for name in sorted(asked)]
    budget.prices = {model_label(context.engine(role).model): role.price for role in roles}
    for spent in run.journal.spent():
        budget.add(spent.model, n_calls=spent.n_calls, n_read=spent.n_read, n_written=spent.n_written)


def _inputs_hash(stage: Stage, context: RunContext, run: Run, known: dict[str, str]) -> str:
    """Return the hash of what decides a stage; `known` holds those of this pass."""
    if stage.name in known:
        return known[stage.name]
    needed: list[Any] = []
    for need in stage.needs(context.recipe):
        name = need.stage
        manifest = run.finished(name, _inputs_hash(stage_of(name), context, run, known))
        if manifest is None:
            word = "is not done" if run.manifest(name) is None else "was done for other settings"
            raise UsageError(
                f"stage {stage.name!r} needs stage {name!r}, which {word} in this run",
                where=run.path,
                todo=f"run the stage {name!r} first, or the whole recipe with 'publius run'",
            )
        read = {file: proof.sha256 for file, proof in manifest.files.items() if need.covers(file)}
        if not read:
            raise StoreError(
                f"stage {name!r} left no {need.path!r}",
                where=run.stage_path(name),
                todo="delete the folder and run the same command again",
            )
        needed.append([name, read])
    known[stage.name] = content_hash([__version__, stage.name, encode(stage.inputs(context)), needed])
    return known[stage.name]


def resolved_recipe(path: Path) -> dict[str, Any]:
    """Return the recipe of a run directory as it was resolved, as JSON.

    Raises:
        StoreError: It is missing or damaged.
    """
    recipe = read_json(path / RECIPE)
    if not isinstance(recipe, dict) or not isinstance(cast(dict[str, Any], recipe).get("stages"), list):
        raise StoreError(
            "this is not the recipe of a run", where=path / RECIPE, todo="run the recipe again with --out"
        )
    return cast(dict[str, Any], recipe)
