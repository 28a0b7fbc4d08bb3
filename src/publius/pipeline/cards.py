"""Write the model cards: beside every trained model of a run, from the records of its stages alone.

A card is written when its model is there and again whenever a later stage has told more (the labels' audit is
known before the model, its Elo after). It is no part of what the stage made: it changes no hash and makes
nothing run again.

Paper: none.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from publius.engines.models import find_model
from publius.pipeline.conclusions import conclude
from publius.pipeline.context import RunContext
from publius.pipeline.lineage import TRAINED, trained_from
from publius.pipeline.recipe import ModelRole, Recipe
from publius.pipeline.report_stage import versions
from publius.pipeline.rounds import all_of, kind_of, split_name
from publius.pipeline.stage_table import stage_of
from publius.pipeline.training_summary import all_rounds, summarise_pm, summarise_rl
from publius.policy.stage import MODEL
from publius.records import decode
from publius.report import BaseModel, CardKind, ModelCard, Rating, RewardPart, render_card
from publius.stats import Audit, Estimate
from publius.store import CARD, Run, StageManifest, write_atomic
from publius.training.digest import weights_hash
from publius.training.lora import ADAPTER
from publius.training.origin import read_origin

_METHODS = {
    "sft": "Supervised finetuning on answers that were revised under a constitution, and on helpful ones.",
    "dpo": "Direct preference optimisation: the answer that is held better over the other.",
    "rl": "Reinforcement learning from AI feedback, against a preference model.",
    "pm": "A preference model: it scores an answer, and learned from labels which of two is better.",
}


def write_cards(context: RunContext, run: Run, done: Mapping[str, StageManifest]) -> None:
    """Write the cards of the models among the stages that are `done` for the run's present recipe."""
    for name in done:
        if kind_of(name) not in TRAINED:
            continue
        model = run.stage_path(name) / MODEL
        kind: CardKind = "preference model" if kind_of(name) == "pm" else "policy"
        _write(model / CARD, render_card(_card(context, run, done, name, kind)))
        if (model / ADAPTER).is_dir():
            _write(model / ADAPTER / CARD, render_card(_card(context, run, done, name, "adapter")))


def _write(path: Path, text: str) -> None:
    data = text.encode("utf-8", "replace")
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)


def _card(
    context: RunContext, run: Run, done: Mapping[str, StageManifest], name: str, kind: CardKind
) -> ModelCard:
    recipe = context.recipe
    part = _made_with(recipe, name)
    figures: dict[str, Any] = {stage: manifest.figures for stage, manifest in done.items()}
    own = {stage: figures[stage] for stage in sorted(part, key=split_name) if stage in figures}
    # the last round's before this model, where a stage came again
    last = {kind_of(stage): own[stage] for stage in own}
    trained = all_rounds(own)
    evaluated = {"evaluate": figures["evaluate"]} if kind == "policy" and "evaluate" in figures else {}
    findings, caveats = conclude(recipe, own | evaluated)
    origin = read_origin(run.stage_path(name) / MODEL)
    shown = [one for one in (context.constitution, context.helpfulness) if one.hash in origin]
    return ModelCard(
        run=recipe.name,
        stage=name,
        method=_METHODS[kind_of(name)],
        kind=kind,
        weights=figures[name].get("training", figures[name])["weights_hash"],
        base=_adapted(context, run, name) if kind == "adapter" else _base(context, _began(recipe, name)),
        seed=recipe.seed,
        versions=versions(),
        constitutions=tuple(dict.fromkeys(shown)),
        other_constitutions=tuple(sorted(origin - {one.hash for one in shown})),
        counts=tuple(_counts(own)),
        left_out=tuple(_left_out(own)),
        made_with=frozenset(map(kind_of, part)),
        audit=decode(Audit, last["label"]["audit"]) if "label" in last else None,
        pm=summarise_pm(last["pm"]) if "pm" in last else None,
        rl=None if trained is None else summarise_rl(trained, recipe.rl),
        rewards=tuple(_rewards(recipe)) if "rl" in last else (),
        ratings=tuple(_ratings(evaluated.get("evaluate", {}), name)),
        findings=findings,
        caveats=caveats,
    )


def _made_with(recipe: Recipe, name: str) -> frozenset[str]:
    """Return the stages that a model comes from, its own among them."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        stage = waiting.pop()
        if stage not in found:
            found.add(stage)
            waiting += [need.stage for need in stage_of(stage).needs(recipe)]
    return frozenset(found)


def _rewards(recipe: Recipe) -> Iterator[RewardPart]:
    """Return the preference models of other runs that paid the policy."""
    for one in recipe.rl.reward_models():
        if one.pm and one.weight:
            yield RewardPart(one.name, one.weight, weights_hash(Path(one.pm)))


def _began(recipe: Recipe, name: str) -> ModelRole:
    return recipe.models.preference_start if kind_of(name) == "pm" else recipe.models.policy


def _adapted(context: RunContext, run: Run, name: str) -> BaseModel:
    """Return what an adapter is to be put on: the model that its stage began with."""
    base = _base(context, _began(context.recipe, name))
    start = trained_from(context.recipe, name)
    if start == "start":
        return base
    path = run.stage_path(start) / MODEL
    return BaseModel(f"model of the stage {start}", weights_hash(path), base.licence, repository=None)


def _base(context: RunContext, role: ModelRole) -> BaseModel:
    known = find_model(role.model)
    return BaseModel(
        name=role.model if known else Path(role.model).name,
        revision=context.engine(role).model.revision,
        licence=known.licence if known else None,
        repository=known.hub.repo_id if known and known.hub else None,
    )


def _counts(own: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Return what a model learned from; of stages that came again, all rounds together."""
    if (revise := own.get("revise")) is not None:
        yield "red-team prompts, drafted and revised", revise["n_chains"]
        yield "revisions", revise["n_revisions"]
    for origin, n in own.get("sft", {}).get("origins", {}).items():
        yield f"rows of supervised finetuning, {origin}", n
    if "dpo" in own:
        for source, n in own["dpo"]["learnt_from"].items():
            yield f"pairs of direct preference optimisation, from {source}", n
    labelled, drawn = Counter[str](), Counter[str]()
    for name in all_of("label", own):
        labelled.update(own[name]["origins"])
    for origin, n in labelled.items():
        yield f"labelled comparisons, {origin}", n
    for name in all_of("pm", own)[-1:]:
        yield "comparisons the preference model learned from", own[name]["training"]["n_rows"]
    for name in all_of("rl", own):
        drawn.update(dict(own[name]["purposes"]))
    for purpose, n in drawn.items():
        yield f"prompts of reinforcement learning, {purpose}", n


def _left_out(own: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    if (revise := own.get("revise")) is not None:
        yield "revision stopped early", revise["n_failed_chains"]
        yield "revision says what it revises", revise["n_identical"]
    for one in own.get("sft", {}).get("rejected", ()):
        yield f"supervised finetuning: {one['reason']}", one["n"]
    if labels := all_of("label", own):
        yield "comparisons without a readable label", sum(own[name]["n_unlabelled"] for name in labels)
    for name in (name for kind in ("sft", "dpo", "pm", "rl") for name in all_of(kind, own)):
        for one in own[name].get("training", own[name]).get("skipped", ()):
            yield f"{name}: {one['reason']}", one["n"]
    if policies := all_of("rl", own):
        yield "answers without a reward", sum(own[name]["n_unscored"] for name in policies)


def _ratings(evaluated: Mapping[str, Any], name: str) -> Iterator[Rating]:
    for row in evaluated.get("elo", ()):
        if row["model"] == name:
            elo = Estimate(row["elo"], row["low"], row["high"], n=row["n_prompts"], level=0.95)
            yield Rating(row["axis"], row["judge"], elo, row["regularised"])
