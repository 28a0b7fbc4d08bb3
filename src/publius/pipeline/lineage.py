"""What a stage of a recipe is made from: which stages train, and which others each one reads.

Paper: none; more rounds are arXiv:2204.05862, §4.5.
"""

from dataclasses import replace

from publius.feedback.config import LabelConfig
from publius.pipeline.recipe import Recipe
from publius.pipeline.rounds import all_of, in_round, split_name

POLICIES = ("sft", "dpo", "rl")
TRAINED = (*POLICIES, "pm")  # the stages whose `model/` is a trained one


def dpo_sources(recipe: Recipe) -> tuple[str, ...]:
    """Return the stages whose pairs DPO learns from."""
    return {"revisions": ("revise",), "labels": ("label",), "both": ("revise", "label")}[
        recipe.dpo.learn_from
    ]


def label_config(recipe: Recipe, number: int) -> LabelConfig:
    """Return what a round labels: from the second on new pairs of the policy alone.

    Raises:
        DataError: The recipe samples no pairs.
    """
    return recipe.label if number == 1 else replace(recipe.label, n_construction=0, relabel="")


def policy_before(recipe: Recipe, number: int) -> str:
    """Return the policy that a round begins with."""
    return recipe.rl_start if number == 1 else in_round("rl", number - 1)


def trained_from(recipe: Recipe, name: str) -> str:
    """Return the policy that a stage trains on from; "start" is none of a stage."""
    kind, number = split_name(name)
    return {"dpo": "sft", "rl": policy_before(recipe, number)}.get(kind, "start")


def label_stages(recipe: Recipe, number: int) -> tuple[str, ...]:
    """Return the stages of labels that a round's preference model learns from."""
    own = (in_round("label", i) for i in range(1, number + 1))
    return tuple(name for name in own if name in recipe.stages)


def trained_policies(recipe: Recipe) -> tuple[str, ...]:
    """Return the stages that train a policy, those of later rounds last."""
    return tuple(name for kind in POLICIES for name in all_of(kind, recipe.stages))
