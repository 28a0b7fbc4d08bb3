"""Audit a recipe's feedback model, and other judges beside it, without the rest of the pipeline.

An audit lies in the run's directory as a stage of its own, `stages/audit`: killed and started again it goes
on, the same order given again does nothing, and what it asked of the feedback model the label stage of
the run need not ask.

Paper: none. The audit is `publius.feedback.audit`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from publius import __version__
from publius.constitution import load_constitution
from publius.engines import check_engine, is_remote
from publius.engines.fetch import check_model
from publius.engines.protocol import Engine
from publius.errors import DataError
from publius.feedback.audit import draw_audit
from publius.feedback.audit_stage import AUDIT, AuditTask, audit_labels, run_judge_audit
from publius.feedback.label import Weights, check_questions, weights_of
from publius.feedback.stage import PREFERENCES
from publius.judge import templates_hash
from publius.pipeline.alone import Alone, Asked, OpenOrder, n_votes, open_order
from publius.pipeline.audit_page import PAGE, write_page
from publius.pipeline.check import check_judge
from publius.pipeline.preferences import run_constitutions
from publius.pipeline.recipe import ModelRole, Recipe
from publius.pipeline.runner import Listener, resolved_recipe
from publius.records import Preference, content_hash, decode, encode
from publius.sources import load_comparisons
from publius.stats.audit import AuditReport
from publius.store import (
    Budget,
    StageManifest,
    StageResult,
    StageStore,
    iter_records,
    read_json,
)

STAGE = "audit"
_ROLES = ("policy", "critic", "feedback", "judge")
_TOKENS_PER_CHAR = 0.3
_ASK_TOKENS = 60  # instructions and question
_SHOT_TOKENS = 170


@dataclass(frozen=True, slots=True)
class AuditOrder:
    """Who is audited on what. `judges` begin with the recipe's feedback model.

    `source` names the comparisons (`load_comparisons`), of which `n` are drawn with the recipe's seed (0:
    all). `by_principle` asks every judge under each principle of the constitution besides.
    """

    recipe: Recipe
    judges: tuple[ModelRole, ...]
    source: str
    n: int = 0
    by_principle: bool = False


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """What an order will cost: model calls, tokens read (roughly) and written at most, dollars."""

    source: str
    n_comparisons: int
    judges: tuple[str, ...]
    calls: int
    read_tokens: int
    written_tokens: int
    cost: float


def order_audit(recipe: Recipe, *, also: Sequence[str] = (), source: str = "", n: int = 0) -> AuditOrder:
    """Return the order for a recipe's feedback model and the models of `also`.

    Each of `also` is a role of the recipe (policy, critic, judge), a registered name or a path; the latter
    two are opened on the feedback model's engine, with its options. A model named twice is audited once.
    """
    models = recipe.models
    feedback = models.feedback
    named = [
        cast(ModelRole, getattr(models, name))
        if name in _ROLES
        else ModelRole(name, feedback.engine, feedback.options)
        for name in also
    ]
    judges = {content_hash([role.engine, role.model, role.options]): role for role in (feedback, *named)}
    return AuditOrder(recipe, tuple(judges.values()), source or recipe.audit, n or recipe.label.n_audit)


def plan_audit(order: AuditOrder) -> AuditPlan:
    """Return what an order will cost, after the checks that need no model.

    Raises:
        PubliusError: What `run_audit` would refuse at once.
    """
    task = _task(order)
    n_calls = task.n_calls()
    chars = sum(
        sum(len(message.content) for message in item.comparison.messages)
        + len(item.comparison.answer_a)
        + len(item.comparison.answer_b)
        for item in task.labelled
    )
    own = chars * _TOKENS_PER_CHAR / len(task.labelled) + _ASK_TOKENS
    shots = task.form.n_shots * _SHOT_TOKENS  # a server bills them with every call; here they are read once
    read = [n_calls * (own + (shots if is_remote(role.engine) else 0)) for role in order.judges]
    written = task.form.n_written() * n_calls // task.form.n_calls()
    return AuditPlan(
        source=order.source,
        n_comparisons=len(task.labelled),
        judges=tuple(role.model for role in order.judges),
        calls=n_calls * len(order.judges),
        read_tokens=round(sum(read)),
        written_tokens=written * len(order.judges),
        cost=sum(
            n_votes(role) * (n_read * role.price.input + written * role.price.output) / 1e6
            for role, n_read in zip(order.judges, read, strict=True)
        ),
    )


def run_audit(
    order: AuditOrder, out: Path, listener: Listener, *, budget: Budget | None = None
) -> StageManifest:
    """Carry out an order in the run directory `out` and return the manifest of its stage.

    Raises:
        PubliusError: Something is wrong; what was asked is kept, the same order goes on.
    """
    task = _task(order)
    with open_order(STAGE, order.judges, out, listener, budget, recipe=order.recipe) as opened:
        return _run(order, task, opened)


def audit_run(path: Path) -> AuditReport:
    """Return the figures of the votes in a run's labels, or in a file of preferences; nothing is asked.

    Principles weigh as in the run's constitutions; in a file, or where those have changed since, the same.

    Raises:
        DataError: There are no votes.
        StoreError: There is no such file, or it is damaged.
    """
    file = path / "stages" / "label" / PREFERENCES if path.is_dir() else path
    weights = _weights(path) if path.is_dir() else {}
    report = audit_labels(iter_records(file, Preference), source=str(file), weights=weights)
    if not report.audits:
        raise DataError("no preference in this file carries a vote", where=file, todo="audit a labelled run")
    return report


def _weights(run: Path) -> Weights:
    return {loaded.hash: weights_of(loaded) for loaded in run_constitutions(resolved_recipe(run))}


def read_audit(out: Path) -> AuditReport:
    """Return the audit that lies in a run directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    return decode(AuditReport, read_json(out / "stages" / STAGE / AUDIT))


def _run(order: AuditOrder, task: AuditTask, opened: OpenOrder) -> StageManifest:
    engines = [opened.context.engine(role) for role in order.judges]
    seed = order.recipe.seed
    models = [engine.model for engine in engines]
    inputs = content_hash([__version__, STAGE, task, models, seed, templates_hash(task.form)])
    abilities = ("choose", "generate") if task.form.reasonings else ("choose",)
    alone = Alone(
        STAGE,
        inputs,
        order=content_hash(order),
        asked=tuple(
            Asked(role, engine, abilities) for role, engine in zip(order.judges, engines, strict=True)
        ),
        seed=seed,
        votes="set options.votes = 8 for its role",
    )

    def work(store: StageStore) -> StageResult:
        report = run_judge_audit(store, _one_by_one(order.judges, engines), task)
        write_page(report, store.path / PAGE)
        return StageResult(rows=report.n, figures={"audit": encode(report)})

    return opened.carry_out(alone, work)


def _one_by_one(roles: Sequence[ModelRole], engines: Sequence[Engine]) -> Iterator[Engine]:
    """Yield the engines; one that holds weights is closed before the next, which may need its memory."""
    for role, engine in zip(roles, engines, strict=True):
        yield engine
        if not is_remote(role.engine):
            engine.close()


def _task(order: AuditOrder) -> AuditTask:
    """Return what to ask, after everything that can be refused without a model."""
    for role in order.judges:
        check_engine(role.engine)
        if not is_remote(role.engine):
            check_model(role.model)
        check_judge(role, order.recipe.label.judge, where=f"label.judge.layout ({role.model})")
    loaded = load_comparisons(order.source)
    if not loaded.preferences:
        reasons = ", ".join(f"{n} {reason}" for reason, n in loaded.left_out().items())
        raise DataError(f"none of the {loaded.n_rows} rows can be used ({reasons})", where=order.source)
    constitution = load_constitution(order.recipe.constitution) if order.by_principle else None
    if constitution is not None:
        check_questions(constitution, contrast=False, where=order.recipe.constitution)
    rule = order.recipe.label.rule()
    return AuditTask(
        labelled=draw_audit(loaded.preferences, order.n, seed=order.recipe.seed),
        source=order.source,
        form=order.recipe.label.judge,
        clamp=(rule.low, rule.high) if rule.mode == "clamped" else None,
        principles=constitution.principles if constitution else (),
        left_out=loaded.left_out(),
    )
