"""The revise stage: ask the models through the journal, write chains and demonstrations.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1–3.2.
"""

from collections.abc import Sequence
from typing import Any

from publius.constitution import Constitution
from publius.engines.answers import sample_answers
from publius.engines.protocol import Engine, Failure, Sampling
from publius.records import Prompt, RevisionChain
from publius.revise.config import ReviseConfig
from publius.revise.demonstrations import helpful_demonstrations, revision_demonstrations
from publius.revise.loop import Critic, revise_once, start_chains
from publius.revise.prompts import shipped_exemplars
from publius.store import StageResult, StageStore, export_demonstrations, write_records

CHAINS = "chains.jsonl"
DEMONSTRATIONS = "demonstrations.jsonl"


def run_revise(
    store: StageStore,
    config: ReviseConfig,
    *,
    prompts: Sequence[Prompt],
    constitution: Constitution,
    policy: Engine,
    critic: Engine,
) -> StageResult:
    """Draft and revise the red-team prompts, sample the helpful ones, and write what to learn from."""
    red_team = [prompt for prompt in prompts if prompt.purpose != "helpful"]
    helpful = [prompt for prompt in prompts if prompt.purpose == "helpful"]
    sampling = Sampling(config.draft_tokens, temperature=config.temperature, top_p=config.top_p)
    drafter = store.ask(policy, "draft").generate
    drafts = sample_answers(red_team, drafter, sampling=sampling, seed=store.seed)
    samples = sample_answers(
        helpful, drafter, sampling=sampling, seed=store.seed, n_samples=config.helpful_samples
    )
    chains = start_chains(red_team, drafts, models=(policy.model.name, critic.model.name))
    reviser = Critic(
        generate=store.ask(critic, config.mode).generate,
        critique=Sampling(config.critique_tokens, temperature=config.critic_temperature, top_p=config.top_p),
        revision=Sampling(config.revision_tokens, temperature=config.critic_temperature, top_p=config.top_p),
        exemplars=shipped_exemplars()[: config.n_exemplars],
        tries=config.tries,
        show_answer=config.show_answer,
    )
    for round in range(1, config.rounds + 1):
        chains = revise_once(chains, constitution, reviser, round=round, mode=config.mode, seed=store.seed)
    demonstrations = (
        *revision_demonstrations(chains, learn_from=config.learn_from),
        *helpful_demonstrations(helpful, samples),
    )
    write_records(store.path / CHAINS, chains)
    write_records(store.path / DEMONSTRATIONS, demonstrations)
    export_demonstrations(store.path / "export", demonstrations)
    n_failed_samples = sum(isinstance(text, Failure) for texts in samples.values() for text in texts)
    figures = _figures(chains) | {
        "n_demonstrations": len(demonstrations),
        "n_helpful_samples_failed": n_failed_samples,
    }
    return StageResult(rows=len(chains), figures=figures)


def _figures(chains: Sequence[RevisionChain]) -> dict[str, Any]:
    revisions = [revision for chain in chains for revision in chain.revisions]
    per_principle: dict[str, int] = {}
    for revision in revisions:
        per_principle[revision.principle_id] = per_principle.get(revision.principle_id, 0) + 1
    n_identical = sum(
        after == before
        for chain in chains
        for before, after in zip(chain.answers(), chain.answers()[1:], strict=False)
    )
    return {
        "n_chains": len(chains),
        "n_revisions": len(revisions),
        "n_failed_chains": sum(chain.failure is not None for chain in chains),
        "failures": sorted({chain.failure for chain in chains if chain.failure is not None}),
        "n_leaks": sum(revision.n_leaks for revision in revisions),
        "n_identical": n_identical,
        "per_principle": dict(sorted(per_principle.items())),
    }
