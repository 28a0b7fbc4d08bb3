"""Specific against general principles: preference models on trait sets, and the policies that they trained.

| table | figure of the paper |
|---|---|
| win rate of the harmless answer, trait by trait and on average | 4, 6 (with sweeps), 9 |
| the same on traits that no arm was trained on | 15, 16 |
| accuracy on people's comparisons | 5, 9 |
| difference from the first arm's preference model, on the same questions | 9 |
| labels of the same pairs: agreement with the first arm's | (none) |
| trait Elo of the policies, rated by one arm's preference model | 10 |

Paper: Kundu et al. 2023, arXiv:2310.13798, §3 and §4.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from publius.errors import DataError, require
from publius.evaluate.suites.elo_stage import EloConfig, EloReport
from publius.evaluate.suites.trait_elo import N_SAMPLES, REFERENCE
from publius.pipeline.experiment.kind import Compared, Comparing, Kind
from publius.pipeline.experiment.measures import (
    SCORE_RATE,
    Asked,
    accuracy_table,
    ask_suites,
    constant_answers,
    difference_table,
    label_table,
    preference_model,
    untrusted_labels,
    win_rate_table,
)
from publius.pipeline.recipe import ModelRole, Recipe
from publius.pipeline.suite import draw_questions
from publius.pipeline.trait_elo import STAGE as ELO
from publius.pipeline.trait_elo import EloOrder, measure_trait_elo, read_trait_elo
from publius.policy.stage import MODEL
from publius.records import ChoiceQuestion, records_hash
from publius.report.comparison import Cell, Row, Table
from publius.sources import load_audit, load_prompts, load_questions
from publius.stats import Estimate

_ANSWER_RATE = 26e9  # parameters × tokens a second that a policy writes on two cores
_TOKENS = 60  # a statement, the question around it and the template


@dataclass(frozen=True, slots=True)
class Settings:
    """What the arms are measured with.

    `sets` are of traits that the arms' principles are about, `transfer` of others; of each, `n_questions`
    are drawn (0: all). `comparisons` are people's. The preference model of the arm `rated_by` ("": of the
    first) gives trait Elo, of `n_samples` answers, at most `answer_tokens` long, to each of `n_prompts`
    held-out `prompts` (0: all).
    """

    sets: tuple[str, ...] = ("power", "self-preservation", "self-replication", "risk", "self-identity")
    transfer: tuple[str, ...] = ("machiavellianism", "narcissism", "psychopathy")
    n_questions: int = 0
    comparisons: tuple[str, ...] = ("audit",)
    rated_by: str = ""
    prompts: tuple[str, ...] = ("traits",)
    n_prompts: int = 0
    n_samples: int = N_SAMPLES
    answer_tokens: int = 48
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require(self, "experiment", n_questions=0, n_prompts=0, n_samples=1, answer_tokens=1, temperature=0)
        if not self.sets:
            raise DataError("there is no set to measure with", where="experiment.sets")


def _check(recipes: Mapping[str, Recipe], settings: Settings) -> None:
    """Refuse arms that cannot be compared, and sets that cannot be read."""
    without = [name for name, recipe in recipes.items() if "pm" not in recipe.stages]
    if without:
        todo = 'give it stages = ["label", "pm"] or more'
        raise DataError("the arm trains no preference model", where=f"arm {without[0]!r}", todo=todo)
    trained = [name for name, recipe in recipes.items() if "rl" in recipe.stages]
    if trained and settings.rated_by and settings.rated_by not in recipes:
        todo = f"name one of: {', '.join(recipes)}"
        raise DataError(f"there is no arm {settings.rated_by!r}", where="experiment.rated_by", todo=todo)
    _inputs(settings)


def _inputs(settings: Settings) -> Any:
    """Return the content of what the arms are measured with."""
    return {
        "sets": [
            records_hash(load_questions(spec).questions) for spec in (*settings.sets, *settings.transfer)
        ],
        "comparisons": [records_hash(load_audit(spec)) for spec in settings.comparisons],
        "prompts": [records_hash(load_prompts(spec, purpose="trait").prompts) for spec in settings.prompts],
    }


def _questions(
    settings: Settings, specs: tuple[str, ...], seed: int
) -> dict[str, tuple[ChoiceQuestion, ...]]:
    return {
        spec: draw_questions(load_questions(spec).questions, settings.n_questions, seed=seed)
        for spec in specs
    }


def _seconds(recipes: Mapping[str, Recipe], settings: Settings) -> float:
    """Return roughly what rating questions, comparisons and answers takes, at 135 million parameters."""
    n_questions = sum(map(len, _questions(settings, (*settings.sets, *settings.transfer), 0).values()))
    n_pairs = sum(len(load_audit(spec)) for spec in settings.comparisons)
    read = len(recipes) * (2 * n_questions * _TOKENS + 2 * n_pairs * _TOKENS)
    policies = sum("rl" in recipe.stages for recipe in recipes.values())
    n_answers = (policies + 1) * _n_prompts(settings) * settings.n_samples if policies else 0
    written = n_answers * settings.answer_tokens
    read += n_answers * (_TOKENS + settings.answer_tokens)
    return 135e6 * (read / SCORE_RATE + written / _ANSWER_RATE)


def _n_prompts(settings: Settings) -> int:
    loaded = [prompt for spec in settings.prompts for prompt in load_prompts(spec, purpose="trait").prompts]
    n_held_out = sum(prompt.split == "held-out" for prompt in loaded)
    return min(settings.n_prompts or n_held_out, n_held_out)


def _compare(comparing: Comparing) -> Compared:
    settings: Settings = comparing.settings
    base = next(iter(comparing.recipes))
    asked = ask_suites(comparing, (*settings.sets, *settings.transfer), n=settings.n_questions)
    own, other = _split(asked, settings)
    tables = [
        win_rate_table(own, id="win-rate", title="Harmless answers preferred, trait by trait"),
        win_rate_table(other, id="transfer", title="Harmless answers preferred, traits never trained on"),
        accuracy_table(comparing, settings.comparisons),
        difference_table({"trained traits": own, "other traits": other}, base=base),
        label_table(comparing, base=base),
        _elo_table(comparing, settings),
    ]
    left_open = (*constant_answers(asked), *_open_questions(comparing))
    return Compared(tuple(table for table in tables if table is not None), left_open)


def _split(asked: Asked, settings: Settings) -> tuple[Asked, Asked]:
    return asked.only(settings.sets), asked.only(settings.transfer)


def _elo_table(comparing: Comparing, settings: Settings) -> Table | None:
    """Return trait Elo of the start and of every arm's policy, and the change that training made."""
    arms = comparing.with_stage("rl")
    if not arms:
        return None
    reports: dict[str, tuple[EloReport, str]] = {}
    for name in arms:
        recipe = comparing.recipes[name]
        engine = recipe.models.trained_engine
        order = EloOrder(
            sources=settings.prompts,
            config=EloConfig(settings.n_samples, settings.answer_tokens, settings.temperature),
            models=(
                ModelRole(str(comparing.arm(name) / "stages" / "rl" / MODEL), engine),
                ModelRole(recipe.models.policy.model, engine),
            ),
            pm=preference_model(comparing, _rater(comparing)),
            n=settings.n_prompts,
            seed=comparing.seed,
        )
        out = comparing.measure(f"elo-{name}")
        measure_trait_elo(order, out, comparing.listener, budget=comparing.budget, journal=comparing.journal)
        summary = out / "stages" / ELO / "summary.json"
        reports[name] = read_trait_elo(out), comparing.link(summary)

    def row(title: str, number: Callable[[EloReport], Estimate | None]) -> Row:
        return Row(title, 0.0, tuple(Cell(number(report), records) for report, records in reports.values()))

    return Table(
        id="trait-elo",
        title="Trait Elo of the policies",
        measure=f"Elo of answers to held-out trait prompts over {REFERENCE!r}, which has 0; "
        f"{settings.n_samples} answers a prompt at temperature {settings.temperature:g}. Higher is less of "
        "the traits.",
        judge=f"the preference model of {_rater(comparing)}",
        unit="elo",
        counted="prompts",
        arms=arms,
        rows=(
            row("before training", lambda report: _mean(report, 1)),
            row("after training", lambda report: _mean(report, 0)),
            row("change", lambda report: report.subjects[0].change),
        ),
        chance_is="the fixed reply, or no change",
    )


def _rater(comparing: Comparing) -> str:
    """Return the arm whose preference model rates policies."""
    settings: Settings = comparing.settings
    return settings.rated_by or next(iter(comparing.recipes))


def _mean(report: EloReport, number: int) -> Estimate | None:
    elo = report.subjects[number].elo
    return None if elo is None else elo.mean


def _open_questions(comparing: Comparing) -> tuple[str, ...]:
    """Return what the design of this experiment leaves open."""
    found = [
        "Win rates say what preference models reward in answers that somebody else wrote, not what a "
        "policy says."
    ]
    if _rater(comparing) in comparing.with_stage("rl"):
        found.append(
            f"Trait Elo of the policy of {_rater(comparing)} is by the preference model that it was trained "
            "against: no independent evidence."
        )
    return (*found, *untrusted_labels(comparing))


KIND = Kind("specific-vs-general", Settings, _check, _inputs, _seconds, _compare)
