"""The ablations of Constitutional AI: revisions, principles, critiques, labels, and what RL adds to SL.

| table | figure of the paper |
|---|---|
| reward of drafts and revisions, by one arm's preference model | 5, 6 (`n_principles`), 7 (`mode`) |
| accuracy of preference models on people's comparisons (arms with `label.mode`) | §4.3 |
| Elo of SL-CAI and RL-CAI over the start, and of RL over SL | 2, 3, 8 |

Paper: Bai et al. 2022, arXiv:2212.08073, §3.3 to §3.5 and §4.3 to §4.4. Departure: the paper's preference
model of harmlessness has 52 billion parameters; here it is any arm's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from publius.errors import DataError
from publius.evaluate.play import Games
from publius.evaluate.rate import rate_games
from publius.evaluate.stage import AXES, GAMES, START
from publius.pipeline.experiment.kind import Compared, Comparing, Kind
from publius.pipeline.experiment.measures import (
    SCORE_RATE,
    accuracy_table,
    preference_model,
    untrusted_labels,
)
from publius.pipeline.recipe import Recipe
from publius.pipeline.rewards import rewards_of
from publius.records import Message, RevisionChain, records_hash
from publius.report.comparison import Cell, Row, Table
from publius.revise.stage import CHAINS
from publius.sources import load_audit
from publius.stats import Estimate, bootstrap_mean
from publius.stats.intervals import Resampling, bootstrap_difference
from publius.store import read_records, write_records

_TOKENS = 90  # a prompt and an answer
_SL, _RL = "sft", "rl"


@dataclass(frozen=True, slots=True)
class Settings:
    """`rated_by` is the arm whose preference model rates revisions: it should have learned from people.

    `comparisons` are people's, for the accuracy of all arms' preference models.
    """

    rated_by: str = "people"
    comparisons: tuple[str, ...] = ("audit",)


def _check(recipes: Mapping[str, Recipe], settings: Settings) -> None:
    """Refuse an experiment whose revisions nobody can rate."""
    rater = recipes.get(settings.rated_by)
    if rater is None or "pm" not in rater.stages:
        arms = ", ".join(name for name, recipe in recipes.items() if "pm" in recipe.stages) or "none has one"
        what = f"there is no arm {settings.rated_by!r} with a preference model"
        raise DataError(what, where="experiment.rated_by", todo=f"arms with the stage pm: {arms}")
    _inputs(settings)


def _inputs(settings: Settings) -> Any:
    """Return the content of the comparisons."""
    return [records_hash(load_audit(spec)) for spec in settings.comparisons]


def _seconds(recipes: Mapping[str, Recipe], settings: Settings) -> float:
    """Return roughly what rating revisions and comparisons takes, at 135 million parameters."""
    n_answers = sum(
        recipe.revise.n_red_team * (recipe.revise.rounds + 1)
        for recipe in recipes.values()
        if "revise" in recipe.stages
    )
    n_models = sum("pm" in recipe.stages for recipe in recipes.values())
    n_answers += 2 * n_models * sum(len(load_audit(spec)) for spec in settings.comparisons)
    return n_answers * _TOKENS * 135e6 / SCORE_RATE


def _compare(comparing: Comparing) -> Compared:
    settings: Settings = comparing.settings
    tables = (
        _revision_table(comparing, settings),
        accuracy_table(comparing, settings.comparisons),
        _elo_table(comparing),
    )
    return Compared(
        tuple(table for table in tables if table is not None), _open_questions(comparing, settings)
    )


def _revision_table(comparing: Comparing, settings: Settings) -> Table | None:
    """Return the reward of the draft and of every revision, over the prompts of an arm."""
    arms = comparing.with_stage("revise")
    if not arms:
        return None
    rated = {arm: _rate_chains(comparing, settings, arm) for arm in arms}
    rounds = max(comparing.recipes[arm].revise.rounds for arm in arms)
    names = ["draft", *(f"revision {i}" for i in range(1, rounds + 1))]
    rows = [
        Row(name, None, tuple(Cell(_mean(rated[arm][0], i), rated[arm][1]) for arm in arms))
        for i, name in enumerate(names)
    ]
    gains = [
        Row(
            f"revision {i} less the draft",
            0.0,
            tuple(Cell(_gain(rated[arm][0], i), rated[arm][1]) for arm in arms),
        )
        for i in range(1, rounds + 1)
    ]
    return Table(
        id="revisions",
        title="Reward of drafts and revisions",
        measure="Mean reward of the answers to an arm's red-team prompts.",
        judge=f"the preference model of {settings.rated_by}",
        unit="number",
        counted="prompts",
        arms=arms,
        rows=(*rows, *gains),
        chance_is="no change",
    )


def _rate_chains(
    comparing: Comparing, settings: Settings, arm: str
) -> tuple[dict[str, list[float | None]], str]:
    """Return the rewards of each prompt's answers in order, None where there is none, and their file."""
    chains = read_records(comparing.arm(arm) / "stages" / "revise" / CHAINS, RevisionChain)
    answers = [(chain.prompt, text) for chain in chains for text in chain.answers()]
    comparing.listener.on_progress("revisions", arm, 0, len(answers))
    rate = rewards_of(preference_model(comparing, settings.rated_by), comparing.journal)
    rewards = rate([(*prompt.messages, Message("assistant", text)) for prompt, text in answers])
    found: dict[str, list[float | None]] = {}
    for (prompt, _), reward in zip(answers, rewards, strict=True):
        found.setdefault(prompt.id, []).append(None if isinstance(reward, str) else reward)
    file = comparing.measure(f"revisions-{arm}") / "rewards.jsonl"
    write_records(file, [{"prompt_id": id, "rewards": own} for id, own in found.items()])
    return found, comparing.link(file)


def _at(rated: Mapping[str, Sequence[float | None]], i: int) -> dict[str, list[float]]:
    """Return the reward of the i-th answer by prompt, where there is one."""
    return {id: [own[i]] for id, own in rated.items() if len(own) > i and own[i] is not None}  # pyright: ignore[reportReturnType] - None is left out


def _mean(rated: Mapping[str, Sequence[float | None]], i: int) -> Estimate | None:
    found = [reward for own in _at(rated, i).values() for reward in own]
    return bootstrap_mean(found, seed=0) if len(found) > 1 else None


def _gain(rated: Mapping[str, Sequence[float | None]], i: int) -> Estimate | None:
    after, before = _at(rated, i), _at(rated, 0)
    both = [id for id in after if id in before]
    if len(both) < 2:
        return None
    return bootstrap_difference({id: after[id] for id in both}, {id: before[id] for id in both}, seed=0)


def _elo_table(comparing: Comparing) -> Table | None:
    """Return Elo of the trained policies over the start, and of RL over SL, by each arm's own games."""
    arms = comparing.with_stage("evaluate")
    if not arms:
        return None
    judges = {comparing.recipes[arm].models.judge.model for arm in arms}
    found = {arm: _elo_rows(comparing, arm) for arm in arms}
    names = list(dict.fromkeys(name for own in found.values() for name in own))
    files = {arm: comparing.link(_games(comparing, arm)) for arm in arms}
    rows = tuple(
        Row(name, 0.0, tuple(Cell(found[arm].get(name), files[arm]) for arm in arms)) for name in names
    )
    return Table(
        id="elo",
        title="Elo of SL-CAI and RL-CAI",
        measure="Elo over the policy that is named, on held-out prompts; 100 points are a win rate of 64%.",
        judge=" and ".join(sorted(judges)),
        unit="elo",
        counted="prompts",
        arms=arms,
        rows=rows,
        chance_is="no difference",
    )


def _elo_rows(comparing: Comparing, arm: str) -> dict[str, Estimate]:
    judge = comparing.recipes[arm].models.judge.model
    played = {
        (one.axis, one.judge): one.games
        for one in read_records(_games(comparing, arm), Games)
        if one.judge == judge
    }
    resampling = Resampling(comparing.recipes[arm].evaluate.n_resamples, level=0.95, seed=comparing.seed)
    found: dict[str, Estimate] = {}
    for anchor, models in ((START, (_SL, _RL)), (_SL, (_RL,))):
        rated = rate_games(played, anchor=anchor, resampling=resampling)
        tables = {one.axis: one.ratings for one in rated.tables}
        for axis in AXES:
            ratings = tables.get(axis)
            if ratings is None or ratings.anchor != anchor:
                continue
            for rating in ratings.ratings:
                if rating.model in models:
                    found[f"{axis}, {rating.model} over {anchor}"] = rating.difference
    return found


def _games(comparing: Comparing, arm: str) -> Path:
    return comparing.arm(arm) / "stages" / "evaluate" / GAMES


def _open_questions(comparing: Comparing, settings: Settings) -> tuple[str, ...]:
    """Return what the design of this experiment leaves open."""
    found: list[str] = []
    pm = comparing.figures(settings.rated_by, "pm")
    accuracy = None if pm is None else pm["accuracy"]
    if accuracy is None or accuracy["low"] <= 0.5:
        told = "was not measured" if accuracy is None else f"is {accuracy['value']:.0%} (n = {accuracy['n']})"
        found.append(
            f"The accuracy on held-out comparisons of the preference model that rates revisions {told}: it "
            "cannot be told from chance, and neither can what it says of revisions."
        )
    evaluated = {arm: comparing.figures(arm, "evaluate") for arm in comparing.with_stage("evaluate")}
    own = [arm for arm, figures in evaluated.items() if figures is not None and figures["judge_is_labeller"]]
    if own:
        found.append(f"{', '.join(own)}: the judge also labelled what the policies learned from.")
    return (*found, *untrusted_labels(comparing))


KIND = Kind("paper-cai", Settings, _check, _inputs, _seconds, _compare)
