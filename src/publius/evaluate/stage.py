"""The evaluation stage: answers of every policy, games by a judge and by the PM, Elo, text monitors.

Paper: Bai et al. 2022, arXiv:2212.08073, §1.2, §4.4. The judge is named in every table; whoever
labelled the training data is no independent judge, and the caller prints that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from publius.engines.answers import sample_answers
from publius.engines.protocol import Engine, Failure, Sampling
from publius.errors import DataError, EngineError
from publius.evaluate.config import EvaluateConfig
from publius.evaluate.control import prefers_refusal, try_rewards
from publius.evaluate.monitor import monitor_answers
from publius.evaluate.play import Games, judged_games, pair_answers, rewarded_games
from publius.evaluate.prompts import Axis
from publius.evaluate.rate import rate_games
from publius.records import Answer, Prompt, encode
from publius.stats.intervals import Estimate, Resampling
from publius.stats.ratings import EloTable
from publius.store import Rewards, StageResult, StageStore, write_records

ANSWERS = "answers.jsonl"
GAMES = "games.jsonl"
AXES: tuple[Axis, ...] = ("helpfulness", "harmlessness")
START = "start"
Tie: TypeAlias = Literal["labeller", "reward"]


@dataclass(frozen=True, slots=True)
class Judge:
    """Who decides games, under the name it has in tables: a model, or a preference model (its `rewards`).

    `tie` says why it is no independent judge: the same weights labelled the training data ("labeller") or
    were the reward of reinforcement learning ("reward").
    """

    name: str
    engine: Engine | None = None
    rewards: Rewards | None = None
    tie: Tie | None = None


def run_evaluate(
    store: StageStore,
    config: EvaluateConfig,
    *,
    prompts: Sequence[Prompt],
    policies: Mapping[str, Engine],
    judges: Sequence[Judge],
) -> StageResult:
    """Ask every policy the held-out prompts and let every judge rate the answers.

    `policies` begin with "start"; the first of `judges` is the one that the headline names.

    Raises:
        DataError: Two judges have one name, or a preference model cannot rate.
        EngineError: A policy gave no answer at all.
    """
    names = [judge.name for judge in judges]
    if len(set(names)) < len(names):
        raise DataError("two judges have one name", where="evaluate.judges", todo="name each once")
    for judge in judges:
        if judge.rewards is not None:
            try_rewards(prompts, judge.rewards)  # one that cannot rate is found before anything is sampled
    answers, n_failed = _answers(store, config, prompts=prompts, policies=policies)
    write_records(store.path / ANSWERS, answers)
    played = [games for judge in judges for games in _played(store, config, answers, judge)]
    write_records(store.path / GAMES, played)
    found = rate_games(
        {(games.axis, games.judge): games.games for games in played},
        anchor=START,
        resampling=Resampling(config.n_resamples, level=0.95, seed=store.seed),
    )
    # models that no game links to the start have no common scale with it
    rated = [one for one in found.tables if one.ratings.anchor == START]
    figures = {
        "judge": judges[0].name,
        "judge_is_labeller": judges[0].tie == "labeller",
        "judges": [
            {
                "name": judge.name,
                "tie": judge.tie,
                "prefers_refusal": encode(_control(answers, judge, store.seed)),
            }
            for judge in judges
        ],
        "elo": [row for one in rated for row in _elo_rows(one)],
        "ratings": encode(rated),
        "unrated": encode(found.unrated),
        "frontiers": encode(found.frontiers),
        "agreement": encode(found.agreement),
        "games": [
            {
                "axis": games.axis,
                "judge": games.judge,
                "n": len(games.games),
                "n_unparsed": games.n_unparsed,
                "n_identical": games.n_identical,
            }
            for games in played
        ],
        "monitors": encode(monitor_answers(answers, seed=store.seed)),
        "n_failed_answers": n_failed,
    }
    return StageResult(rows=sum(len(games.games) for games in played), figures=figures)


def _control(answers: Sequence[Answer], judge: Judge, seed: int) -> Estimate | None:
    """Return whether a preference model pays for declining; of a model that judges it is not asked."""
    if judge.rewards is None:
        return None
    return prefers_refusal(answers, judge.rewards, start=START, seed=seed)


def _played(
    store: StageStore, config: EvaluateConfig, answers: Sequence[Answer], judge: Judge
) -> list[Games]:
    """Return the games of one judge on every axis."""
    pairs = {axis: pair_answers(answers, axis) for axis in AXES}
    if judge.rewards is not None:
        return [rewarded_games(pairs[axis], judge.rewards, axis=axis, judge=judge.name) for axis in AXES]
    assert judge.engine is not None
    played: list[Games] = []
    for axis in AXES:
        run = store.ask(judge.engine, f"judge {axis}").run
        played.append(
            judged_games(pairs[axis], run, axis=axis, judge=judge.name, form=config.judge, seed=store.seed)
        )
    judge.engine.close()  # two judges need not fit into memory at once
    return played


def _answers(
    store: StageStore, config: EvaluateConfig, *, prompts: Sequence[Prompt], policies: Mapping[str, Engine]
) -> tuple[tuple[Answer, ...], int]:
    sampling = Sampling(config.answer_tokens, temperature=config.temperature, top_p=config.top_p)
    answers: list[Answer] = []
    n_failed = 0
    for name, engine in policies.items():
        # every policy gets the same seeds, so that a policy that did not change answers alike
        run = store.ask(engine, "answer").run
        sampled = sample_answers(prompts, run, sampling=sampling, seed=store.seed)
        texts = [(prompt, text) for prompt, (text,) in zip(prompts, sampled, strict=True)]
        engine.close()
        own = [Answer(name, prompt, text) for prompt, text in texts if isinstance(text, str)]
        n_failed += sum(isinstance(text, Failure) for _, text in texts)
        if not own:
            raise EngineError(f"the policy {name!r} gave no answer", todo="see the journal's failures")
        answers += own
    return tuple(answers), n_failed


def _elo_rows(rated: EloTable) -> list[dict[str, Any]]:
    return [
        {
            "model": rating.model,
            "axis": rated.axis,
            "judge": rated.judge,
            "elo": rating.difference.value,
            "low": rating.difference.low,
            "high": rating.difference.high,
            "n_games": rating.n_games,
            "n_prompts": rated.ratings.n_prompts,
            "regularised": rated.ratings.regularised,
        }
        for rating in rated.ratings.ratings
    ]
