"""The revise stage: ask the models through the journal, write chains and demonstrations.

Every step reads one file and writes the next, record by record, so the number of prompts does not
decide the memory.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1–3.2.
"""

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from publius.constitution import Constitution, draw_principles
from publius.engines.answers import sample_answers
from publius.engines.protocol import Engine, Sampling
from publius.records import Demonstration, Prompt, RevisionChain
from publius.revise.config import ReviseConfig
from publius.revise.demonstrations import helpful_demonstrations, revision_demonstrations
from publius.revise.loop import Critic, revise, start_chain
from publius.revise.prompts import shipped_exemplars
from publius.store import StageResult, StageStore, export_demonstrations, iter_records, write_records

DRAFTS = "drafts.jsonl"
CHAINS = "chains.jsonl"
HELPFUL = "helpful.jsonl"
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
    """Draft and revise the red-team prompts, sample the helpful ones, and write what to learn from.

    The helpful prompts come last in `prompts`, of which only a few are held in memory at a time.
    """
    n_red_team = bisect_left(prompts, True, key=lambda prompt: prompt.purpose == "helpful")
    red_team, helpful = prompts[:n_red_team], prompts[n_red_team:]
    models = (policy.model.name, critic.model.name)
    path = store.path

    sampling = Sampling(config.draft_tokens, temperature=config.temperature, top_p=config.top_p)
    run = store.ask(policy, "draft").run
    drafts = sample_answers(red_team, run, sampling=sampling, seed=store.seed)
    samples = sample_answers(
        helpful, run, sampling=sampling, seed=store.seed, n_samples=config.helpful_samples
    )
    started = (
        start_chain(prompt, draft, models=models) for prompt, (draft,) in zip(red_team, drafts, strict=True)
    )
    write_records(path / DRAFTS, started)
    learnable = (
        item
        for prompt, texts in zip(helpful, samples, strict=True)
        for item in helpful_demonstrations(prompt, texts)
    )
    n_helpful = write_records(path / HELPFUL, learnable)

    how = _critic(config, constitution, seed=store.seed)
    n_calls = len(red_team) * config.rounds * (2 if config.mode == "critique" else 1)
    flows = (revise(chain, how) for chain in iter_records(path / DRAFTS, RevisionChain))
    write_records(path / CHAINS, store.ask(critic, config.mode).run(flows, expected=n_calls))

    revisions = (
        item
        for chain in iter_records(path / CHAINS, RevisionChain)
        for item in revision_demonstrations(chain, learn_from=config.learn_from)
    )
    demonstrations = itertools.chain(revisions, iter_records(path / HELPFUL, Demonstration))
    n_demonstrations = write_records(path / DEMONSTRATIONS, demonstrations)
    export_demonstrations(path / "export", iter_records(path / DEMONSTRATIONS, Demonstration))
    figures = _figures(iter_records(path / CHAINS, RevisionChain)) | {
        "n_demonstrations": n_demonstrations,
        "n_helpful_samples_failed": len(helpful) * config.helpful_samples - n_helpful,
    }
    return StageResult(rows=len(red_team), figures=figures)


def _critic(config: ReviseConfig, constitution: Constitution, *, seed: int) -> Critic:
    sampling = Sampling(config.critique_tokens, temperature=config.critic_temperature, top_p=config.top_p)
    if config.n_principles:
        drawn = draw_principles(constitution, k=config.n_principles, seed=seed)
        constitution = replace(constitution, principles=drawn)
    return Critic(
        constitution=constitution,
        rounds=config.rounds,
        mode=config.mode,
        critique=sampling,
        revision=replace(sampling, max_tokens=config.revision_tokens),
        exemplars=shipped_exemplars()[: config.n_exemplars],
        tries=config.tries,
        seed=seed,
        show_answer=config.show_answer,
        layout=config.layout,
    )


def _figures(chains: Iterable[RevisionChain]) -> dict[str, Any]:
    count = Counter[str]()
    per_principle = Counter[str]()
    failures = Counter[str]()
    for chain in chains:
        count["chains"] += 1
        count["revisions"] += len(chain.revisions)
        count["leaks"] += sum(revision.n_leaks for revision in chain.revisions)
        per_principle.update(revision.principle_id for revision in chain.revisions)
        if chain.failure is not None:
            failures[chain.failure] += 1
        count["identical"] += sum(after == before for before, after in itertools.pairwise(chain.answers()))
    return {
        "n_chains": count["chains"],
        "n_revisions": count["revisions"],
        "n_failed_chains": failures.total(),
        "failures": sorted(failures),
        "n_leaks": count["leaks"],
        "n_identical": count["identical"],
        "per_principle": dict(sorted(per_principle.items())),
    }
