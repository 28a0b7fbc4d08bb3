"""What an order of principle effects is, what it will cost, and what is refused before a question.

Paper: none. It is carried out in `publius.pipeline.effects`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from publius.constitution import load_constitution
from publius.errors import DataError, UsageError
from publius.evaluate.prompts import Axis
from publius.evaluate.stage import AXES
from publius.feedback.audit import draw_audit
from publius.feedback.label import check_questions
from publius.pipeline.alone import n_votes
from publius.pipeline.check import check_judge
from publius.pipeline.preferences import open_preferences
from publius.pipeline.recipe import ModelRole, Recipe, change_recipe
from publius.pipeline.rewards import check_preference_model
from publius.pipeline.runner import resolved_recipe
from publius.pipeline.sycophancy import role_named
from publius.records import Preference, decode

STAGE = "effects"


@dataclass(frozen=True, slots=True)
class EffectsOrder:
    """Of which run, with how many pairs (0: all), judged by whom, and how many principles are retrained.

    `rewards` are preference models by the axis that they judge in the judge's place.
    """

    run: Path
    recipe: Recipe
    judge: ModelRole
    rewards: Mapping[Axis, Path]
    n: int = 0
    n_confirm: int = 0


@dataclass(frozen=True, slots=True)
class EffectsPlan:
    """What an order will cost at most: calls of the labeller and of the judge, trainings of a small PM."""

    n_pairs: int
    n_principles: int
    calls_of_labeller: int
    calls_of_judge: int
    trainings: int


def order_effects(
    run: Path,
    *,
    judge: str = "judge",
    rewards: Mapping[str, Path] | None = None,
    n: int = 0,
    n_confirm: int = 0,
    settings: Sequence[str] = (),
) -> EffectsOrder:
    """Return the order for a run; `settings` change its recipe, such as `pm.epochs=2` for the retraining.

    Raises:
        StoreError: There is no run.
        DataError: A setting or an axis is wrong.
    """
    recipe = change_recipe(decode(Recipe, resolved_recipe(run)), settings)
    for axis in rewards or {}:
        if axis not in AXES:
            raise DataError(f"there is no axis {axis!r}", where="--reward", todo=f"one of: {', '.join(AXES)}")
    own = cast("dict[Axis, Path]", dict(rewards or {}))
    return EffectsOrder(run, recipe, role_named(recipe, judge, recipe.models.judge), own, n, n_confirm)


def plan_effects(order: EffectsOrder) -> EffectsPlan:
    """Return what an order will cost at most, after the checks that need no model.

    Raises:
        PubliusError: What `run_effects` would refuse at once.
    """
    n_pairs = len(order_pairs(order))
    principles = load_constitution(order.recipe.constitution).principles
    form, own = order.recipe.label.judge, order.recipe.evaluate.judge
    n_judged = len(AXES) - len(order.rewards)
    n_texts = len({principle.comparison for principle in principles})
    asked = n_pairs * len(principles) * form.n_calls() + n_texts * form.n_calibrating()
    judged = n_judged * (n_pairs * own.n_calls() + own.n_calibrating())
    return EffectsPlan(
        n_pairs=n_pairs,
        n_principles=len(principles),
        calls_of_labeller=asked * n_votes(order.recipe.models.feedback),
        calls_of_judge=judged * n_votes(order.judge),
        trainings=min(order.n_confirm, len(principles)) + 2 if order.n_confirm else 0,
    )


def order_pairs(order: EffectsOrder) -> tuple[Preference, ...]:
    """Return the pairs to measure on, after everything that can be refused without a model."""
    recipe, constitution = order.recipe, load_constitution(order.recipe.constitution)
    if len(constitution.principles) < 2:
        raise UsageError("leaving out the only principle leaves nothing", where=recipe.constitution)
    check_questions(constitution, contrast=False, where=recipe.constitution)
    check_judge(recipe.models.feedback, recipe.label.judge, where="label.judge.layout")
    check_judge(order.judge, recipe.evaluate.judge, where="evaluate.judge.layout")
    for path in order.rewards.values():
        check_preference_model(path)
    given = list(open_preferences(str(order.run)).preferences)
    found = {
        item.comparison.id: item
        for item in given
        if item.origin == "asked"
        and item.constitution_hash == constitution.hash
        and item.comparison.answer_a != item.comparison.answer_b
    }
    if not found:
        raise DataError(
            f"none of the run's {len(given)} labels was asked under the constitution "
            f"{recipe.constitution!r} as it is now",
            where=order.run,
            todo="label pairs under it first (label.pairs, label.relabel)",
        )
    return draw_audit(tuple(found.values()), order.n, seed=recipe.seed)
