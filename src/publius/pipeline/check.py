"""What is checked before a run spends anything: the recipe, its prices, and the servers that it names.

Paper: none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from publius.constitution import load_constitution
from publius.engines import check_engine, is_remote
from publius.engines.fetch import check_model, fetch_model
from publius.engines.models import find_model
from publius.errors import DataError, EngineError, MissingExtra, UsageError
from publius.feedback.label import check_questions
from publius.judge import JudgeForm
from publius.pipeline.context import RunContext
from publius.pipeline.earlier import read_earlier
from publius.pipeline.judges import check_further_judges
from publius.pipeline.lineage import POLICIES
from publius.pipeline.recipe import TRAINING, ModelRole, Recipe, judge_roles, place_of, role_of
from publius.pipeline.rewards import check_accuracy
from publius.pipeline.rounds import kind_of
from publius.pipeline.stage_table import Stage, find_stage, in_order
from publius.preference.config import check_mix
from publius.records import Origin, Purpose, Split
from publius.store import Budget, Price
from publius.training.origin import refuse_other_origin
from publius.training.weights import has_chat_template

_PURPOSES: tuple[Purpose, ...] = ("red-team", "helpful")
_SPLITS: tuple[Split, ...] = ("train", "held-out")
_LIBRARIES = {  # what a stage or an engine needs installed, and the extra that brings it
    "openvino": ("openvino_genai", "local"),
    "transformers": ("transformers", "train"),
    "vllm": ("vllm", "vllm"),
    "ray": ("ray", "ray"),
    "sft": ("trl", "train"),
    "dpo": ("trl", "train"),
    "pm": ("trl", "train"),
    "rl": ("trl", "train"),
}
_BY_TEMPLATE = ("openvino", "transformers", "vllm")  # engines that use the chat template beside the weights


def check_recipe(
    recipe: Recipe, *, only: Sequence[str] | None = None, context: RunContext | None = None
) -> tuple[Stage, ...]:
    """Return the stages to run (`only` some), in order, after checking what can be checked without a model.

    What the recipe names is loaded into `context`, so that a run that goes on with it reads it once.

    Raises:
        DataError: A stage is unknown or lacks one that it needs; a constitution or prompt set is wrong.
        MissingExtra: A library is not installed.
        UsageError: `only` names a stage that the recipe does not have.
    """
    ordered = in_order(recipe)
    wanted = recipe.stages if only is None else only
    absent = [name for name in wanted if name not in recipe.stages]
    if absent:
        raise UsageError(f"the recipe {recipe.name!r} has no stage {absent[0]!r}", where="stages")
    context = context or RunContext(recipe, lambda step, done, total: None)
    _check_models(recipe, wanted, context)
    for purpose in _PURPOSES:
        for split in _SPLITS:
            if not context.prompts.count(purpose, split):
                todo = f"name a larger prompt set under prompts.{purpose.replace('-', '_')}"
                raise DataError(
                    f"there are no {purpose} prompts in the {split} part", where="prompts", todo=todo
                )
    _ = context.constitution, context.helpfulness, context.audit_set, context.human_preferences
    if "pm" in map(kind_of, wanted):
        _check_pm(recipe, context)
    if "label" in map(kind_of, wanted):
        _check_label(context)
    if "rl" in map(kind_of, wanted):
        _check_held_out_pm(recipe)
        _check_reward_models(context)
    _check_start(context, wanted)
    if "evaluate" in wanted:
        check_further_judges(recipe)
    return tuple(stage for stage in ordered if stage.name in wanted)


def _check_reward_models(context: RunContext) -> None:
    """Refuse reward models that are not there, or that learnt under another constitution than they should."""
    for one in context.recipe.rl.pms:
        where = f"rl.pms, {one.name!r}"
        if not one.pm:
            continue
        if not (Path(one.pm) / "config.json").exists():
            todo = 'name the directory of one, such as stages/pm/model of another run, or "" for this run\'s'
            raise DataError(f"there is no preference model in {one.pm!r}", where=where, todo=todo)
        own = load_constitution(one.constitution) if one.constitution else context.constitution
        refuse_other_origin(
            Path(one.pm),
            (own.hash, context.helpfulness.hash),
            where=where,
            todo="train one under this run's constitution, or name the one it learnt under as constitution",
        )
        if one.weight:
            check_accuracy(Path(one.pm), least=context.recipe.rl.least_pm_accuracy)


def _check_start(context: RunContext, wanted: Sequence[str]) -> None:
    """Refuse to train on from a policy that learnt under another constitution."""
    path = Path(context.recipe.models.policy.model)
    if any(kind_of(name) in POLICIES for name in wanted) and path.is_dir():
        refuse_other_origin(
            path,
            (context.constitution.hash, context.helpfulness.hash),
            where="models.policy",
            todo="start from the model before that training, or use its constitution",
        )


def _check_held_out_pm(recipe: Recipe) -> None:
    path = recipe.rl.monitors.held_out_pm
    if path and not (Path(path) / "config.json").exists():
        raise DataError(
            f"there is no preference model in {path!r}",
            where="rl.monitors.held_out_pm",
            todo="name the directory of one, such as stages/pm/model of another run, or leave it empty",
        )


def check_prices(recipe: Recipe, stages: Sequence[Stage], budget: Budget) -> None:
    """Refuse a limit of money that cannot hold: a server's model without a price, or with two.

    Raises:
        DataError: The role is named.
    """
    names = sorted({ask.role for stage in stages for ask in stage.asks(recipe)})
    roles = [(f"{place_of(name)}.price", role_of(recipe, name)) for name in names]
    todo = "say what a million tokens cost: price = { input = 0.10, output = 0.40 }"
    check_priced(roles, budget, todo=todo)


def check_priced(roles: Iterable[tuple[str, ModelRole]], budget: Budget, *, todo: str) -> None:
    """Do what `check_prices` does for roles, each with the name of its price.

    Raises:
        DataError: The price's name is given, and `todo` for one that is missing.
    """
    if budget.max_cost is None:
        return
    prices: dict[tuple[str, str], Price] = {}
    for where, role in roles:
        if is_remote(role.engine) and role.price == Price():
            raise DataError(
                "--max-cost needs the price of every model behind a server", where=where, todo=todo
            )
        if prices.setdefault((role.engine, role.model), role.price) != role.price:
            raise DataError(
                f"{role.model!r} has two prices", where=where, todo="give it the same in every role"
            )


def check_servers(context: RunContext, stages: Sequence[Stage]) -> None:
    """Ask every server that the stages will need what it can do, once.

    Raises:
        EngineError: The server says no, or gives no log-probabilities where labels need them.
    """
    for stage in stages:
        for ask in stage.asks(context.recipe):
            role = role_of(context.recipe, ask.role)
            if not is_remote(role.engine) or getattr(context.engine(role).capabilities, ask.kind):
                continue
            todo = "use another engine for this role"
            if ask.kind == "choose":
                todo = (
                    f"set {place_of(ask.role)}.options.votes = 8 to count repeated answers, or use a server "
                    "that gives log-probabilities"
                )
            raise EngineError(
                f"the {ask.role} model cannot {ask.kind} there, and the stage {stage.name!r} needs it",
                where=f"{place_of(ask.role)} ({role.model})",
                todo=todo,
            )


def _check_label(context: RunContext) -> None:
    """Refuse constitutions that leave nothing to ask, and earlier pairs that cannot be labelled anew."""
    recipe = context.recipe
    for name, constitution in (
        (recipe.constitution, context.constitution),
        (recipe.helpfulness, context.helpfulness),
    ):
        check_questions(constitution, contrast="contrast" in recipe.label.pairs, where=name)
    read_earlier(context)


def _check_models(recipe: Recipe, wanted: Sequence[str], context: RunContext) -> None:
    models = recipe.models
    further = judge_roles(recipe).values() if "evaluate" in wanted else ()
    roles = [*models.named().values(), *further]
    engines = (*sorted({role.engine for role in roles}), models.trained_engine)
    for name in engines:
        check_engine(name)
    for user in (*map(kind_of, recipe.stages), *engines):
        library, extra = _LIBRARIES.get(user, ("json", ""))
        if find_spec(library) is None:
            raise MissingExtra(library, extra)
    trained = [name for name in wanted if kind_of(name) in TRAINING]
    if trained and is_remote(models.policy.engine):
        raise DataError(
            f"stage {trained[0]!r} needs the policy's weights, and {models.policy.engine!r} asks a server",
            where="models.policy",
            todo="name weights on this machine under models.policy, or leave the stage out",
        )
    for role in roles:
        if is_remote(role.engine):
            context.engine(role)  # reads its options; the server is asked later
        else:
            check_model(role.model)
    if models.preference:
        check_model(models.preference)
    _check_asking(recipe, wanted)
    context.close_engines()


def _check_pm(recipe: Recipe, context: RunContext) -> None:
    """Refuse a mixture of which a set will not be there."""
    given: list[Origin] = []
    if "label" in recipe.stages:
        given += recipe.label.origins()
    if context.human_preferences:
        given.append("human")
    check_mix(recipe.pm.mix, given=tuple(given))


def _check_asking(recipe: Recipe, wanted: Sequence[str]) -> None:
    """Refuse models that a stage asks, or trains, in a way that they do not know."""
    models = recipe.models
    forms = {("label", "feedback"): recipe.label.judge}
    forms |= {("evaluate", name): recipe.evaluate.judge for name in ("judge", *judge_roles(recipe))}
    for name in wanted:
        if kind_of(name) in TRAINING:
            is_pm = kind_of(name) == "pm"
            learner = replace(models.preference_start if is_pm else models.policy, engine="transformers")
            where = "models.preference" if is_pm and models.preference else "models.policy"
            check_turns(learner, where=where, user=f"the stage {name!r}")
        stage = find_stage(name)
        for ask in stage.asks(recipe) if stage else ():
            role = role_of(recipe, ask.role)
            form = forms.get((kind_of(name), ask.role))
            if form is not None:
                check_judge(role, form, where=f"{kind_of(name)}.judge.layout")
            else:
                check_turns(role, where=place_of(ask.role), user=f"the stage {name!r}")


def check_judge(role: ModelRole, form: JudgeForm, *, where: str) -> None:
    """Refuse a layout that the judge cannot be asked in: turns, or a plain text; `where` names the layout.

    Raises:
        DataError: A server is asked in plain text, or weights without a chat template in turns.
    """
    if form.layout != "pretrained":
        check_turns(role, where=where, user=f"the layout {form.layout!r}", otherwise='layout = "pretrained"')
    elif is_remote(role.engine):
        raise DataError(
            f'the layout "pretrained" is a plain text, and {role.engine!r} asks a server in turns',
            where=where,
            todo='use layout = "chat", or an engine with the weights on this machine for this role',
        )


def check_turns(role: ModelRole, *, where: str, user: str, otherwise: str = "") -> None:
    """Refuse weights without a chat template where `user` needs turns; other engines may know their own way.

    Raises:
        DataError: There is none, or the weights' files cannot be read.
    """
    # a registered model has a template, and need not be fetched to know it
    if role.engine not in _BY_TEMPLATE or find_model(role.model) is not None:
        return
    if not has_chat_template(fetch_model(role.model)):
        raise DataError(
            f"the model {role.model} has no chat template, and {user} puts messages to it",
            where=where,
            todo=" or ".join(("use the instruction-tuned variant", *([otherwise] if otherwise else []))),
        )
