"""The stages as the runner sees them: what each asks, needs and is decided by, and in which order they go.

Paper: none.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from publius.errors import DataError
from publius.evaluate.prompts import QUESTIONS
from publius.feedback import contrast
from publius.feedback.stage import PREFERENCES
from publius.judge import JudgeForm
from publius.judge import templates_hash as judge_templates_hash
from publius.pipeline import stages
from publius.pipeline.context import RunContext
from publius.pipeline.earlier import find_earlier
from publius.pipeline.judges import judge_pms
from publius.pipeline.lineage import dpo_sources, label_config, label_stages, policy_before, trained_policies
from publius.pipeline.recipe import Recipe, judge_roles
from publius.pipeline.rounds import all_of, in_round, kind_of, split_name
from publius.policy.stage import MODEL
from publius.preference.stage import PREFERENCE_MODEL
from publius.revise import prompts as revise_prompts
from publius.revise.stage import CHAINS, DEMONSTRATIONS
from publius.store import Run, StageResult, StageStore, file_hash
from publius.training.digest import weights_hash


class Ask(NamedTuple):
    """A role of the recipe's models (`role_of`), and what is asked of it."""

    role: str
    kind: Literal["generate", "choose"]


class Need(NamedTuple):
    """What a stage reads of another: a file or a folder of that stage's own, or, for "", all of it."""

    stage: str
    path: str

    def covers(self, file: str) -> bool:
        """Return whether a file of the stage is read.

        >>> Need("pm", "model").covers("model/scale.json"), Need("pm", "model").covers("model.json")
        (True, False)
        """
        return not self.path or file == self.path or file.startswith(self.path + "/")


@dataclass(frozen=True)
class Stage:
    """A stage: its name, what it needs, what decides it, how it runs.

    `asks` are the roles whose models it asks, and for what (the others are closed while it runs). `needs`
    are the files of other stages that it reads (of those that the recipe has); `inputs` is everything else
    that decides the result: a change of either makes the stage run again.
    """

    name: str
    summary: str
    asks: Callable[[Recipe], tuple[Ask, ...]]
    needs: Callable[[Recipe], tuple[Need, ...]]
    inputs: Callable[[RunContext], Any]
    run: Callable[[RunContext, Run, StageStore], StageResult]


def _judged(role: str, form: JudgeForm) -> tuple[Ask, ...]:
    """Return what a judge is asked for: votes, and the reasonings before them where the form has some."""
    return (Ask(role, "choose"), *((Ask(role, "generate"),) if form.reasonings else ()))


def _start(recipe: Recipe, number: int = 1) -> tuple[Need, ...]:
    """Return the policy that a round's labels are sampled from and its RL starts from; none for "start"."""
    before = policy_before(recipe, number)
    return () if before == "start" else (Need(before, MODEL),)


def _paying(recipe: Recipe, number: int) -> tuple[Need, ...]:
    """Return the run's own preference model where it pays the policy of a round."""
    own = any(not one.pm for one in recipe.rl.reward_models())
    return (Need(in_round("pm", number), PREFERENCE_MODEL),) if own else ()


def _sampled_from(recipe: Recipe, number: int) -> tuple[Need, ...]:
    """Return the trained policy that pairs are sampled from; none where a model as it came is."""
    return () if recipe.models.generator.model else _start(recipe, number)


def _asked_to_sample(recipe: Recipe, number: int) -> tuple[Ask, ...]:
    if not label_config(recipe, number).n_sampled() or _sampled_from(recipe, number):
        return ()
    return (Ask("generator" if recipe.models.generator.model else "policy", "generate"),)


def _prompt_inputs(context: RunContext, config: Any) -> Any:
    return {
        "config": config,
        "seed": context.recipe.seed,
        "prompts": context.prompts_hash,
    }


def _model_inputs(context: RunContext, *roles: str) -> Any:
    models = context.recipe.models
    return {role: context.engine(getattr(models, role)).model for role in roles}


def _label_inputs(number: int, c: RunContext) -> Any:
    config = label_config(c.recipe, number)
    path = find_earlier(c.recipe) if number == 1 else None
    decides = [
        _prompt_inputs(c, config),
        [judge_templates_hash(config.judge), contrast.templates_hash()],
        [c.constitution.hash, c.helpfulness.hash],
        c.audit_set,
        _model_inputs(c, "feedback"),
    ]
    if path is not None:
        return [*decides, file_hash(path)]
    models = c.recipe.models
    if models.generator.model:
        return [*decides, _model_inputs(c, "generator")]
    is_trained = bool(_start(c.recipe, number))
    return [*decides, models.trained_engine if is_trained else _model_inputs(c, "policy")]


def _rl_inputs(c: RunContext) -> Any:
    config = c.recipe.rl
    others = [one.pm for one in config.reward_models() if one.pm]
    return [
        _prompt_inputs(
            c, replace(config, least_pm_accuracy=0.0)
        ),  # it lets a training begin, and decides none
        [weights_hash(Path(path)) for path in (*others, config.monitors.held_out_pm) if path],
        None if _start(c.recipe) else _model_inputs(c, "policy"),
    ]


@cache
def round_stages(number: int) -> tuple[Stage, Stage, Stage]:
    """Return the stages that may come again, as they are in a round."""
    return (
        Stage(
            in_round("label", number),
            "two answers a prompt, labelled by an audited AI",
            asks=lambda recipe: (
                *_asked_to_sample(recipe, number),
                *_judged("feedback", recipe.label.judge),
            ),
            needs=lambda recipe: (
                *((Need("revise", CHAINS),) if label_config(recipe, number).n_revised() else ()),
                *(_sampled_from(recipe, number) if label_config(recipe, number).n_sampled() else ()),
            ),
            inputs=partial(_label_inputs, number),
            run=partial(stages.label, number=number),
        ),
        Stage(
            in_round("pm", number),
            "preference model from soft labels",
            asks=lambda recipe: (),
            needs=lambda recipe: tuple(
                Need(name, PREFERENCES)
                for name in label_stages(recipe, number)
                or (() if recipe.human_preferences and number == 1 else (in_round("label", number),))
            ),
            inputs=lambda c: [
                c.recipe.pm,
                c.recipe.seed,
                c.human_preferences_hash,
                _model_inputs(c, "preference_start"),
            ],
            run=partial(stages.pm, number=number),
        ),
        Stage(
            in_round("rl", number),
            "reinforcement learning against the preference model",
            asks=lambda recipe: (),
            needs=lambda recipe: (
                *dict.fromkeys((*_start(recipe), *_start(recipe, number))),
                *_paying(recipe, number),
            ),
            inputs=_rl_inputs,
            run=partial(stages.rl, number=number),
        ),
    )


STAGES: tuple[Stage, ...] = (
    Stage(
        "revise",
        "draft, critique and revision under principles",
        asks=lambda recipe: (Ask("policy", "generate"), Ask("critic", "generate")),
        needs=lambda recipe: (),
        inputs=lambda c: [
            _prompt_inputs(c, c.recipe.revise),
            revise_prompts.templates_hash(),
            c.constitution.hash,
            _model_inputs(c, "policy", "critic"),
        ],
        run=stages.revise,
    ),
    Stage(
        "sft",
        "supervised finetuning on revisions and helpful samples",
        asks=lambda recipe: (),
        needs=lambda recipe: (Need("revise", DEMONSTRATIONS), Need("revise", CHAINS)),
        inputs=lambda c: [c.recipe.sft, c.recipe.seed, c.constitution.hash, _model_inputs(c, "policy")],
        run=stages.sft,
    ),
    Stage(
        "dpo",
        "direct preference optimisation: the revision over the draft, or the labelled side",
        asks=lambda recipe: (),
        needs=lambda recipe: (
            *(Need(name, PREFERENCES if name == "label" else CHAINS) for name in dpo_sources(recipe)),
            Need("sft", MODEL),
        ),
        inputs=lambda c: [c.recipe.dpo, c.recipe.seed],
        run=stages.dpo,
    ),
    *round_stages(1),
    Stage(
        "evaluate",
        "held-out prompts: Elo on both axes, text monitors",
        asks=lambda recipe: tuple(
            ask for role in ("judge", *judge_roles(recipe)) for ask in _judged(role, recipe.evaluate.judge)
        ),
        needs=lambda recipe: (
            *(Need(name, MODEL) for name in trained_policies(recipe)),
            *(Need(name, PREFERENCE_MODEL) for name in all_of("pm", recipe.stages)),
        ),
        inputs=lambda c: [
            _prompt_inputs(c, c.recipe.evaluate),
            [judge_templates_hash(c.recipe.evaluate.judge), QUESTIONS],
            c.recipe.models.trained_engine,
            _model_inputs(c, "policy", "judge", *(("feedback",) if "label" in c.recipe.stages else ())),
            [c.engine(role).model for role in judge_roles(c.recipe).values()],
            [weights_hash(path) for path in judge_pms(c.recipe).values()],
        ],
        run=stages.evaluate,
    ),
    Stage(
        "report",
        "one self-contained HTML page",
        asks=lambda recipe: (),
        needs=lambda recipe: tuple(Need(name, "") for name in recipe.stages if name != "report"),
        inputs=lambda c: c.recipe,
        run=stages.report,
    ),
)


def find_stage(name: str) -> Stage | None:
    """Return the stage of a name, None if there is no such stage."""
    kind, number = split_name(name)
    known = (*STAGES, *round_stages(number))
    return next((stage for stage in known if stage.name == in_round(kind, number)), None)


def stage_of(name: str) -> Stage:
    """Return the stage of a name that stands in a recipe which was checked."""
    stage = find_stage(name)
    assert stage is not None, name
    return stage


def in_order(recipe: Recipe) -> tuple[Stage, ...]:
    """Return the recipe's stages, each after those that it needs, otherwise in the order above.

    Raises:
        DataError: A stage is unknown, lacks one that it needs, or two need each other.
    """
    found: dict[str, Stage] = {}
    for name in recipe.stages:
        stage = find_stage(name)
        if stage is None:
            known = ", ".join(one.name for one in STAGES)
            todo = f"the stages are: {known}; label, pm and rl may come again as label-2, pm-2, rl-2"
            raise DataError(f"unknown stage {name!r}", where="stages", todo=todo)
        found[name] = stage
    needed = {name: {need.stage for need in stage.needs(recipe)} for name, stage in found.items()}
    for name in recipe.stages:
        for missing in sorted(needed[name] - set(found)):
            todo = f"add {missing!r} to stages, or leave {name!r} out"
            raise DataError(f"stage {name!r} needs stage {missing!r}", where="stages", todo=todo)
    places = [stage.name for stage in STAGES]
    waiting = sorted(found, key=lambda name: (places.index(kind_of(name)), split_name(name)[1]))
    ordered: list[str] = []
    while waiting:
        ready = next((name for name in waiting if needed[name] <= set(ordered)), None)
        if ready is None:
            what = f"the stages {', '.join(map(repr, waiting))} need each other"
            raise DataError(what, where="stages", todo="choose another rl_start, or another dpo.learn_from")
        ordered.append(ready)
        waiting.remove(ready)
    return tuple(found[name] for name in ordered)
