"""The label stage: audit the feedback model first, then sample, ask, construct and write.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1; arXiv:2310.13798, §2.2.
"""

from collections.abc import Sequence
from typing import Any

from publius.constitution import Constitution
from publius.engines.answers import sample_answers
from publius.engines.protocol import Engine, Sampling
from publius.feedback.audit import audit_judge, draw_audit, require_trust
from publius.feedback.config import LabelConfig
from publius.feedback.label import (
    LabelTask,
    compare_samples,
    construct_from_mismatch,
    construct_from_revisions,
    label_comparisons,
)
from publius.records import Preference, Prompt, RevisionChain, Unparsed, Vote, encode
from publius.stats.intervals import rate
from publius.store import StageResult, StageStore, export_preferences, write_json, write_records

PREFERENCES = "preferences.jsonl"
AUDIT = "audit.json"


def run_label(
    store: StageStore,
    config: LabelConfig,
    *,
    prompts: Sequence[Prompt],
    chains: Sequence[RevisionChain],
    constitutions: tuple[Constitution, Constitution],
    policy: Engine,
    feedback: Engine,
    audit_set: Sequence[Preference],
) -> StageResult:
    """Write labelled comparisons; `constitutions` decide harmlessness and helpfulness, in this order.

    Raises:
        JudgeNotTrusted: The audit cannot tell the feedback model from chance.
    """
    audit = audit_judge(
        draw_audit(audit_set, config.n_audit, seed=store.seed),
        store.ask(feedback, "audit").choose,
        judge=feedback.model.name,
        method=config.method,
    )
    write_json(store.path / AUDIT, audit)
    if not config.train_on_chance:
        require_trust(audit)
    harmlessness, helpfulness = constitutions
    samples = sample_answers(
        prompts,
        store.ask(policy, "sample").generate,
        sampling=Sampling(config.answer_tokens, temperature=config.temperature, top_p=config.top_p),
        seed=store.seed,
        n_samples=2,
    )
    comparisons = compare_samples(prompts, samples, model=policy.model.name)
    is_helpful = {prompt.id: prompt.purpose == "helpful" for prompt in prompts}
    asked = label_comparisons(
        [
            LabelTask(item, helpfulness if is_helpful[item.prompt_id] else harmlessness)
            for item in comparisons
        ],
        store.ask(feedback, "label").choose,
        judge=feedback.model.name,
        principles=config.principles,
        method=config.method,
        seed=store.seed,
    )
    constructed: tuple[Preference, ...] = ()
    if config.construction:
        helpful = [prompt for prompt in prompts if prompt.purpose == "helpful"]
        answers = {id: texts[0] for id, texts in samples.items() if isinstance(texts[0], str)}
        strangers = [chain.revisions[-1].text for chain in chains if chain.revisions]
        n_each = config.n_construction // 2
        constructed = (
            *construct_from_revisions(chains, harmlessness, prob=config.construction, n=n_each),
            *construct_from_mismatch(helpful, answers, strangers, prob=config.construction, n=n_each),
        )
    preferences = (*asked, *constructed)
    write_records(store.path / PREFERENCES, preferences)
    n_exported = export_preferences(store.path / "export", preferences)
    figures = _figures(asked, constructed) | {
        "audit": encode(audit),
        "n_prompts": len(prompts),
        "n_unusable_pairs": len(prompts) - len(comparisons),
        "n_exported": n_exported,
    }
    return StageResult(rows=len(preferences), figures=figures)


def _figures(asked: Sequence[Preference], constructed: Sequence[Preference]) -> dict[str, Any]:
    votes = [vote for item in asked for vote in item.votes]
    readable = [vote for vote in votes if isinstance(vote, Vote)]
    first = [
        (vote.logprob_a > vote.logprob_b) == vote.a_first for vote in readable if vote.a_first is not None
    ]
    labels = [item.prob_a for item in asked if item.prob_a is not None]
    by_principle: dict[str, list[float]] = {}
    for item in asked:
        for id in {vote.principle_id for vote in item.votes}:
            if item.prob_a is not None:
                by_principle.setdefault(id, []).append(abs(item.prob_a - 0.5) + 0.5)
    return {
        "n_asked": len(asked),
        "n_constructed": len(constructed),
        "n_votes": len(votes),
        "n_unparsed": sum(isinstance(vote, Unparsed) for vote in votes),
        "n_unlabelled": len(asked) - len(labels),
        "share_first": encode(rate(sum(first), len(first))),
        "label_mass": sum(vote.label_mass for vote in readable) / len(readable) if readable else None,
        "labels": labels,
        "confidence_by_principle": {
            id: {"n": len(values), "mean": sum(values) / len(values)}
            for id, values in sorted(by_principle.items())
        },
    }
