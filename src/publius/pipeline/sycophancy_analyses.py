"""Carry out the analyses of sycophancy in a run directory, each as a stage of its own.

`stages/sycophancy-features`: what preferences reward. `stages/sycophancy-best-of-n`: what preference models
pick from more samples. `stages/sycophancy-misconceptions`: truth against convincing falsehood. Preference
models meet the evaluation here, as callables; a prompted one is the same weights behind a prefix.

Paper: Sharma et al. 2023, arXiv:2310.13548, §4.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from publius import __version__
from publius.engines.protocol import Sampling
from publius.errors import DataError
from publius.evaluate.sycophancy import analyses
from publius.evaluate.sycophancy.best_of_n import Curve, Pool, measure_curves
from publius.evaluate.sycophancy.features import Feature, load_features
from publius.evaluate.sycophancy.feedback import FORM
from publius.evaluate.sycophancy.load import draw_items, load_items
from publius.evaluate.sycophancy.misconceptions import load_misconceptions
from publius.evaluate.sycophancy.nuts import NutsConfig, open_nuts
from publius.evaluate.sycophancy.pools import CuedItem, n_verdicts, pool_items
from publius.evaluate.sycophancy.prompts import prompts_hash
from publius.evaluate.sycophancy.replies import Sampler
from publius.feedback.audit import draw_audit
from publius.judge import claims_hash, templates_hash
from publius.pipeline.alone import Alone, Asked, n_votes, open_order
from publius.pipeline.recipe import ModelRole, Recipe
from publius.pipeline.rewards import PreferenceModels
from publius.pipeline.runner import Listener
from publius.pipeline.sycophancy import VOTES_TODO, check_roles
from publius.records import content_hash, derive_seed, encode, records_hash
from publius.sources import load_comparisons
from publius.store import Budget, Journal, StageManifest, StageResult, StageStore, iter_records


@dataclass(frozen=True)
class Analysis:
    """An analysis ready to run: its name, who is asked for what, calls at most, and the work itself.

    `calls` are by role; `told` is what decides the result besides the models.
    """

    name: str
    recipe: Recipe
    roles: dict[str, ModelRole]
    abilities: dict[str, tuple[str, ...]]
    items: int
    calls: dict[str, int]
    told: list[Any]
    work: Callable[[StageStore, Mapping[str, Any]], Any]


def features_analysis(
    recipe: Recipe,
    *,
    judge: ModelRole,
    source: str,
    n: int = 0,
    features: Path | None = None,
    drops_features: bool = False,
    nuts: NutsConfig,
) -> Analysis:
    """Return the analysis of what people's preferences in `source` reward; `n` pairs are drawn (0: all).

    Raises:
        DataError: There are no preferences by people, or no features.
        MissingExtra: numpyro is not installed.
    """
    draw = open_nuts(nuts)
    chosen: tuple[Feature, ...] = load_features(features)
    loaded = load_comparisons(source)
    if not loaded.preferences:
        raise DataError(f"none of the {loaded.n_rows} rows can be used", where=source)
    preferences = draw_audit(loaded.preferences, n, seed=recipe.seed)

    def work(store: StageStore, engines: Mapping[str, Any]) -> Any:
        return analyses.run_features(
            store,
            preferences,
            chosen,
            source=source,
            left_out=loaded.left_out(),
            judge=engines["judge"],
            draw=draw,
            drops_features=drops_features,
        )

    return Analysis(
        "sycophancy-features",
        recipe,
        {"judge": judge},
        {"judge": ("choose",)},
        len(preferences),
        {"judge": n_votes(judge) * 2 * len(chosen) * len(preferences)},
        [records_hash(preferences), chosen, drops_features, nuts, source],
        work,
    )


def best_of_n_analysis(
    recipe: Recipe,
    *,
    subject: ModelRole,
    judge: ModelRole,
    sources: Sequence[str],
    n: int = 0,
    n_samples: int,
    sampling: Sampling,
    models: PreferenceModels,
) -> Analysis:
    """Return the analysis of best-of-N on the answer, mimicry and feedback items of `sources`.

    Raises:
        DataError: There are no such items, or a prefix is not there.
    """
    models.check()
    items = pool_items(
        draw_items((item for spec in sources for item in load_items(spec).items), n, seed=recipe.seed)
    )
    if not items:
        raise DataError("there are no items of these tests", where=", ".join(sources))

    def work(store: StageStore, engines: Mapping[str, Any]) -> Any:
        return analyses.run_best_of_n(
            store,
            items,
            sampler=Sampler(sampling, store.seed),
            n_samples=n_samples,
            subject=engines["subject"],
            judge=engines["judge"],
            rewards=models.rewards(store.journal),
        )

    n_judged = n_votes(judge) * sum(n_verdicts(item, n=n_samples) for item in items)
    n_bare = len({item.id for item in items if isinstance(item, CuedItem)})
    return Analysis(
        "sycophancy-best-of-n",
        recipe,
        {"subject": subject, "judge": judge},
        {"subject": ("generate",), "judge": ("choose",)},
        len(items),
        {"subject": len(items) * n_samples + n_bare, "judge": n_judged},
        [records_hash(items), n_samples, sampling, models.identity(), templates_hash(FORM)],
        work,
    )


def misconceptions_analysis(
    recipe: Recipe,
    *,
    believer: ModelRole,
    judge: ModelRole | None,
    source: str,
    n: int = 0,
    n_bins: int,
    models: PreferenceModels,
) -> Analysis:
    """Return the analysis of truth against convincing falsehood; `judge` None leaves the judge's side out.

    `n` misconceptions are drawn (0: all).

    Raises:
        DataError: There are no misconceptions, or a prefix is not there.
    """
    models.check()
    items = sorted(
        load_misconceptions(source), key=lambda item: derive_seed(recipe.seed, "misconceptions", item.id)
    )[: n or None]

    def work(store: StageStore, engines: Mapping[str, Any]) -> Any:
        return analyses.run_misconceptions(
            store,
            items,
            source=source,
            n_bins=n_bins,
            believer=engines["believer"],
            judge=engines.get("judge"),
            rewards=models.rewards(store.journal),
        )

    roles = {"believer": believer} | ({"judge": judge} if judge else {})
    return Analysis(
        "sycophancy-misconceptions",
        recipe,
        roles,
        dict.fromkeys(roles, ("choose",)),
        len(items),
        {name: n_votes(role) * len(items) * (4 if name == "judge" else 1) for name, role in roles.items()},
        [records_hash(items), n_bins, models.identity(), templates_hash(analyses.FORM)],
        work,
    )


def run_analysis(
    analysis: Analysis,
    out: Path,
    listener: Listener,
    *,
    budget: Budget | None = None,
    journal: Journal | None = None,
) -> StageManifest:
    """Carry out an analysis in the run directory `out`; its report is the manifest's `figures`.

    `journal` is an experiment's: what two analyses ask alike is then asked once.

    Raises:
        PubliusError: Something is wrong; what was asked is kept, the same command goes on.
    """
    check_analysis(analysis)
    roles, recipe = analysis.roles, analysis.recipe
    with open_order(
        analysis.name, tuple(roles.values()), out, listener, budget, recipe=recipe, journal=journal
    ) as opened:
        engines = {name: opened.context.engine(role) for name, role in roles.items()}

        def work(store: StageStore) -> StageResult:
            return StageResult(analysis.items, figures=encode(analysis.work(store, engines)))

        wording = [prompts_hash(), claims_hash()]
        models = {name: engine.model for name, engine in engines.items()}
        decided = [__version__, analysis.name, analysis.told, models, wording, recipe.seed]
        alone = Alone(
            analysis.name,
            inputs=content_hash(decided),
            order=content_hash([analysis.told, roles]),
            asked=tuple(Asked(role, engines[name], analysis.abilities[name]) for name, role in roles.items()),
            seed=recipe.seed,
            votes=VOTES_TODO,
        )
        return opened.carry_out(alone, work)


def check_analysis(analysis: Analysis) -> None:
    """Refuse what can be refused without a model.

    Raises:
        PubliusError: What is wrong.
    """
    check_roles(analysis.roles.items())


def stored_curves(path: Path, *, seed: int) -> tuple[Curve, ...]:
    """Return the best-of-N curves of pools that are stored already; nothing is asked.

    Raises:
        StoreError: There is no such file, or a row is no pool.
        DataError: There are no pools, or a pool has another number of rewards than of values.
    """
    pools = tuple(iter_records(path, Pool))
    if not pools:
        raise DataError("there are no pools", where=path)
    return measure_curves(pools, seed=seed)
