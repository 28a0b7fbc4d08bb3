"""What an order of a frontier is, what it will cost, and what is refused before anything is sampled.

Paper: none. It is carried out in `publius.pipeline.frontier`.
"""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from publius.engines import check_engine, is_remote
from publius.errors import DataError, UsageError
from publius.evaluate.config import EvaluateConfig, FurtherJudge
from publius.evaluate.stage import START
from publius.pipeline.context import RunContext
from publius.pipeline.judges import judge_pms
from publius.pipeline.recipe import ModelRole, Models, Recipe
from publius.pipeline.rewards import check_preference_model
from publius.pipeline.settings import read_settings
from publius.pipeline.suite import check_role
from publius.records import Prompt, decode, encode
from publius.training.weights import saved_heads

STAGE = "frontier"
_NO_WRITERS = ("Classification", "ForQuestionAnswering", "ForMaskedLM", "ForMultipleChoice")
_LONGEST_NAME = 60  # letters; it stands in tables and beside points
_SETTINGS = ("answer_tokens", "temperature", "top_p", "n_resamples")


@dataclass(frozen=True, slots=True)
class FrontierOrder:
    """Policies by their names, and the rest as a recipe: its policy is the start, its judges rate."""

    policies: dict[str, ModelRole]
    recipe: Recipe

    @property
    def roles(self) -> dict[str, ModelRole]:
        """All that answer, the start first."""
        return {START: self.recipe.models.policy, **self.policies}


@dataclass(frozen=True, slots=True)
class FrontierPlan:
    """What an order will cost: prompts by kind, answers to sample, tokens written at most, judges."""

    policies: tuple[str, ...]
    n_red_team: int
    n_helpful: int
    answers: int
    written_tokens: int
    judges: tuple[str, ...]


def order_frontier(
    policies: Sequence[str],
    *,
    pms: Sequence[Path],
    start: str | None = None,
    n_red_team: int = 64,
    n_helpful: int = 64,
    seed: int = 0,
    engine: str = "transformers",
    settings: Sequence[str] = (),
) -> FrontierOrder:
    """Return the order for what a user names; `settings` are `key=value` (`read_settings`).

    Raises:
        UsageError: No policy or judge, one twice, or two of one name.
        DataError: A setting is unknown, or a value is wrong.
    """
    if not policies or not pms:
        todo = "publius frontier POLICY... --pm DIR"
        raise UsageError("a frontier needs policies and a preference model that rates them", todo=todo)
    _refuse_twice(pms, where="--pm")
    said = read_settings(settings, known=_SETTINGS)
    judges = tuple(FurtherJudge(pm=str(path)) for path in pms)
    own = {"n_red_team": n_red_team, "n_helpful": n_helpful, "judges": judges}
    config = decode(EvaluateConfig, {**encode(EvaluateConfig()), **encode(own), **said.fields})

    def role(model: str) -> ModelRole:
        return ModelRole(model, engine, said.options)

    models = Models(policy=role(start or Models().policy.model), trained_engine=engine)
    named = _named(policies)
    _refuse_twice([models.policy.model, *named.values()], where="POLICY")
    recipe = Recipe(STAGE, seed=seed, models=models, evaluate=config)
    _refuse_twice(judge_pms(recipe).values(), where="--pm")  # a run, and the model in it
    return FrontierOrder({name: role(model) for name, model in named.items()}, recipe)


def plan_frontier(order: FrontierOrder) -> FrontierPlan:
    """Return what an order will cost, after the checks that need no model.

    Raises:
        PubliusError: What `measure_frontier` would refuse at once.
    """
    prompts = order_prompts(order)
    n_helpful = sum(prompt.purpose == "helpful" for prompt in prompts)
    answers = len(prompts) * len(order.roles)
    return FrontierPlan(
        policies=tuple(order.roles),
        n_red_team=len(prompts) - n_helpful,
        n_helpful=n_helpful,
        answers=answers,
        written_tokens=answers * order.recipe.evaluate.answer_tokens,
        judges=tuple(judge_pms(order.recipe)),
    )


def order_prompts(order: FrontierOrder) -> tuple[Prompt, ...]:
    """Return the prompts, those of the stage `evaluate`, after what can be refused without a model."""
    engine, config = order.recipe.models.trained_engine, order.recipe.evaluate
    check_engine(engine)
    if is_remote(engine):
        what = f"policies are weights on this machine, and {engine!r} asks a server"
        raise UsageError(what, where="--engine", todo="name transformers, openvino or vllm")
    for name, role in order.roles.items():
        check_role(role, where=name, user="the frontier")
        heads = saved_heads(Path(role.model))
        if heads and all(head.endswith(_NO_WRITERS) for head in heads):
            todo = "name the directory of a policy, such as stages/sft/model of a run"
            raise DataError(f"a model that writes no text ({heads[0]})", where=role.model, todo=todo)
    for path in judge_pms(order.recipe).values():
        check_preference_model(path)
    context = RunContext(order.recipe, lambda step, done, total: None)
    return tuple(context.draw(n_red_team=config.n_red_team, n_helpful=config.n_helpful, held_out=True))


def name_of(path: str) -> str:
    """Return a short name for a checkpoint, made from where it lies.

    >>> name_of("runs/full/stages/sft/model"), name_of("runs/full/stages/rl/model/snapshots/step-10")
    ('sft', 'rl step-10')
    >>> name_of("models/mine"), name_of("models/mine.gguf")
    ('mine', 'mine')
    """
    place = Path(os.path.abspath(path))
    if place.parent.name == "snapshots":
        return f"{name_of(str(place.parent.parent))} {place.name}"
    if place.name == "model":
        return place.parent.name
    return place.stem if place.suffix == ".gguf" else place.name


def _named(policies: Sequence[str]) -> dict[str, str]:
    """Return where policies lie by their names, which `NAME=DIRECTORY` says and a path alone gives."""
    named: dict[str, str] = {}
    for text in policies:
        name, equals, path = text.partition("=")
        if not equals or os.path.exists(text):  # a directory's own name may have a "="
            name, path = name_of(text), text
        if not name.strip() or not path:
            raise UsageError("a policy reads DIRECTORY or NAME=DIRECTORY", where=text or "POLICY")
        if not name.isprintable() or len(name) > _LONGEST_NAME:
            what = f"a name is at most {_LONGEST_NAME} letters that can be seen, and this is {name!r:.100}"
            raise UsageError(what, where=path, todo=f"write NAME={path}")
        known = {START: "the model that is Elo 0", **named}
        taken = {_folded(other): place for other, place in known.items()}
        if _folded(name) in taken:
            what = f"{name!r} is the name of {taken[_folded(name)]} already, or looks like it"
            raise UsageError(what, where=path, todo=f"write NAME={path}")
        named[name] = os.path.expanduser(path)
    return named


def _folded(name: str) -> str:
    """Return a name without what the eye may pass over: case, width, spaces around and between."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def refuse_same_weights(weights: Mapping[str, str]) -> None:
    """Refuse policies whose weights have one hash: rounding alone would tell their places apart.

    Raises:
        DataError: Two have.
    """
    named: dict[str, str] = {}
    for name, its_hash in weights.items():
        if its_hash in named:
            what = f"{named[its_hash]} and {name} have the same weights: they would differ by chance alone"
            raise DataError(what, where="POLICY", todo="name one of them")
        named[its_hash] = name


def _refuse_twice(paths: Iterable[str | Path], *, where: str) -> None:
    seen: set[str] = set()
    for path in paths:
        place = os.path.realpath(path)
        if place in seen:
            raise UsageError(f"{path} is named twice", where=where, todo="name each once")
        seen.add(place)
