"""The label stage: audit the feedback model first, then sample, ask, construct and write.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1; arXiv:2310.13798, §2.2.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
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
    label_comparison,
)
from publius.records import Comparison, Preference, Prompt, RevisionChain, Unparsed, encode
from publius.stats.intervals import rate
from publius.store import (
    StageResult,
    StageStore,
    export_preferences,
    iter_records,
    write_json,
    write_records,
)

COMPARISONS = "comparisons.jsonl"
PREFERENCES = "preferences.jsonl"
AUDIT = "audit.json"


def run_label(
    store: StageStore,
    config: LabelConfig,
    *,
    prompts: Sequence[Prompt],
    chains: Iterable[RevisionChain],
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
        store.ask(feedback, "audit").run,
        judge=feedback.model.name,
        method=config.method,
    )
    write_json(store.path / AUDIT, audit)
    if not config.train_on_chance:
        require_trust(audit)

    samples = sample_answers(
        prompts,
        store.ask(policy, "sample").run,
        sampling=Sampling(config.answer_tokens, temperature=config.temperature, top_p=config.top_p),
        seed=store.seed,
        n_samples=2,
    )
    compared = (
        compare_samples(prompt, own, model=policy.model.name)
        for prompt, own in zip(prompts, samples, strict=True)
    )
    n_comparisons = write_records(store.path / COMPARISONS, (item for item in compared if item is not None))

    deciding = {prompt.id: constitutions[1 if prompt.purpose == "helpful" else 0] for prompt in prompts}
    label = partial(
        label_comparison,
        judge=feedback.model.name,
        principles=config.principles,
        method=config.method,
        seed=store.seed,
    )
    flows = (
        label(LabelTask(item, deciding[item.prompt_id]))
        for item in iter_records(store.path / COMPARISONS, Comparison)
    )
    n_asks = n_comparisons * (1 if config.method == "one-order" else 2)
    asked = store.ask(feedback, "label").run(flows, expected=n_asks)
    constructed = _construct(store, config, prompts, chains, harmlessness=constitutions[0])
    n_preferences = write_records(store.path / PREFERENCES, chain(asked, constructed))

    n_exported = export_preferences(store.path / "export", iter_records(store.path / PREFERENCES, Preference))
    figures = _figures(iter_records(store.path / PREFERENCES, Preference)) | {
        "audit": encode(audit),
        "n_prompts": len(prompts),
        "n_unusable_pairs": len(prompts) - n_comparisons,
        "n_exported": n_exported,
    }
    return StageResult(rows=n_preferences, figures=figures)


def _construct(
    store: StageStore,
    config: LabelConfig,
    prompts: Sequence[Prompt],
    chains: Iterable[RevisionChain],
    *,
    harmlessness: Constitution,
) -> Iterator[Preference]:
    """Yield the labels by construction: half from revisions, half from answers to other prompts."""
    n_each = config.n_construction // 2 if config.construction else 0
    revised = list(islice((item for item in chains if item.revisions), n_each))
    yield from construct_from_revisions(revised, harmlessness, prob=config.construction)
    helpful = {prompt.id: prompt for prompt in prompts if prompt.purpose == "helpful"}
    answered = (
        (helpful[item.prompt_id], item.answer_a)
        for item in iter_records(store.path / COMPARISONS, Comparison)
        if item.prompt_id in helpful
    )
    strangers = [item.revisions[-1].text for item in revised]
    yield from construct_from_mismatch(islice(answered, n_each), strangers, prob=config.construction)


def _figures(preferences: Iterable[Preference]) -> dict[str, Any]:
    count = Counter[str]()
    labels: list[float] = []
    mass = 0.0
    confidence: dict[str, list[float]] = defaultdict(list)
    for item in preferences:
        count[item.origin] += 1
        if item.origin != "asked":
            continue
        for vote in item.votes:
            count["votes"] += 1
            if isinstance(vote, Unparsed):
                count["unparsed"] += 1
                continue
            count["readable"] += 1
            mass += vote.label_mass
            if vote.a_first is not None:
                count["ordered"] += 1
                count["first"] += (vote.logprob_a > vote.logprob_b) == vote.a_first
        if item.prob_a is not None:
            labels.append(item.prob_a)
            for id in {vote.principle_id for vote in item.votes}:
                confidence[id].append(abs(item.prob_a - 0.5) + 0.5)
    return {
        "n_asked": count["asked"],
        "n_constructed": count["construction"],
        "n_votes": count["votes"],
        "n_unparsed": count["unparsed"],
        "n_unlabelled": count["asked"] - len(labels),
        "share_first": encode(rate(count["first"], count["ordered"])),
        "label_mass": mass / count["readable"] if count["readable"] else None,
        "labels": labels,
        "confidence_by_principle": {
            id: {"n": len(values), "mean": sum(values) / len(values)}
            for id, values in sorted(confidence.items())
        },
    }
