"""What a recipe will cost before anything runs: calls, tokens and a rough time for every stage.

Counts of calls follow from the recipe (retries aside, and if the prompt sets are as large as it asks);
tokens are upper bounds for generated text and averages over the shipped sets for prompts; times scale
rates measured on two CPU cores by the parameters of the registered models, without loading them.

Paper: none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from publius.constitution import load_constitution
from publius.engines import is_remote
from publius.engines.models import find_model
from publius.pipeline.check import check_recipe
from publius.pipeline.recipe import ModelRole, Recipe
from publius.sources import load_audit

# parameters × tokens a second, measured on two shared cores of an AMD EPYC with AVX-512: the 1.5B reads 160
# and writes 48 tokens a second on openvino, the 135M writes 196 on transformers and trains on 317
_READ_RATE = 250e9
_WRITE_RATE = 75e9
_WRITE_RATE_TRAINED = 26e9
_TRAIN_RATE = 43e9
_UNKNOWN_PARAMETERS = 1.5e9

_PROMPT_TOKENS = 25  # mean of the shipped prompt sets
_EXEMPLAR_TOKENS = 170
_N_ASKS = {"both-orders": 2, "one-order": 1, "pointwise": 2}  # of a comparison
_QUESTION_TOKENS = 60  # instructions and principle of a comparison


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage: model calls, tokens read and written by models, tokens trained on, seconds (rough).

    `seconds` are those of this machine; models behind a server count none. `cost` is in US dollars, by
    the prices of the recipe's roles.
    """

    name: str
    calls: int
    read_tokens: int
    written_tokens: int
    trained_tokens: int
    seconds: float
    cost: float = 0.0


def plan_recipe(recipe: Recipe, *, only: Sequence[str] | None = None) -> tuple[StagePlan, ...]:
    """Return the plan of the recipe's stages, after the checks that need no model.

    Raises:
        PubliusError: What `check_recipe` raises.
    """
    return tuple(_PLANS[stage.name](recipe) for stage in check_recipe(recipe, only=only))


def plan_text(plans: Sequence[StagePlan]) -> str:
    """Return a plan as a table for people."""
    head = f"{'stage':<10}{'calls':>8}{'read':>12}{'written':>10}{'trained':>10}{'about':>10}"
    rows = [
        f"{plan.name:<10}{plan.calls:>8}{plan.read_tokens:>12,}{plan.written_tokens:>10,}"
        f"{plan.trained_tokens:>10,}{_minutes(plan.seconds):>10}"
        for plan in plans
    ]
    total = _minutes(sum(plan.seconds for plan in plans))
    note = "tokens are upper bounds; times are rough, for two CPU cores; what is done already costs nothing"
    cost = sum(plan.cost for plan in plans)
    costs = [f"about ${cost:,.2f} by the recipe's prices, retries left out"] if cost else []
    return "\n".join([head, *rows, f"{'all':<10}{total:>50}", *costs, note])


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _asked(
    recipe: Recipe, role: str, *, read: float, written: float, write_rate: float
) -> tuple[float, float]:
    """Return the seconds on this machine and the dollars of a role's tokens."""
    own: ModelRole = getattr(recipe.models, role)
    if role in ("feedback", "judge") and is_remote(own.engine):
        n_votes = max(1, int(own.options.get("votes", 0)))  # each is a call of its own there
        read, written = read * n_votes, written * n_votes
    cost = (read * own.price.input + written * own.price.output) / 1e6
    if is_remote(own.engine):
        return 0.0, cost
    return (read / _READ_RATE + written / write_rate) * _parameters(recipe, role), cost


def _parameters(recipe: Recipe, role: str) -> float:
    model = find_model(getattr(recipe.models, role).model)
    return model.parameters if model is not None else _UNKNOWN_PARAMETERS


def _revise(recipe: Recipe) -> StagePlan:
    config = recipe.revise
    n_drafts = config.n_red_team + config.n_helpful * config.helpful_samples
    steps = 2 if config.mode == "critique" else 1
    n_critic = config.n_red_team * config.rounds * steps
    written_draft = n_drafts * config.draft_tokens
    mean_length = (config.critique_tokens * (steps - 1) + config.revision_tokens) // steps
    written_critic = n_critic * mean_length
    # a server bills the exemplars with every call, here their beginning is computed once
    n_shown = n_critic if is_remote(recipe.models.critic.engine) else min(1, n_critic)
    read_critic = n_shown * config.n_exemplars * _EXEMPLAR_TOKENS + n_critic * (
        _PROMPT_TOKENS + config.draft_tokens + (config.critique_tokens * (steps - 1)) // 2 + _QUESTION_TOKENS
    )
    read_draft = n_drafts * _PROMPT_TOKENS
    draft = _asked(recipe, "policy", read=read_draft, written=written_draft, write_rate=_WRITE_RATE)
    critic = _asked(recipe, "critic", read=read_critic, written=written_critic, write_rate=_WRITE_RATE)
    return StagePlan(
        "revise",
        n_drafts + n_critic,
        read_draft + read_critic,
        written_draft + written_critic,
        0,
        seconds=draft[0] + critic[0],
        cost=draft[1] + critic[1],
    )


def _sft(recipe: Recipe) -> StagePlan:
    config = recipe.revise
    rounds = config.rounds if config.learn_from == "all" else 1
    rows = config.n_red_team * rounds + config.n_helpful * config.helpful_samples
    return _training("sft", recipe, rows * (_PROMPT_TOKENS + config.revision_tokens) * recipe.sft.epochs)


def _dpo(recipe: Recipe) -> StagePlan:
    config = recipe.revise
    tokens = 2 * config.n_red_team * (_PROMPT_TOKENS + config.revision_tokens) * recipe.dpo.epochs
    return _training("dpo", recipe, tokens)


def _label(recipe: Recipe) -> StagePlan:
    config = recipe.label
    n_prompts = config.n_red_team + config.n_helpful
    n_labelled = config.n_red_team + config.n_helpful
    if config.principles == "mean":
        n_labelled = config.n_red_team * len(load_constitution(recipe.constitution).principles)
        n_labelled += config.n_helpful * len(load_constitution(recipe.helpfulness).principles)
    n_votes = n_labelled * _N_ASKS[config.method]
    n_audit = _N_ASKS[config.method] * (config.n_audit or len(load_audit(recipe.audit)))
    written = 2 * n_prompts * config.answer_tokens
    read = n_votes * (_PROMPT_TOKENS + 2 * config.answer_tokens + _QUESTION_TOKENS)
    read += n_audit * (2 * _PROMPT_TOKENS + 80 + _QUESTION_TOKENS)
    n_read = 2 * n_prompts * _PROMPT_TOKENS
    rate = _WRITE_RATE if recipe.rl_start == "start" else _WRITE_RATE_TRAINED
    sample = _asked(recipe, "policy", read=n_read, written=written, write_rate=rate)
    votes = _asked(recipe, "feedback", read=read, written=n_votes + n_audit, write_rate=_WRITE_RATE)
    n_calls = 2 * n_prompts + n_votes + n_audit
    seconds, cost = sample[0] + votes[0], sample[1] + votes[1]
    return StagePlan("label", n_calls, n_read + read, written, 0, seconds=seconds, cost=cost)


def _pm(recipe: Recipe) -> StagePlan:
    config = recipe.label
    rows = config.n_red_team + config.n_helpful + (config.n_construction if config.construction else 0)
    return _training("pm", recipe, 2 * rows * (_PROMPT_TOKENS + config.answer_tokens) * recipe.pm.epochs)


def _rl(recipe: Recipe) -> StagePlan:
    config = recipe.rl
    n_answers = config.steps * config.prompts_per_step * config.num_generations
    written = n_answers * config.max_completion_length
    trained = n_answers * (_PROMPT_TOKENS + config.max_completion_length)
    seconds = (written / _WRITE_RATE_TRAINED + 1.6 * trained / _TRAIN_RATE) * _parameters(recipe, "policy")
    return StagePlan("rl", 0, n_answers * _PROMPT_TOKENS, written, trained, seconds)


def _evaluate(recipe: Recipe) -> StagePlan:
    config = recipe.evaluate
    n_policies = 1 + sum(name in recipe.stages for name in ("sft", "dpo", "rl"))
    n_prompts = config.n_red_team + config.n_helpful
    n_pairs = n_prompts * n_policies * (n_policies - 1) // 2
    n_votes = n_pairs * _N_ASKS[config.method]
    written = n_policies * n_prompts * config.answer_tokens
    read = n_votes * (_PROMPT_TOKENS + 2 * config.answer_tokens + _QUESTION_TOKENS)
    seconds = written / _WRITE_RATE_TRAINED * _parameters(recipe, "policy")
    votes = _asked(recipe, "judge", read=read, written=n_votes, write_rate=_WRITE_RATE)
    n_calls = n_policies * n_prompts + n_votes
    return StagePlan("evaluate", n_calls, read, written, 0, seconds=seconds + votes[0], cost=votes[1])


def _report(recipe: Recipe) -> StagePlan:
    return StagePlan("report", 0, 0, 0, 0, 1.0)


def _training(name: str, recipe: Recipe, tokens: float) -> StagePlan:
    return StagePlan(name, 0, 0, 0, round(tokens), tokens / _TRAIN_RATE * _parameters(recipe, "policy"))


_PLANS: dict[str, Callable[[Recipe], StagePlan]] = {
    "revise": _revise,
    "sft": _sft,
    "dpo": _dpo,
    "label": _label,
    "pm": _pm,
    "rl": _rl,
    "evaluate": _evaluate,
    "report": _report,
}
