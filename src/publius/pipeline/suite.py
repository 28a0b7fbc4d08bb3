"""Run suites in a directory of their own: question sets, put to a model or to a preference model.

It is a run directory: killed and started again it goes on, the same order given again does nothing.

Paper: none. The suites are `publius.evaluate.suites`; the preference model reaches them as a plain callable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from publius import __version__
from publius.engines import check_engine, is_remote
from publius.engines.fetch import check_model
from publius.errors import UsageError
from publius.evaluate.suites.config import Mode, SuiteConfig, check_mode
from publius.evaluate.suites.prompts import wording_hash
from publius.evaluate.suites.stage import SUMMARY, Subject, SuiteReport, run_suite
from publius.judge import templates_hash
from publius.pipeline.alone import (
    Alone,
    Asked,
    OpenOrder,
    asked_roles,
    judge_of,
    n_votes,
    names_of,
    open_order,
    refuse_twins,
    subjects_of,
)
from publius.pipeline.check import check_turns
from publius.pipeline.recipe import ModelRole
from publius.pipeline.rewards import check_preference_model, rewards_of
from publius.pipeline.runner import Listener
from publius.pipeline.settings import read_settings
from publius.records import ChoiceQuestion, Risky, content_hash, decode, draw_key, encode
from publius.sources import load_questions
from publius.store import Budget, StageManifest, read_json
from publius.training.weights import weights_hash

STAGE = "suite"
_TOKENS_PER_CHAR = 0.3
_ASK_TOKENS = 40  # instructions and turns


@dataclass(frozen=True, slots=True)
class SuiteOrder:
    """Which sets, put to whom, how.

    `sets` are names or files (`load_questions`); `risky` is the side of those that no table knows. Of each,
    `n` questions are drawn with `seed` (0: all). `models` or, in the mode "pm", `pms` are one subject or
    two; the first is then compared with the second. `judge` reads replies in free text.
    """

    sets: tuple[str, ...]
    config: SuiteConfig
    models: tuple[ModelRole, ...] = ()
    pms: tuple[Path, ...] = ()
    judge: ModelRole | None = None
    risky: Risky | None = None
    n: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SuitePlan:
    """What an order will cost: questions, model calls, tokens read (roughly) and written at most, dollars."""

    sets: dict[str, int]
    subjects: tuple[str, ...]
    calls: int
    judge_calls: int
    read_tokens: int
    written_tokens: int
    cost: float


@dataclass(frozen=True, slots=True)
class _Task:
    """An order's sets, loaded and drawn, and the rows that were left out."""

    sets: dict[str, tuple[ChoiceQuestion, ...]]
    left_out: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])

    @property
    def questions(self) -> tuple[ChoiceQuestion, ...]:
        return tuple(question for own in self.sets.values() for question in own)


def order_suite(
    sets: Sequence[str],
    *,
    model: str | None = None,
    pm: Path | None = None,
    against: str | None = None,
    against_engine: str | None = None,
    mode: Mode | None = None,
    judge: str | None = None,
    judge_engine: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    risky: Risky | None = None,
    engine: str = "openvino",
    settings: Sequence[str] = (),
) -> SuiteOrder:
    """Return the order for what a user names; `settings` are `key=value` (`read_settings`).

    Raises:
        UsageError: There is no subject, one of each kind, or the same twice; a judge in a mode that has none;
            an engine for nobody.
        DataError: A setting is unknown, or a value is wrong.
    """
    chosen: Mode = mode or ("pm" if pm is not None else "logprob")
    if (chosen == "pm") != (pm is not None) or (pm is None) == (model is None):
        what = "the mode 'pm' rates with --pm DIR, and every other mode asks --model M"
        raise UsageError(what, where="suite", todo="give one of them")
    if (judge is not None) != (chosen == "text"):
        todo = "give --judge M with --mode text" if judge is None else "leave --judge out"
        raise UsageError(
            "a judge reads the replies of the mode 'text', and only those", where="--judge", todo=todo
        )
    if judge is None and judge_engine is not None:
        todo = "name the judge with --judge and --mode text, or leave --judge-engine out"
        raise UsageError("--judge-engine is the engine of --judge", where="--judge-engine", todo=todo)
    if pm is not None and against is not None:
        refuse_twins(pm.resolve(), Path(against).resolve())
    known = {item.name for item in fields(SuiteConfig)} - {"mode"}
    said = read_settings(settings, known=known)
    config = decode(SuiteConfig, {**encode(SuiteConfig()), "mode": chosen, **said.fields})
    models: tuple[ModelRole, ...] = ()
    if model is not None:
        models = subjects_of(model, against, engine=engine, against_engine=against_engine, said=said)
    reader = None
    if judge is not None:
        reader = judge_of(judge, asked=model, engine=engine, judge_engine=judge_engine, said=said)
    return SuiteOrder(
        sets=tuple(sets),
        config=config,
        models=models,
        pms=() if pm is None else (pm, *([Path(against)] if against else [])),
        judge=reader,
        risky=risky,
        n=limit or 0,
        seed=seed,
    )


def plan_suite(order: SuiteOrder) -> SuitePlan:
    """Return what an order will cost, after the checks that need no model.

    Raises:
        PubliusError: What `run_suites` would refuse at once.
    """
    task, config = _task(order), order.config
    calls = read = written = judge_read = 0
    for question in task.questions:
        n = config.n_calls(question)
        chars = sum(len(turn.content) for turn in question.messages) + sum(map(len, question.options))
        tokens = chars * _TOKENS_PER_CHAR + _ASK_TOKENS
        calls += n
        read += round(n * tokens)
        judge_read += round(2 * (tokens + config.answer_tokens))
        if config.mode == "text":
            written += config.answer_tokens
        else:
            written += n // 2 * (config.reasoning_tokens + 1) if config.mode == "cot" else n
    n_judged = 2 * len(task.questions) * len(order.models) if order.judge is not None else 0
    costs = [_cost(role, read, written) for role in order.models]
    if order.judge is not None:
        costs.append(len(order.models) * _cost(order.judge, judge_read, 2 * len(task.questions)))
        read, written = read + judge_read, written + 2 * len(task.questions)
    return SuitePlan(
        sets={name: len(own) for name, own in task.sets.items()},
        subjects=names_of(order.models) + tuple(map(str, order.pms)),
        calls=sum(calls * n_votes(role) for role in order.models),
        judge_calls=n_judged * n_votes(order.judge) if order.judge is not None else 0,
        read_tokens=read * len(order.models),
        written_tokens=written * len(order.models),
        cost=sum(costs),
    )


def _cost(role: ModelRole, n_read: int, n_written: int) -> float:
    return n_votes(role) * (n_read * role.price.input + n_written * role.price.output) / 1e6


def run_suites(
    order: SuiteOrder, out: Path, listener: Listener, *, budget: Budget | None = None
) -> StageManifest:
    """Carry out an order in the run directory `out` and return the manifest of its stage.

    Raises:
        PubliusError: Something is wrong; what was asked is kept, the same order goes on.
    """
    task = _task(order)
    with open_order(STAGE, asked_roles(order.models, order.judge), out, listener, budget) as opened:
        return _run(order, task, opened)


def read_suite(out: Path) -> SuiteReport:
    """Return the report that lies in a run directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    return decode(SuiteReport, read_json(out / "stages" / STAGE / SUMMARY))


def draw_questions(questions: Sequence[ChoiceQuestion], n: int, *, seed: int) -> tuple[ChoiceQuestion, ...]:
    """Return `n` questions (0: all), drawn by a hash of their ids, in the order of their file."""
    if not n:
        return tuple(questions)
    drawn = sorted(questions, key=lambda question: (draw_key(question.id, seed=seed), question.id))[:n]
    kept = {question.id for question in drawn}
    return tuple(question for question in questions if question.id in kept)


def _run(order: SuiteOrder, task: _Task, opened: OpenOrder) -> StageManifest:
    context, journal = opened.context, opened.run.journal
    engines = [context.engine(role) for role in order.models]
    judge = context.engine(order.judge) if order.judge is not None else None
    subjects = list(map(Subject, names_of(order.models), engines))
    subjects += [Subject(str(path), rewards=rewards_of(path, journal)) for path in order.pms]
    abilities = {"text": ("generate",), "cot": ("generate", "choose")}.get(order.config.mode, ("choose",))
    asked = [Asked(role, engine, abilities) for role, engine in zip(order.models, engines, strict=True)]
    if order.judge is not None and judge is not None:
        asked.append(Asked(order.judge, judge, ("choose",)))
    weights = [one.engine.model for one in asked], [weights_hash(path) for path in order.pms]
    wording = (wording_hash(), templates_hash(order.config.form))
    told = [task.left_out, [subject.name for subject in subjects]]  # what the report shows besides
    decided = [__version__, STAGE, order.config, task.sets, weights, order.seed, wording, told]
    alone = Alone(
        STAGE,
        content_hash(decided),
        order=content_hash(decided),
        asked=tuple(asked),
        seed=order.seed,
        votes="--set options.votes=8",
    )
    return opened.carry_out(
        alone,
        lambda store: run_suite(
            store, order.config, sets=task.sets, left_out=task.left_out, subjects=subjects, judge=judge
        ),
    )


def _task(order: SuiteOrder) -> _Task:
    """Return the questions, after everything that can be refused without a model."""
    loaded = [load_questions(spec, risky=order.risky) for spec in dict.fromkeys(order.sets)]
    sets = {one.source: draw_questions(one.questions, order.n, seed=order.seed) for one in loaded}
    task = _Task(sets, {one.source: one.left_out for one in loaded if one.left_out})
    check_mode(order.config.mode, task.questions)
    for role in asked_roles(order.models, order.judge):
        check_role(role)
    for path in order.pms:
        check_preference_model(path)
    return task


def check_role(role: ModelRole, *, where: str = "suite", user: str = "a suite") -> None:
    """Refuse a model that is not there, or that cannot be asked in turns as `user` does.

    Raises:
        DataError: The engine or the model is unknown, or has no chat template.
    """
    check_engine(role.engine)
    if not is_remote(role.engine):
        check_model(role.model)
    check_turns(role, where=where, user=user)
