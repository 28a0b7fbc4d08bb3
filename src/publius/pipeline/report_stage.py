"""Gather what the stages measured into the report's data, and write the page.

Paper: none.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

from publius import __version__
from publius.evaluate.stage import ANSWERS
from publius.feedback.stage import PREFERENCES
from publius.judge import soft_label
from publius.pipeline.conclusions import conclude
from publius.pipeline.context import RunContext
from publius.pipeline.judges import judge_pms
from publius.pipeline.recipe import judge_roles
from publius.pipeline.rounds import all_of
from publius.pipeline.training_summary import all_rounds, summarise_pm, summarise_rl
from publius.records import ORIGINS, Answer, Preference, RevisionChain, decode, draw_key
from publius.report import (
    HistogramBin,
    JudgeTie,
    LabelSummary,
    Measurement,
    ModelUse,
    OriginCount,
    PolicyAnswer,
    PolicyValue,
    PrincipleLabels,
    PrincipleRevisions,
    ReportData,
    RevisionSummary,
    SampleAnswers,
    StageSummary,
    Version,
    render_report,
)
from publius.revise.stage import CHAINS
from publius.stats import Audit, EloTable, Estimate, ParetoChart, RaterAgreement, bootstrap_mean
from publius.store import (
    Run,
    StageManifest,
    StageResult,
    StageStore,
    iter_records,
    read_records,
    write_atomic,
)
from publius.training.digest import weights_hash

PAGE = "report.html"
_LIBRARIES = ("torch", "transformers", "trl", "openvino-genai", "numpy")
_N_EXAMPLES = 12
_N_SAMPLES = 8
_N_LABELLED = 3  # pairs shown of each origin, drawn by the run's seed
_N_BINS = 10


def run_report(context: RunContext, run: Run, store: StageStore) -> StageResult:
    """Write `report.html` into the stage's folder and into the run's."""
    data = gather(context, run)
    page = render_report(data).encode("utf-8", "replace")
    write_atomic(store.path / PAGE, page)
    write_atomic(run.path / PAGE, page)
    figures = {"conclusions": data.conclusions, "caveats": data.caveats, "n_bytes": len(page)}
    return StageResult(rows=1, figures=figures)


def gather(context: RunContext, run: Run) -> ReportData:
    """Return what the finished stages of a run have to show."""
    recipe = context.recipe
    manifests = {name: done for name in recipe.stages if (done := run.manifest(name)) is not None}
    figures: dict[str, Any] = {name: done.figures for name, done in manifests.items()}
    conclusions, caveats = conclude(recipe, figures)
    evaluated = figures.get("evaluate", {})
    last_pm = all_of("pm", figures)[-1:]
    elo = tuple(decode(EloTable, row) for row in evaluated.get("ratings", ()))
    return ReportData(
        run=recipe.name,
        created=datetime.now(UTC),
        command=context.command,
        versions=versions(),
        seed=recipe.seed,
        models=_models(context),
        stages=tuple(_stage(name, manifests.get(name)) for name in recipe.stages if name != "report"),
        conclusions=conclusions,
        caveats=caveats,
        peak_memory=max((m.peak_memory for m in manifests.values() if m.peak_memory), default=None),
        constitution=context.constitution,
        revision=_revision(run, figures["revise"]) if "revise" in figures else None,
        labels=tuple(
            _labels(run, name, figures[name], seed=recipe.seed) for name in all_of("label", figures)
        ),
        pm=summarise_pm(figures[last_pm[0]]) if last_pm else None,
        rl=summarise_rl(rl, recipe.rl) if (rl := all_rounds(figures)) else None,
        pareto=_pareto(evaluated),
        agreement=tuple(decode(RaterAgreement, row) for row in evaluated.get("agreement", ())),
        elo=elo,
        ties=tuple(JudgeTie(one["name"], one["tie"]) for one in evaluated.get("judges", ()) if one["tie"]),
        measurements=_measurements(evaluated.get("monitors", {})),
        samples=_samples(run) if "evaluate" in figures else (),
    )


def versions() -> tuple[Version, ...]:
    """Return Publius, Python and the libraries that decide what a model answers or learns."""
    found = [Version("publius", __version__), Version("python", python_version())]
    for name in _LIBRARIES:
        try:
            found.append(Version(name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)


def _models(context: RunContext) -> tuple[ModelUse, ...]:
    used = [
        ModelUse(name, role.model, context.engine(role).model.revision, role.engine)
        for name, role in (
            *context.recipe.models.named().items(),
            *(("judge", role) for role in judge_roles(context.recipe).values()),
        )
    ]
    if "evaluate" in context.recipe.stages:
        pms = judge_pms(context.recipe).items()
        used += [ModelUse("judge", name, weights_hash(path), "preference model") for name, path in pms]
    return tuple(used)


def _stage(name: str, manifest: StageManifest | None) -> StageSummary:
    if manifest is None:
        return StageSummary(name, "not run")
    return StageSummary(name, "done", manifest.seconds, manifest.rows, manifest.calls, manifest.tokens)


def _revision(run: Run, figures: Mapping[str, Any]) -> RevisionSummary:
    chains = read_records(run.stage_path("revise") / CHAINS, RevisionChain)
    counts: dict[str, list[int]] = {}
    for chain in chains:
        for before, revision in zip(chain.answers(), chain.revisions, strict=False):
            own = counts.setdefault(revision.principle_id, [0, 0, 0])
            own[0] += 1
            own[1] += revision.text == before
            own[2] += revision.n_leaks
    whole = [chain for chain in chains if chain.failure is None]
    return RevisionSummary(
        n_chains=figures["n_chains"],
        n_revisions=figures["n_revisions"],
        n_leaks=figures["n_leaks"],
        n_failures=figures["n_failed_chains"],
        n_identical=figures["n_identical"],
        per_principle=tuple(PrincipleRevisions(id, *own) for id, own in sorted(counts.items())),
        examples=tuple(whole[:_N_EXAMPLES]),
    )


def _labels(run: Run, stage: str, figures: Mapping[str, Any], *, seed: int) -> LabelSummary:
    edges = [index / _N_BINS for index in range(_N_BINS + 1)]
    counts = [0] * _N_BINS
    by_principle: dict[str, list[tuple[str, float]]] = {}
    drawn: dict[str, list[Preference]] = {origin: [] for origin in ORIGINS}

    def place(item: Preference) -> tuple[int, str]:
        return draw_key(item.comparison.id, seed=seed), item.comparison.id

    for item in iter_records(run.stage_path(stage) / PREFERENCES, Preference):
        if item.prob_a is not None:
            own = [*drawn[item.origin], item]
            drawn[item.origin] = sorted(own, key=place)[:_N_LABELLED]
        if item.origin == "asked" and item.prob_a is not None:
            counts[min(_N_BINS - 1, int(item.prob_a * _N_BINS))] += 1
        for id in dict.fromkeys(vote.principle_id for vote in item.votes):
            # what was said under this one, before the label rule: all of a comparison share its label
            label = soft_label([vote for vote in item.votes if vote.principle_id == id])
            if label is not None:
                by_principle.setdefault(id, []).append((item.comparison.prompt_id, label))
    n_of: Mapping[str, int] = figures["origins"]
    return LabelSummary(
        stage=stage,
        audit=decode(Audit, figures["audit"]),
        origins=tuple(OriginCount(origin, n_of[origin]) for origin in ORIGINS if origin in n_of),
        n_unread=figures["n_unlabelled"],
        histogram=tuple(
            HistogramBin(low, high, n) for low, high, n in zip(edges, edges[1:], counts, strict=False)
        ),
        per_principle=tuple(PrincipleLabels(id, _mean(own)) for id, own in sorted(by_principle.items())),
        examples=tuple(item for own in drawn.values() for item in own),
    )


def _mean(labels: Sequence[tuple[str, float]]) -> Estimate | None:
    """Return the mean of (prompt, label) with an interval over prompts, or None for fewer than two."""
    prompts = [prompt for prompt, _ in labels]
    if len(set(prompts)) < 2:
        return None
    return bootstrap_mean([label for _, label in labels], clusters=prompts, seed=0)


def _pareto(evaluated: Mapping[str, Any]) -> ParetoChart | None:
    """Return the judge's chart; the preference model's is in the manifest."""
    charts = (decode(ParetoChart, row) for row in evaluated.get("frontiers", ()))
    return next((chart for chart in charts if chart.judge == evaluated["judge"]), None)


_MONITORS = (
    ("evasive", "evasive openings", "share", "Answers that begin by refusing or dodging."),
    ("refusals", "refusal openings", "share", "Answers that begin with a refusal or an apology for one."),
    ("boilerplate", "boilerplate", "share", "Answers that console by formula: a sign of over-training."),
    ("accusatory", "accusatory answers", "share", "Answers that rebuke the user: a sign of over-training."),
    ("words", "words an answer", "number", "Mean length."),
    ("repetition", "repetition", "share", "Mean share of an answer's 4-word runs that came before in it."),
    ("shared_endings", "shared endings", "share", "Answers that end like another one: collapse shows here."),
)  # fmt: skip


def _measurements(monitors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[Measurement, ...]:
    purposes = dict.fromkeys(purpose for by_purpose in monitors.values() for purpose in by_purpose)
    return tuple(
        Measurement(
            name=f"{title}, {purpose} prompts",
            unit="share" if unit == "share" else "number",
            values=tuple(
                PolicyValue(policy, _estimate(by_purpose[purpose].get(key)))
                for policy, by_purpose in monitors.items()
                if purpose in by_purpose
            ),
            note=note,
        )
        for purpose in purposes
        for key, title, unit, note in _MONITORS
    )


def _samples(run: Run) -> tuple[SampleAnswers, ...]:
    answers = read_records(run.stage_path("evaluate") / ANSWERS, Answer)
    by_prompt: dict[str, list[Answer]] = {}
    for answer in answers:
        by_prompt.setdefault(answer.prompt.id, []).append(answer)
    purposes = dict.fromkeys(own[0].prompt.purpose for own in by_prompt.values())
    shown = [
        own
        for purpose in purposes
        for own in [own for own in by_prompt.values() if own[0].prompt.purpose == purpose][: _N_SAMPLES // 2]
    ]
    return tuple(
        SampleAnswers(
            own[0].prompt.id,
            own[0].prompt.messages,
            tuple(PolicyAnswer(answer.model, answer.text) for answer in own),
        )
        for own in shown
    )


def _estimate(value: Any) -> Estimate | None:
    return None if value is None else decode(Estimate, value)
