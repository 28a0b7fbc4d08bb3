"""The stages of Constitutional AI, in order. Read this file first.

    revise    the policy drafts, the critic criticises and rewrites under principles      B §3.1
    sft       the policy learns to write like the revisions, and stays helpful             B §3.1
    dpo       the other route, no preference model: prefer revisions, or what was labelled better
    label     two answers a prompt, an AI says which is better; the AI itself is audited   A §2.2, B §4.1
    pm        a preference model learns the soft labels                                    B §4.1
    rl        the policy is improved against the preference model, KL measured             B §4.2
    evaluate  start and trained policies on held-out prompts: Elo, monitors                B §1.2
    report    one HTML page with all of it

`label`, `pm` and `rl` may come again as `label-2`, `pm-2`, `rl-2` and so on: pairs of the latest policy are
labelled, a preference model learns all labels so far, the policy goes on against it (arXiv:2204.05862, §4.5).

Papers: A = arXiv:2310.13798, B = arXiv:2212.08073. A stage reads the files of the stages that it needs
and writes its own. The rooms are strangers: this file hands them records and callables.
What each stage needs and is decided by stands in `stage_table.py`.
"""

from dataclasses import replace
from pathlib import Path

from publius.engines.protocol import Engine
from publius.evaluate.stage import Judge, Tie, run_evaluate
from publius.feedback.stage import PREFERENCES, LabelInputs, run_label
from publius.pipeline.audit_page import show_label_audit
from publius.pipeline.context import RunContext
from publius.pipeline.earlier import read_earlier
from publius.pipeline.judges import OWN_PM, judge_pms, paying_models, reward_paths
from publius.pipeline.lineage import dpo_sources, label_config, label_stages, policy_before, trained_policies
from publius.pipeline.recipe import judge_roles
from publius.pipeline.report_stage import run_report
from publius.pipeline.rewards import check_accuracy, rewards_of
from publius.pipeline.rounds import all_of, split_name
from publius.policy.rewards import RewardTerm, WeightedRewards
from publius.policy.stage import MODEL, last_step, run_dpo, run_rl, run_sft
from publius.preference.stage import PREFERENCE_MODEL, open_reward, run_pm
from publius.records import Demonstration, Preference, RevisionChain
from publius.revise.stage import CHAINS, DEMONSTRATIONS, run_revise
from publius.store import Run, StageResult, StageStore, iter_records, read_records
from publius.training.digest import weights_hash
from publius.training.origin import read_origin, write_origin


def revise(context: RunContext, run: Run, store: StageStore) -> StageResult:
    """Draft, criticise and revise the red-team prompts; sample the helpful ones."""
    config = context.recipe.revise
    models = context.recipe.models
    return run_revise(
        store,
        config,
        prompts=context.draw(n_red_team=config.n_red_team, n_helpful=config.n_helpful, held_out=False),
        constitution=context.constitution,
        policy=context.engine(models.policy),
        critic=context.engine(models.critic),
    )


def sft(context: RunContext, run: Run, store: StageStore) -> StageResult:
    """Finetune the policy on revisions and helpful samples."""
    demonstrations = read_records(run.stage_path("revise") / DEMONSTRATIONS, Demonstration)
    chains = iter_records(run.stage_path("revise") / CHAINS, RevisionChain)
    start = context.model_path(context.recipe.models.policy.model)
    result = run_sft(store, context.recipe.sft, start=start, demonstrations=demonstrations, chains=chains)
    write_origin(store.path / MODEL, {context.constitution.hash} | read_origin(start))
    return result


def dpo(context: RunContext, run: Run, store: StageStore) -> StageResult:
    """Train the policy to prefer revisions to drafts, or what was labelled better."""
    sources, start = dpo_sources(context.recipe), run.stage_path("sft") / MODEL
    labelled = _labelled(run, ("label",)) if "label" in sources else ()
    result = run_dpo(
        store,
        context.recipe.dpo,
        start=start,
        chains=iter_records(run.stage_path("revise") / CHAINS, RevisionChain) if "revise" in sources else (),
        labelled=labelled,
    )
    write_origin(store.path / MODEL, read_origin(start) | _constitutions(labelled))
    return result


def label(context: RunContext, run: Run, store: StageStore, *, number: int) -> StageResult:
    """Audit the feedback model, then make pairs of answers and label them, or those of an earlier run."""
    config = label_config(context.recipe, number)
    earlier = read_earlier(context) if number == 1 else None
    chains = run.stage_path("revise") / CHAINS
    try:
        return run_label(
            store,
            config,
            LabelInputs(
                prompts=()
                if earlier
                else context.draw(
                    n_red_team=config.n_red_team,
                    n_helpful=config.n_helpful,
                    n_trait=config.n_trait,
                    trait_kinds=config.trait_kinds,
                    held_out=False,
                    seed=store.seed,
                ),
                chains=iter_records(chains, RevisionChain) if config.n_revised() else (),
                constitutions=(context.constitution, context.helpfulness),
                audit_set=context.audit_set,
                earlier=earlier,
            ),
            policy=_sampled_policy(context, run, number) if config.n_sampled() else None,
            feedback=context.engine(context.recipe.models.feedback),
        )
    finally:  # also where the feedback model is not trusted: the page shows why
        show_label_audit(store.path, source=context.recipe.audit)


def _sampled_policy(context: RunContext, run: Run, number: int) -> Engine:
    """Return the model that pairs are sampled from."""
    if context.recipe.models.generator.model:
        return context.engine(context.recipe.models.generator)
    start = policy_before(context.recipe, number)
    if start == "start":
        return context.engine(context.recipe.models.policy)
    return context.trained(start, run.stage_path(start) / MODEL)


def pm(context: RunContext, run: Run, store: StageStore, *, number: int) -> StageResult:
    """Train the preference model on AI labels of all rounds so far and human ones, whichever there are."""
    labelled = _labelled(run, label_stages(context.recipe, number))
    objectives = {context.helpfulness.hash: "helpfulness", context.constitution.hash: "harmlessness"}
    result = run_pm(
        store,
        replace(context.recipe.pm, objectives=objectives),
        start=context.model_path(context.recipe.models.preference_start.model),
        preferences=(*labelled, *context.human_preferences),
    )
    write_origin(store.path / PREFERENCE_MODEL, _constitutions(labelled))
    return result


def _labelled(run: Run, names: tuple[str, ...]) -> tuple[Preference, ...]:
    return tuple(
        one for name in names for one in read_records(run.stage_path(name) / PREFERENCES, Preference)
    )


def _constitutions(labelled: tuple[Preference, ...]) -> set[str]:
    return {one.constitution_hash for one in labelled if one.constitution_hash is not None}


def rl(context: RunContext, run: Run, store: StageStore, *, number: int) -> StageResult:
    """Improve the policy against the preference model, or several."""
    recipe, config = context.recipe, context.recipe.rl
    before = policy_before(recipe, number)
    paths = reward_paths(recipe, run.path, number)
    for one, path in zip(config.reward_models(), paths, strict=True):
        check_accuracy(path, least=config.least_pm_accuracy if one.weight else 0)
    held_out = config.monitors.held_out_pm
    start = _policy_path(context, run, before)
    result = run_rl(
        store,
        config,
        start=start,
        prompts=tuple(prompt for prompt in context.prompts if prompt.split == "train"),
        reward=WeightedRewards(
            tuple(
                RewardTerm(
                    one.name, one.weight, open_reward(path, standardise=one.standardise, is_strict=False)
                )
                for one, path in zip(config.reward_models(), paths, strict=True)
            )
        ),
        held_out_reward=open_reward(Path(held_out), is_strict=False) if held_out else None,
        reference=None if number == 1 else _policy_path(context, run, recipe.rl_start),
        steps_before=0 if number == 1 else last_step(run.stage_path(before) / MODEL),
    )
    write_origin(store.path / MODEL, frozenset[str]().union(*map(read_origin, (start, *paths))))
    return result


def _policy_path(context: RunContext, run: Run, name: str) -> Path:
    if name == "start":
        return context.model_path(context.recipe.models.policy.model)
    return run.stage_path(name) / MODEL


def evaluate(context: RunContext, run: Run, store: StageStore) -> StageResult:
    """Compare the start and every trained policy on held-out prompts."""
    config = context.recipe.evaluate
    # the same engine as the trained ones, or its rounding would look like an effect of training
    start, trained_engine = context.recipe.models.policy, context.recipe.models.trained_engine
    if start.engine != trained_engine:
        start = replace(start, engine=trained_engine, options={})
    policies = {"start": context.engine(start)}
    for name in trained_policies(context.recipe):
        policies[name] = context.trained(name, run.stage_path(name) / MODEL)
    return run_evaluate(
        store,
        config,
        prompts=context.draw(n_red_team=config.n_red_team, n_helpful=config.n_helpful, held_out=True),
        policies=policies,
        judges=_judges(context, run),
    )


def _judges(context: RunContext, run: Run) -> tuple[Judge, ...]:
    """Return the recipe's judge, the run's own preference model, and the further judges."""
    recipe = context.recipe
    labeller = context.engine(recipe.models.feedback).model.revision if "label" in recipe.stages else None
    last_pm = all_of("pm", recipe.stages)[-1:]
    own = run.stage_path(last_pm[0]) / PREFERENCE_MODEL if last_pm else None
    rounds = [split_name(name)[1] for name in all_of("rl", recipe.stages)]
    paying = paying_models(recipe, run.path, rounds)
    models = [recipe.models.judge, *judge_roles(recipe).values()]
    judges: list[Judge] = []
    for role in models:
        engine = context.engine(role)
        tie: Tie | None = "labeller" if engine.model.revision == labeller else None
        judges.append(Judge(engine.model.name, engine=engine, tie=tie))
    if own is not None:
        tie = "reward" if weights_hash(own) in paying else None
        judges.insert(1, Judge(OWN_PM, rewards=rewards_of(own, run.journal), tie=tie))
    for name, path in judge_pms(recipe).items():
        tie = "reward" if weights_hash(path) in paying else None
        judges.append(Judge(name, rewards=rewards_of(path, run.journal), tie=tie))
    return tuple(judges)


def report(context: RunContext, run: Run, store: StageStore) -> StageResult:
    """Write the page."""
    return run_report(context, run, store)
