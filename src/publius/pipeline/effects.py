"""Measure what the principles of a run's constitution move, in the run's directory.

The pairs are those that the run's feedback model was asked about under the constitution. It is asked for
every principle's vote on them under the label stage's name, so what that stage asked is not asked again; the
judge of the evaluation, or a preference model, says on each axis which answer is better. What comes out lies
in `stages/effects`.

Paper: none. The estimators: `publius.feedback.effects`, `publius.stats.picks`; the check by retraining:
`publius.pipeline.effects_retrain`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from publius import __version__
from publius.engines.protocol import Engine
from publius.evaluate.play import judged_votes, rewarded_scores
from publius.evaluate.prompts import QUESTIONS, Axis
from publius.evaluate.stage import AXES
from publius.feedback.audit import ask_audit
from publius.feedback.effects import measure_effects
from publius.feedback.label import weights_of
from publius.judge import soft_label, templates_hash
from publius.judge.reasons import kind_of_reason, most_common
from publius.pipeline.alone import Alone, Asked, OpenOrder, open_order
from publius.pipeline.context import RunContext
from publius.pipeline.effects_plan import STAGE, EffectsOrder, order_pairs
from publius.pipeline.effects_retrain import Retrain, retrain
from publius.pipeline.rewards import rewards_of
from publius.pipeline.runner import Listener
from publius.preference.config import PMSettings
from publius.records import Preference, Unparsed, content_hash, decode, encode, records_hash
from publius.report import render_effects
from publius.stats.effects import EffectsReport
from publius.store import (
    Budget,
    StageManifest,
    StageResult,
    StageStore,
    read_json,
    write_atomic,
    write_json,
    write_records,
)
from publius.training.digest import weights_hash

EFFECTS = "effects.json"
VOTES = "votes.jsonl"
VERDICTS = "verdicts.json"  # P(A is better) by axis and comparison
PAGE = "effects.html"


def run_effects(order: EffectsOrder, listener: Listener, *, budget: Budget | None = None) -> StageManifest:
    """Carry out an order in the run's own directory and return the manifest of its stage.

    Raises:
        PubliusError: Something is wrong; what was asked is kept, the same order goes on.
    """
    pairs = order_pairs(order)
    roles = (order.recipe.models.feedback, order.judge)
    with open_order(STAGE, roles, order.run, listener, budget, recipe=order.recipe) as opened:
        manifest = _run(order, pairs, opened)
        _show(order.run)
        return manifest


def read_effects(run: Path) -> EffectsReport:
    """Return the report that lies in a run directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    return decode(EffectsReport, read_json(run / "stages" / STAGE / EFFECTS))


def _show(run: Path) -> None:
    """Write the page of the effects that lie in a run directory, also of those that were measured before."""
    page = render_effects(read_effects(run)).encode("utf-8", "replace")
    write_atomic(run / "stages" / STAGE / PAGE, page)


def _run(order: EffectsOrder, pairs: Sequence[Preference], opened: OpenOrder) -> StageManifest:
    context, recipe = opened.context, order.recipe
    constitution = context.constitution
    labeller, judge = context.engine(recipe.models.feedback), context.engine(order.judge)
    form, judge_form = recipe.label.judge, recipe.evaluate.judge
    settings = replace(recipe.pm, objectives={}) if order.n_confirm else None
    told = [
        [records_hash(pairs), constitution.hash, form, judge_form, recipe.label.rule(), recipe.seed],
        [labeller.model, judge.model, templates_hash(form), templates_hash(judge_form), QUESTIONS],
        {axis: weights_hash(path) for axis, path in order.rewards.items()},
        [order.n_confirm, settings, _start_hash(context) if order.n_confirm else ""],
    ]
    alone = Alone(
        STAGE,
        inputs=content_hash([__version__, STAGE, told]),
        order=content_hash([told, recipe, order.n]),
        asked=tuple(
            Asked(role, engine, ("choose", "generate") if own.reasonings else ("choose",))
            for role, engine, own in (
                (recipe.models.feedback, labeller, form),
                (order.judge, judge, judge_form),
            )
        ),
        seed=recipe.seed,
        votes="set options.votes = 8 for its role",
    )

    def work(store: StageStore) -> StageResult:
        report = _measure(store, order, pairs, context, labeller=labeller, judge=judge, settings=settings)
        write_json(store.path / EFFECTS, report)
        (store.path / PAGE).unlink(missing_ok=True)  # it changes with Publius, and is no part of the stage
        return StageResult(rows=len(pairs), figures={"effects": encode(report)})

    return opened.carry_out(alone, work)


def _measure(
    store: StageStore,
    order: EffectsOrder,
    pairs: Sequence[Preference],
    context: RunContext,
    *,
    labeller: Engine,
    judge: Engine,
    settings: PMSettings | None,
) -> EffectsReport:
    recipe, constitution = order.recipe, context.constitution
    judged = ask_audit(
        pairs,
        # the label stage asks the same: what it asked need not be asked again
        replace(store, name="label").ask(labeller, "label").run,
        judge=labeller.model.name,
        form=recipe.label.judge,
        principles=constitution.principles,
        seed=store.seed,
    )
    write_records(store.path / VOTES, judged)
    axes, unparsed = _axes(store, order, judged, judge=judge)
    write_json(store.path / VERDICTS, axes)
    unparsed += Counter(
        kind_of_reason(vote.reason) for item in judged for vote in item.votes if isinstance(vote, Unparsed)
    )
    weights, rule = {constitution.hash: weights_of(constitution)}, recipe.label.rule()
    effects = measure_effects(judged, axes, weights=weights, rule=rule, seed=store.seed)
    retraining = None
    if effects is not None and settings is not None:
        context.close_engines()  # training needs the memory
        start = context.model_path(recipe.models.preference_start.model)
        task = Retrain(judged, axes, weights, rule, start, settings)
        retraining = retrain(store, task, effects, n=order.n_confirm)
    return EffectsReport(
        source=str(order.run),
        constitution=constitution.name,
        constitution_hash=constitution.hash,
        labeller=labeller.model.name,
        judges={axis: _judge_name(order, axis, judge) for axis in AXES},
        own_judge=tuple(
            axis
            for axis in AXES
            if axis not in order.rewards and judge.model.revision == labeller.model.revision
        ),
        n_pairs=len(pairs),
        n_unread={axis: len(pairs) - len(axes[axis]) for axis in AXES},
        n_unparsed=unparsed.total(),
        unparsed=most_common(unparsed),
        effects=effects,
        retraining=retraining,
        statements={principle.id: principle.statement for principle in constitution.principles},
    )


def _axes(
    store: StageStore, order: EffectsOrder, judged: Sequence[Preference], *, judge: Engine
) -> tuple[dict[str, dict[str, float]], Counter[str]]:
    """Return P(A is better) by axis and comparison where it is known, and why votes could not be read."""
    comparisons = [item.comparison for item in judged]
    axes: dict[str, dict[str, float]] = {}
    unparsed: Counter[str] = Counter()
    for axis in AXES:
        if axis in order.rewards:
            rewards = rewards_of(order.rewards[axis], store.journal)
            scores = rewarded_scores(comparisons, rewards).scores
            labels = {item.id: score for item, score in zip(comparisons, scores, strict=True)}
        else:
            run = store.ask(judge, f"judge {axis}").run
            form = order.recipe.evaluate.judge
            votes = judged_votes(comparisons, run, axis=axis, form=form, seed=store.seed)
            labels = {id: soft_label(own) for id, own in votes.items()}
            unparsed += Counter(
                kind_of_reason(vote.reason)
                for own in votes.values()
                for vote in own
                if isinstance(vote, Unparsed)
            )
        axes[axis] = {id: label for id, label in labels.items() if label is not None}
    return axes, unparsed


def _start_hash(context: RunContext) -> str:
    """Return the hash of the weights that the run's preference models start from, and those of the check."""
    return weights_hash(context.model_path(context.recipe.models.preference_start.model))


def _judge_name(order: EffectsOrder, axis: Axis, judge: Engine) -> str:
    return str(order.rewards[axis]) if axis in order.rewards else judge.model.name
