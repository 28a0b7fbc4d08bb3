"""Measure harm in a directory of its own: stored answers, or those of models that are asked for them.

It is a run directory: killed and started again it goes on, the same order given again does nothing.

Papers: Bai et al. 2022, arXiv:2212.08073, §4.3; arXiv:2310.13798, §4.1. The measure is
`publius.evaluate.harm`; the regressor and the preference model reach it as plain callables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from publius import __version__
from publius.engines.protocol import Engine
from publius.errors import DataError, UsageError
from publius.evaluate.harm.classes import classes_hash, given_class
from publius.evaluate.harm.config import HarmConfig
from publius.evaluate.harm.rating import REFUSES, is_harmful
from publius.evaluate.harm.stage import (
    SUMMARY,
    HarmReport,
    Raters,
    run_harm,
    sample_subjects,
    subject_name,
)
from publius.evaluate.prompts import QUESTIONS
from publius.judge import claims_hash, harm_hash, templates_hash
from publius.pipeline.alone import (
    Alone,
    Asked,
    OpenOrder,
    asked_roles,
    judge_of,
    n_votes,
    names_of,
    open_order,
    subjects_of,
)
from publius.pipeline.recipe import ModelRole
from publius.pipeline.rewards import check_preference_model, harm_of, rewards_of
from publius.pipeline.runner import Listener
from publius.pipeline.settings import read_settings
from publius.pipeline.suite import check_role
from publius.preference.loading import check_harm_regressor
from publius.records import Answer, Prompt, Purpose, content_hash, decode, draw_key, encode
from publius.sources import load_answers, load_prompts
from publius.store import Budget, StageManifest, StageResult, StageStore, read_json
from publius.training.digest import weights_hash

STAGE = "harm"
_TOKENS_PER_CHAR = 0.3
_JUDGED_TOKENS = 450  # rubric and worked examples, besides the texts


@dataclass(frozen=True, slots=True)
class HarmOrder:
    """Whose answers are rated by whom.

    Answers lie in `files`, or `models` (one, or two to compare the first with the second) are asked for
    them on the prompts of the sets `red_team`, of which only held-out ones unless `use_all`, and `harmless`.
    `against` is the model among stored answers that the others are compared with. Of harmful and of harmless
    prompts, `n` are drawn (0: all).
    """

    config: HarmConfig
    files: tuple[str, ...] = ()
    models: tuple[ModelRole, ...] = ()
    red_team: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    against: str | None = None
    judge: ModelRole | None = None
    regressor: Path | None = None
    pm: Path | None = None
    use_all: bool = False
    n: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class HarmPlan:
    """What an order will cost at most: answers, calls, tokens read (roughly) and written, dollars."""

    answers: int
    harmful_prompts: int
    harmless_prompts: int
    subjects: tuple[str, ...]
    calls_of_subjects: int
    calls_of_judge: int
    read_tokens: int
    written_tokens: int
    cost: float


@dataclass(frozen=True, slots=True)
class _Task:
    """What an order has rated: answers that are there, or prompts to ask the subjects, by their names."""

    answers: tuple[Answer, ...]
    prompts: tuple[Prompt, ...]
    subjects: dict[str, ModelRole]
    baselines: dict[str, str]


def order_harm(
    files: Sequence[str] = (),
    *,
    model: str | None = None,
    red_team: Sequence[str] = (),
    harmless: Sequence[str] = (),
    against: str | None = None,
    against_engine: str | None = None,
    judge: str | None = None,
    judge_engine: str | None = None,
    regressor: Path | None = None,
    pm: Path | None = None,
    use_all: bool = False,
    limit: int | None = None,
    seed: int = 0,
    engine: str = "openvino",
    settings: Sequence[str] = (),
) -> HarmOrder:
    """Return the order for what a user names; `settings` are `key=value` (`read_settings`).

    Raises:
        UsageError: Both or neither of files and a model are given, or nobody rates.
        DataError: A setting is unknown, or a value is wrong.
    """
    if bool(files) == (model is not None):
        todo = "give FILEs of answers, or --model M"
        raise UsageError("answers are stored or asked for, one of the two", where="harm", todo=todo)
    if judge is None and regressor is None and (pm is None or against is None):
        todo = "give --judge M or --regressor DIR, or --pm DIR with --against"
        raise UsageError("nobody rates the answers", where="harm", todo=todo)
    if pm is not None and against is None:
        todo = "name the baseline with --against"
        raise UsageError("a preference model compares two models' answers", where="--pm", todo=todo)
    known = {item.name for item in fields(HarmConfig)} - {"form"}
    said = read_settings(settings, known=known)
    models: tuple[ModelRole, ...] = ()
    if model is not None:
        models = subjects_of(model, against, engine=engine, against_engine=against_engine, said=said)
    return HarmOrder(
        config=decode(HarmConfig, {**encode(HarmConfig()), **said.fields}),
        files=tuple(files),
        models=models,
        red_team=tuple(red_team) or ("red_team",),
        harmless=tuple(harmless) or ("look_alikes",),
        against=against,
        judge=None
        if judge is None
        else judge_of(judge, asked=model, engine=engine, judge_engine=judge_engine, said=said),
        regressor=regressor,
        pm=pm,
        use_all=use_all,
        n=limit or 0,
        seed=seed,
    )


def plan_harm(order: HarmOrder) -> HarmPlan:
    """Return what an order will cost at most, after the checks that need no model.

    Raises:
        PubliusError: What `measure_harm` would refuse at once.
    """
    task, config = _task(order), order.config
    answers = task.answers or tuple(
        Answer(subject_name(name, temperature, config), prompt, "")
        for name in task.subjects
        for temperature in config.temperatures
        for prompt in task.prompts
        for _ in range(config.samples_at(temperature))
    )
    prompts = {answer.prompt.id: answer for answer in answers}
    n_asked = len(answers) if task.subjects else 0
    chars = sum(len(turn.content) for answer in answers for turn in answer.prompt.messages)
    prompt_tokens = round(chars * _TOKENS_PER_CHAR)
    read, written = (prompt_tokens if n_asked else 0), n_asked * config.answer_tokens
    # subjects are asked alike
    costs = [
        (read * one.price.input + written * one.price.output) / len(order.models) for one in order.models
    ]
    calls = judge_read = 0
    if order.judge is not None:
        harmful = [answer for answer in answers if is_harmful(answer)]
        compared = sum(answer.model in task.baselines for answer in harmful)
        unclassed = [one for one in prompts.values() if is_harmful(one) and not given_class(one.prompt.kind)]
        calls = len(answers) + len(harmful) + config.form.n_calls() * compared + 2 * len(unclassed)
        calls *= n_votes(order.judge)
        mean_tokens = prompt_tokens / max(1, len(answers)) + config.answer_tokens
        judge_read = round(calls * (_JUDGED_TOKENS + mean_tokens))
        costs.append(judge_read * order.judge.price.input + calls * order.judge.price.output)
    return HarmPlan(
        answers=len(answers),
        harmful_prompts=sum(is_harmful(one) for one in prompts.values()),
        harmless_prompts=sum(not is_harmful(one) for one in prompts.values()),
        subjects=tuple(dict.fromkeys(answer.model for answer in answers)),
        calls_of_subjects=n_asked,
        calls_of_judge=calls,
        read_tokens=read + judge_read,
        written_tokens=written + calls,
        cost=sum(costs) / 1e6,
    )


def measure_harm(
    order: HarmOrder, out: Path, listener: Listener, *, budget: Budget | None = None
) -> StageManifest:
    """Carry out an order in the run directory `out` and return the manifest of its stage.

    Raises:
        PubliusError: Something is wrong; what was asked is kept, the same order goes on.
    """
    task = _task(order)
    with open_order(STAGE, asked_roles(order.models, order.judge), out, listener, budget) as opened:
        return _run(order, task, opened)


def read_harm(out: Path) -> HarmReport:
    """Return the report that lies in a run directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    return decode(HarmReport, read_json(out / "stages" / STAGE / SUMMARY))


def _run(order: HarmOrder, task: _Task, opened: OpenOrder) -> StageManifest:
    context, journal = opened.context, opened.run.journal
    subjects = {name: context.engine(role) for name, role in task.subjects.items()}
    judge = None if order.judge is None else context.engine(order.judge)
    asked = [Asked(task.subjects[name], engine, ("generate",)) for name, engine in subjects.items()]
    if order.judge is not None and judge is not None:
        asked.append(Asked(order.judge, judge, ("choose",)))

    def work(store: StageStore) -> StageResult:
        answers, failed = list(task.answers), {}
        if subjects:
            answers, failed = sample_subjects(store, order.config, prompts=task.prompts, subjects=subjects)
        raters = Raters(
            judge,
            None if order.regressor is None else (str(order.regressor), harm_of(order.regressor, journal)),
            None if order.pm is None else (str(order.pm), rewards_of(order.pm, journal)),
        )
        return run_harm(
            store,
            order.config,
            answers,
            raters,
            baselines=task.baselines,
            own_judge=_own_judge(subjects, judge),
            failed=failed,
        )

    weights = [None if path is None else weights_hash(path) for path in (order.regressor, order.pm)]
    wording = [harm_hash(), claims_hash(), REFUSES, classes_hash(), templates_hash(order.config.form)]
    told = [list(subjects), task.baselines, str(order.regressor), str(order.pm)]  # what the report shows
    models = [one.engine.model for one in asked]
    inputs = content_hash(
        [
            *(__version__, STAGE, order.config, task.answers, task.prompts, models, weights, order.seed),
            *(wording, QUESTIONS["harmlessness"], told),
        ]
    )
    alone = Alone(STAGE, inputs, inputs, tuple(asked), order.seed, votes="--set options.votes=8")
    return opened.carry_out(alone, work)


def _own_judge(subjects: dict[str, Engine], judge: Engine | None) -> tuple[str, ...]:
    """Return the subjects that have the judge's weights."""
    if judge is None:
        return ()
    return tuple(name for name, engine in subjects.items() if engine.model.revision == judge.model.revision)


def _task(order: HarmOrder) -> _Task:
    """Return what is to be rated, after everything that can be refused without a model."""
    for role in asked_roles(order.models, order.judge):
        check_role(role)
    if order.regressor is not None:
        check_harm_regressor(order.regressor)
    if order.pm is not None:
        check_preference_model(order.pm)
    return _stored(order) if order.files else _to_ask(order)


def _stored(order: HarmOrder) -> _Task:
    loaded = load_answers(order.files)
    models = dict.fromkeys(answer.model for answer in loaded)
    if order.against is not None and order.against not in models:
        todo = f"one of {', '.join(models)}"
        raise UsageError(f"--against {order.against!r} is not in the files", todo=todo)
    prompts = {answer.prompt.id: answer.prompt for answer in loaded}
    kept = {prompt.id for prompt in _drawn(tuple(prompts.values()), order)}
    answers = tuple(answer for answer in loaded if answer.prompt.id in kept)
    against = order.against
    baselines = {} if against is None else {name: against for name in models if name != against}
    return _Task(answers, (), {}, baselines)


def _to_ask(order: HarmOrder) -> _Task:
    sets: tuple[tuple[Purpose, tuple[str, ...]], ...] = (
        ("red-team", order.red_team),
        ("helpful", order.harmless),
    )
    loaded = [
        prompt
        for purpose, specs in sets
        for spec in specs
        for prompt in load_prompts(spec, purpose=purpose).prompts
        # harmless sets are for measuring alone
        if order.use_all or purpose == "helpful" or prompt.split == "held-out"
    ]
    prompts = {prompt.id: prompt for prompt in loaded}
    if not any(prompt.purpose == "red-team" for prompt in loaded):
        todo = "give --all to ask what a run may have trained on, too"
        raise DataError("none of the red-team prompts is held out", where="harm", todo=todo)
    if len({prompt.messages for prompt in loaded}) > len(prompts):
        raise DataError("two prompts of different text have one id", where="harm", todo="give each its own")
    names = names_of(order.models)
    if len(set(names)) < len(names):
        raise UsageError(f"{names[0]} is compared with itself", where="--against")
    config = order.config
    baselines = (
        {subject_name(names[0], t, config): subject_name(names[1], t, config) for t in config.temperatures}
        if len(names) > 1
        else {}
    )
    return _Task(
        (), _drawn(tuple(prompts.values()), order), dict(zip(names, order.models, strict=True)), baselines
    )


def _drawn(prompts: Sequence[Prompt], order: HarmOrder) -> tuple[Prompt, ...]:
    """Return `order.n` harmful and as many harmless prompts (0: all), drawn by the seed."""
    sides = [
        sorted(
            (prompt for prompt in prompts if (prompt.purpose == "helpful") == is_helpful),
            key=lambda prompt: (draw_key(prompt.id, seed=order.seed), prompt.id),
        )[: order.n or None]
        for is_helpful in (False, True)
    ]
    return tuple(prompt for side in sides for prompt in side)
