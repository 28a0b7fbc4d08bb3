"""Draw the frontier between declining and helping: policies of several trainings on one chart.

The policies need not come from one run. They answer the held-out prompts of the stage `evaluate`, and
preference models rate the answers as they do there. It is a run directory: killed and started again it goes
on, the same order given again does nothing.

Paper: Bai et al. 2022, arXiv:2212.08073, Figure 2. The measure is `publius.evaluate.stage`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from publius import __version__
from publius.errors import PubliusError
from publius.evaluate.stage import START, Judge, run_evaluate
from publius.pipeline.alone import Alone, Asked, OpenOrder, open_order
from publius.pipeline.frontier_plan import STAGE, FrontierOrder, order_prompts, refuse_same_weights
from publius.pipeline.judges import judge_pms, paying_paths
from publius.pipeline.recipe import Recipe
from publius.pipeline.rewards import rewards_of
from publius.pipeline.rounds import split_name
from publius.pipeline.runner import Listener, resolved_recipe
from publius.records import Prompt, content_hash, decode
from publius.report.frontier_page import (
    FrontierReport,
    FrontierRow,
    JudgedFrontier,
    on_frontier,
    render_frontier,
)
from publius.stats.intervals import Estimate
from publius.stats.pareto import ParetoChart
from publius.stats.ratings import EloTable
from publius.store import Budget, StageManifest, StageResult, StageStore, read_json, write_atomic, write_json
from publius.training.digest import weights_hash

FRONTIER = "frontier.json"
PAGE = "frontier.html"


def measure_frontier(
    order: FrontierOrder, out: Path, listener: Listener, *, budget: Budget | None = None
) -> StageManifest:
    """Carry out an order in the run directory `out` and return the manifest of its stage.

    Raises:
        PubliusError: Something is wrong; what was asked is kept, the same order goes on.
    """
    prompts = order_prompts(order)
    roles = tuple(order.roles.values())
    with open_order(STAGE, roles, out, listener, budget, recipe=order.recipe) as opened:
        manifest = _run(order, prompts, opened)
        page = render_frontier(read_frontier(out)).encode("utf-8", "replace")
        write_atomic(out / "stages" / STAGE / PAGE, page)
        return manifest


def read_frontier(out: Path) -> FrontierReport:
    """Return the report that lies in a run directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    return decode(FrontierReport, read_json(out / "stages" / STAGE / FRONTIER))


def _run(order: FrontierOrder, prompts: tuple[Prompt, ...], opened: OpenOrder) -> StageManifest:
    context, config, seed = opened.context, order.recipe.evaluate, order.recipe.seed
    engines = {name: context.engine(role, name=name) for name, role in order.roles.items()}
    refuse_same_weights({name: engine.model.revision for name, engine in engines.items()})
    pms = judge_pms(order.recipe)
    paid = _paid(order, pms)
    places = {name: role.model for name, role in order.roles.items()}
    akin = {judge: _akin(path, places, but=paid[judge]) for judge, path in pms.items()}
    judges = [
        Judge(name, rewards=rewards_of(path, opened.run.journal), tie="reward" if paid[name] else None)
        for name, path in pms.items()
    ]
    answering = {name: engine.model for name, engine in engines.items()}
    rating = {name: weights_hash(path) for name, path in pms.items()}
    decided = [__version__, STAGE, config, prompts, answering, rating, places, paid, akin, seed]
    inputs = content_hash(decided)
    asked = tuple(Asked(role, engines[name], ("generate",)) for name, role in order.roles.items())

    def work(store: StageStore) -> StageResult:
        result = run_evaluate(store, config, prompts=prompts, policies=engines, judges=judges)
        report = FrontierReport(
            policies=places,
            judges=tuple(
                judged_frontier(name, result.figures, tuple(places), paid=paid[name], akin=akin[name])
                for name in pms
            ),
            seed=seed,
            n_failed_answers=result.figures["n_failed_answers"],
        )
        write_json(store.path / FRONTIER, report)
        (store.path / PAGE).unlink(missing_ok=True)  # it changes with Publius, and is no part of the stage
        return result

    return opened.carry_out(Alone(STAGE, inputs, inputs, asked, seed, votes=""), work)


def _paid(order: FrontierOrder, pms: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    """Return, by judge, the policies that it trained as their reward, so far as their runs say."""
    paying = {name: pms_that_paid(role.model) for name, role in order.roles.items()}
    return {
        judge: tuple(name for name, hashes in paying.items() if weights_hash(path) in hashes)
        for judge, path in pms.items()
    }


def _akin(pm: Path, places: Mapping[str, str], *, but: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name, place in places.items() if name not in but and in_one_run(place, pm))


def in_one_run(policy: str, pm: Path) -> bool:
    """Return whether a policy and a preference model lie in one run, whose revisions and labels both know."""
    runs = [
        {folder.parent.parent.resolve() for folder in _folders(path) if folder.parent.name == "stages"}
        for path in (Path(policy), pm)
    ]
    return bool(runs[0] & runs[1])


def _folders(path: Path) -> tuple[Path, ...]:
    """Return the folders that a path lies in: links may lead into a run, and out of one."""
    return (*Path(os.path.abspath(path)).parents, *path.resolve().parents)


def pms_that_paid(policy: str) -> frozenset[str]:
    """Return the hashes of the preference models that paid a policy: those that its run still has."""
    for folder in _folders(Path(policy)):
        kind, number = split_name(folder.name)
        if kind == "rl" and folder.parent.name == "stages":
            run = folder.parent.parent
            try:
                paths = paying_paths(decode(Recipe, resolved_recipe(run)), run, range(1, number + 1))
            except PubliusError:  # of another version
                return frozenset()
            return frozenset(found for path in paths if (found := _hash_if_there(path)))
    return frozenset()


def _hash_if_there(path: Path) -> str | None:
    try:
        return weights_hash(path)
    except (PubliusError, OSError):  # it is gone, or there is no such name
        return None


def judged_frontier(
    judge: str,
    figures: Mapping[str, Any],
    policies: tuple[str, ...],
    *,
    paid: tuple[str, ...] = (),
    akin: tuple[str, ...] = (),
) -> JudgedFrontier:
    """Return what one judge says, from the figures of the evaluation."""
    own = [decode(EloTable, row) for row in figures["ratings"] if row["judge"] == judge]
    elo = {(table.axis, one.model): one.difference for table in own for one in table.ratings.ratings}
    charts = (decode(ParetoChart, row) for row in figures["frontiers"] if row["judge"] == judge)
    chart = next((one for one in charts if any(point.model == START for point in one.points)), None)
    shares = {point.model: point.frontier_share for point in chart.points} if chart else {}
    best = on_frontier(chart)
    rows = tuple(
        FrontierRow(
            policy=name,
            harmlessness=elo.get(("harmlessness", name)),
            declines=_refusals(figures, name, "red-team"),
            helpfulness=elo.get(("helpfulness", name)),
            over_refusals=_refusals(figures, name, "helpful"),
            is_on_frontier=name in best if name in shares else None,
            frontier_share=shares.get(name),
        )
        for name in policies
    )
    refusal = next(one["prefers_refusal"] for one in figures["judges"] if one["name"] == judge)
    control = None if refusal is None else decode(Estimate, refusal)
    return JudgedFrontier(
        judge, rows, chart, tuple(own), paid, akin, _notes(judge, figures, own), prefers_refusal=control
    )


def _refusals(figures: Mapping[str, Any], policy: str, purpose: str) -> Estimate | None:
    found = figures["monitors"].get(policy, {}).get(purpose, {}).get("refusals")
    return None if found is None else decode(Estimate, found)


def _notes(judge: str, figures: Mapping[str, Any], tables: list[EloTable]) -> tuple[str, ...]:
    """Return sentences on what a judge could not rate, and on ratings that only a prior bounds."""
    unrated = (one for one in figures["unrated"] if one["judge"] == judge)
    notes = [f"{one['axis']} not rated, {one['reason']}: {', '.join(one['models'])}." for one in unrated]
    notes += [
        f"in {one['axis']} {one['n_unparsed']} sides of games have no reward; such a game counts only where "
        "both answers are alike."
        for one in figures["games"]
        if one["judge"] == judge and one["n_unparsed"]
    ]
    for table in tables:
        ends = (("lost to", table.ratings.undefeated), ("beat", table.ratings.winless))
        notes += [
            f"{', '.join(models)} never {verb} the others in {table.axis}: only a prior bounds its rating."
            for verb, models in ends
            if models
        ]
    return tuple(notes)
