"""Carry out an experiment: one arm after the other, then the comparison of their records.

    out/
      experiment.json            what was asked, arm by arm
      journal.sqlite             every model call of all arms
      arms/NAME/…                an ordinary run
      measures/NAME/…            what the comparison asked of the arms' models
      stages/comparison/comparison.json   tables, with the records behind every number
      comparison.html            the same as a page

Paper: none.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from publius import __version__
from publius.errors import DataError, StoreError
from publius.pipeline.alone import Alone, carry_out
from publius.pipeline.check import check_recipe
from publius.pipeline.experiment.doubts import doubts
from publius.pipeline.experiment.kind import ARMS, Comparing, Kind
from publius.pipeline.experiment.kinds import find_kind
from publius.pipeline.experiment.recipe import Experiment
from publius.pipeline.rounds import split_name
from publius.pipeline.runner import Listener, run_recipe
from publius.records import content_hash, decode, encode
from publius.report.comparison import Comparison, render_comparison
from publius.store import (
    Budget,
    Run,
    StageManifest,
    StageResult,
    StageStore,
    open_run,
    read_json,
    read_manifest,
    write_atomic,
    write_json,
)
from publius.training.launch import require_one_process

EXPERIMENT = "experiment.json"
STAGE = "comparison"
PAGE = "comparison.html"
_SUMMARY = "comparison.json"


def check_experiment(experiment: Experiment) -> None:
    """Check all arms, and what the kind can check, before any model is asked.

    Raises:
        PubliusError: What a run of an arm would raise at once; the arm is named.
    """
    for arm in experiment.arms:
        check_recipe(arm.recipe)
        if later := [name for name in arm.recipe.stages if split_name(name)[1] > 1]:
            what = f"an experiment compares first rounds, and the arm {arm.name!r} has {later[0]!r}"
            raise DataError(what, where=experiment.name, todo="leave later rounds out of its stages")
    _kind(experiment).check({arm.name: arm.recipe for arm in experiment.arms}, experiment.settings)


def run_experiment(
    experiment: Experiment,
    out: Path,
    listener: Listener,
    *,
    command: str = "",
    budget: Budget | None = None,
) -> StageManifest:
    """Run what is missing of an experiment in the directory `out`; return the comparison's manifest.

    `budget` limits what all arms spend together.

    Raises:
        PubliusError: Something is wrong; what was finished is kept, the same command goes on.
    """
    require_one_process("an experiment")
    check_experiment(experiment)
    limits = budget or Budget()
    with open_run(out) as run:
        write_json(out / EXPERIMENT, experiment)
        siblings: list[Path] = []
        proofs: list[str] = []
        for arm in experiment.arms:
            path = out / ARMS / arm.name
            manifests = run_recipe(
                arm.recipe,
                path,
                _of_arm(listener, arm.name),
                command=command,
                budget=_same_limits(limits),
                journal=run.journal,
                siblings=siblings,
            )
            siblings.append(path)
            proofs.append(content_hash([arm.name, [[one.name, one.inputs] for one in manifests]]))
        manifest = _compare(experiment, run, listener, proofs=proofs, budget=_same_limits(limits))
    write_atomic(out / PAGE, render_comparison(read_comparison(out)).encode("utf-8", "replace"))
    return manifest


def read_comparison(out: Path) -> Comparison:
    """Return the comparison that lies in an experiment's directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    folder = out / "stages" / STAGE
    if read_manifest(folder) is None:
        todo = "run the experiment again with the same command"
        raise StoreError("the arms are not compared yet", where=out, todo=todo)
    return decode(Comparison, read_json(folder / _SUMMARY))


def arms_of(out: Path) -> tuple[str, ...] | None:
    """Return the names of an experiment's arms, or None where `out` holds none.

    Raises:
        StoreError: What says so is damaged.
    """
    if not (out / EXPERIMENT).exists():
        return None
    asked: Any = read_json(out / EXPERIMENT)
    return tuple(arm["name"] for arm in asked["arms"])


def _compare(
    experiment: Experiment, run: Run, listener: Listener, *, proofs: Sequence[str], budget: Budget
) -> StageManifest:
    kind = _kind(experiment)
    order = content_hash(experiment)
    inputs = content_hash([__version__, order, list(proofs), encode(kind.inputs(experiment.settings))])

    def work(store: StageStore) -> StageResult:
        comparing = Comparing(
            recipes={arm.name: arm.recipe for arm in experiment.arms},
            settings=experiment.settings,
            out=run.path,
            seed=experiment.seed,
            journal=run.journal,
            listener=_of_arm(listener, STAGE),
            budget=budget,
        )
        found = kind.compare(comparing)
        comparison = Comparison(
            name=experiment.name,
            description=experiment.description,
            kind=experiment.kind,
            seed=experiment.seed,
            arms=tuple(comparing.recipes),
            tables=found.tables,
            not_concluded=(*found.not_concluded, *doubts(found.tables)),
        )
        write_json(store.path / _SUMMARY, comparison)
        return StageResult(rows=sum(len(table.rows) for table in found.tables), figures=encode(comparison))

    return carry_out(
        Alone(STAGE, inputs, order, (), experiment.seed, votes=""),
        run,
        work,
        listener=listener,
        on_progress=lambda step, done, total: listener.on_progress(STAGE, step, done, total),
        budget=budget,
    )


def _kind(experiment: Experiment) -> Kind:
    return find_kind(experiment.kind, where=experiment.name)


def _same_limits(budget: Budget) -> Budget:
    """Return a budget with the same limits that has counted nothing: every arm counts the journal anew."""
    return Budget(budget.max_calls, budget.max_tokens, budget.max_cost)


def _of_arm(listener: Listener, name: str) -> Listener:
    """Return a listener that is told the arm before the stage."""
    return Listener(
        lambda event: listener.on_event(replace(event, stage=f"{name} · {event.stage}")),
        lambda stage, step, done, total: listener.on_progress(f"{name} · {stage}", step, done, total),
    )
