"""Carry out one stage by itself in a run directory: what `audit`, `propose` and `suite` have in common.

Killed and started again it goes on; the same order given again does nothing; an order with other inputs puts
the last result aside.

Paper: none.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from publius.engines import is_remote
from publius.engines.protocol import Engine
from publius.errors import EngineError, UsageError
from publius.pipeline.check import check_priced
from publius.pipeline.context import RunContext
from publius.pipeline.recipe import ModelRole, Recipe
from publius.pipeline.runner import Listener, StageEvent
from publius.pipeline.settings import Settings
from publius.store import (
    Budget,
    Journal,
    Price,
    Run,
    StageManifest,
    StageResult,
    StageStore,
    model_label,
    open_run,
)
from publius.training.launch import require_one_process

_PRICE = "say what a million tokens cost: --set price.input=0.10, judge_price.input for a judge"
_PRICE_OF_ROLE = "name it as a role of the recipe with price = { input = 0.10, output = 0.40 }"


@dataclass(frozen=True, slots=True)
class Asked:
    """A model that an order asks, and what it must be able to do: "generate", "choose"."""

    role: ModelRole
    engine: Engine
    abilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alone:
    """A stage that runs by itself: its name, the hash of all that decides it, whom it asks, its seed.

    `order` is the hash of what was ordered, for the manifest. `votes` is how to let a server
    count votes; it is said where a model is asked to choose.
    """

    stage: str
    inputs: str
    order: str
    asked: tuple[Asked, ...]
    seed: int
    votes: str


def carry_out(
    alone: Alone,
    run: Run,
    work: Callable[[StageStore], StageResult],
    *,
    listener: Listener,
    on_progress: Callable[[str, int, int], None],
    budget: Budget,
) -> StageManifest:
    """Do the stage's `work` unless it is done, and return its manifest.

    Raises:
        PubliusError: Something is wrong; what was asked is kept.
    """
    stage, inputs = alone.stage, alone.inputs
    manifest = run.finished(stage, inputs)
    if manifest is None:
        run.begin(stage, inputs)  # brings back a folder of the same inputs, if it was put aside
        manifest = run.finished(stage, inputs)
    if manifest is not None:
        listener.on_event(StageEvent(stage, "reused", manifest))
        return manifest
    listener.on_event(StageEvent(stage, "started"))
    _check_servers(alone.asked, votes=alone.votes)
    budget.prices = {model_label(one.engine.model): one.role.price for one in alone.asked}
    for spent in run.journal.spent() if budget.is_limited else ():
        budget.add(spent.model, n_calls=spent.n_calls, n_read=spent.n_read, n_written=spent.n_written)
    began = time.perf_counter()
    store = StageStore(stage, run.stage_path(stage), run.journal, alone.seed, on_progress, budget)
    result = work(store)
    seconds = time.perf_counter() - began
    manifest = run.finish(stage, inputs, recipe=alone.order, result=result, seconds=seconds, used=store.used)
    listener.on_event(StageEvent(stage, "done", manifest))
    return manifest


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order's run directory and what its stage shares, while they are open."""

    context: RunContext
    run: Run
    listener: Listener
    budget: Budget

    def carry_out(self, alone: Alone, work: Callable[[StageStore], StageResult]) -> StageManifest:
        """Do the stage's `work` unless it is done (`carry_out`)."""
        return carry_out(
            alone,
            self.run,
            work,
            listener=self.listener,
            on_progress=self.context.on_progress,
            budget=self.budget,
        )


@contextmanager
def open_order(
    stage: str,
    roles: Sequence[ModelRole],
    out: Path,
    listener: Listener,
    budget: Budget | None,
    *,
    recipe: Recipe | None = None,
    journal: Journal | None = None,
) -> Generator[OpenOrder]:
    """Open the run directory of an order that asks `roles`, and what its stage shares; both are closed.

    `recipe` is the one that the roles are named in, if they are; `journal` an experiment's.

    Raises:
        UsageError: This is one of several processes.
        DataError: The budget has a limit on money, and a role has no price, or a model two.
        StoreError: Another process is on the run, or it cannot be written.
    """
    require_one_process(stage)
    asked = [(f"{role.model} on {role.engine}", role) for role in roles]
    budget = budget or Budget()
    check_priced(asked, budget, todo=_PRICE if recipe is None else _PRICE_OF_ROLE)
    context = RunContext(recipe or Recipe(stage), partial(listener.on_progress, stage))
    try:
        with open_run(out, journal=journal) as run:
            yield OpenOrder(context, run, listener, budget)
    finally:
        context.close_engines()


def n_votes(role: ModelRole) -> int:
    """Return into how many calls a server that counts votes turns one question."""
    return max(1, int(role.options.get("votes", 0))) if is_remote(role.engine) else 1


def subjects_of(
    model: str, against: str | None, *, engine: str, against_engine: str | None, said: Settings
) -> tuple[ModelRole, ...]:
    """Return who is asked: a model, and the one that it is compared with if there is one.

    The engine's options hold for the second where it is on the same engine.

    Raises:
        UsageError: There is an engine and no second model, or the second is the first.
    """
    if against is None and against_engine is not None:
        todo = "name the model with --against, or leave --against-engine out"
        raise UsageError("--against-engine is the engine of --against", where="--against-engine", todo=todo)
    price = said.price or Price()
    first = ModelRole(model, engine, said.options, price)
    if against is None:
        return (first,)
    own = against_engine or engine
    refuse_twins((model, engine), (against, own))
    return (first, ModelRole(against, own, said.options if own == engine else {}, price))


def asked_roles(models: Sequence[ModelRole], judge: ModelRole | None) -> tuple[ModelRole, ...]:
    """Return whom an order asks: its subjects, and the judge if there is one."""
    return tuple(models) if judge is None else (*models, judge)


def judge_of(
    judge: str, *, asked: str | None, engine: str, judge_engine: str | None, said: Settings
) -> ModelRole:
    """Return the role of a judge; the price given holds for it where it is the model that is `asked`."""
    own = judge_engine or engine
    price = said.judge_price or (said.price if judge == asked else None) or Price()
    return ModelRole(judge, own, said.options if own == engine else {}, price)


def refuse_twins(first: object, second: object) -> None:
    """Refuse a subject that is to be compared with itself.

    Raises:
        UsageError: The two are the same.
    """
    if first == second:
        raise UsageError("it is the same one that is asked", where="--against", todo="name another, or none")


def names_of(roles: Sequence[ModelRole]) -> tuple[str, ...]:
    """Return the names of models in tables; the same model on two engines is told apart by them.

    >>> names_of([ModelRole("m", "openvino"), ModelRole("m", "transformers")])
    ('m on openvino', 'm on transformers')
    """
    names = [role.model for role in roles]
    return tuple(
        f"{role.model} on {role.engine}" if names.count(role.model) > 1 else role.model for role in roles
    )


def _check_servers(asked: Sequence[Asked], *, votes: str) -> None:
    """Refuse a server that cannot do what is asked, before anything is spent."""
    for one in asked:
        for ability in one.abilities:
            if is_remote(one.role.engine) and not getattr(one.engine.capabilities, ability):
                todo = "use another server"
                if ability == "choose":
                    todo = f"use a server that gives log-probabilities, or {votes}"
                raise EngineError(f"the model cannot {ability} there", where=one.role.model, todo=todo)
