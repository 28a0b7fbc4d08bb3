"""Elo ratings of models from judged games: Bradley–Terry strengths, with intervals over prompts.

Sign: a positive difference means the first model is preferred; 100 Elo points are a 64 % win rate.

Paper: Bai et al. 2022, arXiv:2204.05862 (win rate from Elo; "Elo scores" fitted to all comparisons),
used in arXiv:2212.08073, Figs. 2, 3, 8, and arXiv:2310.13798, Figs. 2, 11. Departures:

- All games of one pair on one prompt (both orders, repeated samples) count as one observation, their
  weighted mean: they share the prompt and are not independent.
- Intervals resample prompts, by the Bayesian bootstrap (Rubin 1981, Annals of Statistics 9:130): each
  draw weighs every prompt by an exponential variate. No draw loses a prompt, so none can separate
  models that the games connect, and no draw runs to infinity alone.
- When a model never loses or never wins (less than a millionth of its games), its strength is infinite.
  Then, and only then, one imaginary prompt is added on which the two of every observed pair won once
  each; it is resampled like a real prompt, so an end that the games do not bound is far away, and
  `regularised` is True. Pairs that never met get nothing: the prior links no models that no game links.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from publius.errors import DataError
from publius.stats.bradley_terry import components, fit_strengths, has_finite_fit, unbeaten
from publius.stats.intervals import (
    Estimate,
    Floats,
    Resampling,
    check_resampling,
    chunk_sizes,
    percentile_tail,
)

ELO_PER_NAT = 400 / math.log(10)  # 173.7: "ΔElo ≈ 174·ΔPM", Bai et al. 2022, arXiv:2204.05862


@dataclass(frozen=True, slots=True)
class Game:
    """One judgement of two models' answers to one prompt.

    `score_left` in [0, 1] is 1 when left won, 0.5 for a tie, and may be soft (a judge's probability).
    `weight` is in games, between a thousandth and a thousand.
    """

    left: str
    right: str
    score_left: float
    prompt_id: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a game that nobody could have played."""
        where = f"game {self.left!r} against {self.right!r} on prompt {self.prompt_id!r}"
        if self.left == self.right:
            raise DataError("a model cannot play against itself", where=where)
        if not 0 <= self.score_left <= 1:
            raise DataError(f"score_left={self.score_left!r} is not between 0 and 1", where=where)
        if not 1e-3 <= self.weight <= 1e3:
            raise DataError(f"weight={self.weight!r} is not between 0.001 and 1000", where=where)


@dataclass(frozen=True, slots=True)
class Rating:
    """One model's rating in Elo points.

    `elo` is on the scale on which the anchor is 0; its interval is that of the model against the
    average of all models, so the anchor's own luck does not widen it. `difference` is the same value
    with the interval of the difference to the anchor (0, 0 for the anchor itself): read it to tell
    whether the model beats the anchor. `n` of both counts the prompts that the model played on;
    `n_games` counts its games as they came in.
    """

    model: str
    elo: Estimate
    difference: Estimate
    n_games: int


@dataclass(frozen=True, slots=True)
class RatingTable:
    """Ratings from the strongest model to the weakest, and what they rest on.

    `regularised` says that some model never lost or never won, so that the ratings are finite only
    through a prior: read the ends of their intervals, not their values.
    """

    ratings: tuple[Rating, ...]
    anchor: str
    n_games: int
    n_prompts: int
    n_resamples: int
    regularised: bool

    def of(self, model: str) -> Rating:
        """Return the rating of one model.

        Raises:
            DataError: The model played no game.
        """
        for rating in self.ratings:
            if rating.model == model:
                return rating
        raise DataError(f"{model!r} has no rating", todo=f"one of {[r.model for r in self.ratings]}")


class _Schedule(NamedTuple):
    """The games as numbers: wins of each side of each observed pair, per prompt.

    `wins_P2K[p, k]` is what the first of pair k won on prompt p and `wins_P2K[p, K + k]` the second.
    """

    models: tuple[str, ...]
    pairs_K2: tuple[tuple[int, int], ...]
    wins_P2K: Floats
    n_games: dict[str, int]
    n_prompts: dict[str, int]


def elo_to_win_rate(difference: float) -> float:
    """Return the win rate in (0, 1) of a model that is `difference` Elo points stronger.

    >>> round(elo_to_win_rate(100), 3)
    0.64
    """
    # through exp on the negative side only, so that no difference overflows
    odds = math.exp(-abs(difference) / ELO_PER_NAT)
    return 1 / (1 + odds) if difference >= 0 else odds / (1 + odds)


def win_rate_to_elo(win_rate: float) -> float:
    """Return how many Elo points stronger a model with this win rate is.

    Raises:
        DataError: The win rate is not strictly between 0 and 1: no finite difference explains it.

    >>> round(win_rate_to_elo(0.64))
    100
    """
    if not 0 < win_rate < 1:
        raise DataError(f"a win rate of {win_rate!r} has no finite Elo", todo="give its interval instead")
    return ELO_PER_NAT * (math.log(win_rate) - math.log1p(-win_rate))


def fit_bradley_terry(games: Iterable[Game], *, prior: float = 0.0) -> dict[str, float]:
    """Return each model's log-strength (natural log), strongest first; they sum to zero.

    P(i beats j) = 1 / (1 + exp(θ_j − θ_i)). `prior` is how many games each side of every observed
    pair is imagined to have won; 0 is the plain maximum of the likelihood.

    Raises:
        DataError: There are no games, some models are linked by none, or, without a prior, some
            model's strength is infinite.

    >>> {m: round(s, 3) for m, s in fit_bradley_terry([Game("a", "b", 0.8, "p")]).items()}
    {'a': 0.693, 'b': -0.693}
    """
    if not (prior >= 0 and math.isfinite(prior)):
        raise DataError(f"prior={prior!r} is not a number of games", todo="use 0 or above")
    schedule = _scheduled(games)
    totals = schedule.wins_P2K.sum(axis=0, keepdims=True) + prior
    wins_RMM = _matrices(totals, schedule)
    if not has_finite_fit(wins_RMM)[0]:
        group = [schedule.models[i] for i in unbeaten(wins_RMM[0])[0]]
        raise DataError(
            f"{group} never lost to the other models: strengths are infinite",
            todo="add games, or pass prior=1.0 (one win each way for every observed pair)",
        )
    strengths = fit_strengths(wins_RMM)[0].tolist()
    ranked = sorted(zip(strengths, schedule.models, strict=True), key=lambda item: (-item[0], item[1]))
    return {model: strength for strength, model in ranked}


def elo(
    games: Iterable[Game], *, anchor: str, n_resamples: int = 1000, level: float = 0.95, seed: int
) -> RatingTable:
    """Return the models' Elo ratings with intervals over prompts; the anchor's rating is 0.

    The order of the games, and which model stands left, change nothing; the models' names nothing but
    rounding.

    Raises:
        DataError: There are no games, the anchor played none, no games link some models to the
            others (the message names the groups), or there are fewer than two prompts.

    >>> games = [Game("new", "old", score, f"p{i}") for i, score in enumerate([1, 1, 0.5, 0, 1, 1])]
    >>> table = elo(games, anchor="old", seed=0)
    >>> round(table.of("new").elo.value), table.of("old").elo.value, table.regularised
    (191, 0.0, False)
    """
    schedule = _scheduled(games)
    if anchor not in schedule.models:
        raise DataError(f"the anchor {anchor!r} played no game", todo=f"one of {list(schedule.models)}")
    resampling = Resampling(n_resamples, level, seed)
    check_resampling(resampling, len(schedule.wins_P2K))
    totals = schedule.wins_P2K.sum(axis=0, keepdims=True)
    regularised = not has_finite_fit(_matrices(totals, schedule))[0]
    if regularised:
        imaginary = np.ones((1, schedule.wins_P2K.shape[1]))
        schedule = schedule._replace(wins_P2K=np.vstack([schedule.wins_P2K, imaginary]))
        totals = totals + imaginary
    strength_M = fit_strengths(_matrices(totals, schedule))[0]
    draws_RM = _drawn_strengths(schedule, strength_M, resampling)
    ratings = _ratings(schedule, strength_M, draws_RM, schedule.models.index(anchor), level)
    return RatingTable(
        ratings=tuple(sorted(ratings, key=lambda rating: (-rating.elo.value, rating.model))),
        anchor=anchor,
        n_games=sum(schedule.n_games.values()) // 2,
        n_prompts=len(schedule.wins_P2K) - int(regularised),
        n_resamples=n_resamples,
        regularised=regularised,
    )


def _scheduled(games: Iterable[Game]) -> _Schedule:
    """Gather the games per prompt and pair; the order they come in leaves no trace, not even in rounding."""
    cells: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for game in games:
        flip = game.left > game.right
        first, second = (game.right, game.left) if flip else (game.left, game.right)
        score = 1 - game.score_left if flip else game.score_left
        cells.setdefault((game.prompt_id, first, second), []).append((game.weight, score))
    if not cells:
        raise DataError("there are no games to rate", todo="report the ratings as absent")
    models = tuple(sorted({model for _, *pair in cells for model in pair}))
    names = sorted({(first, second) for _, first, second in cells})
    row = {prompt: i for i, prompt in enumerate(sorted({prompt for prompt, _, _ in cells}))}
    column = {pair: k for k, pair in enumerate(names)}
    wins_P2K = np.zeros((len(row), 2 * len(names)))
    for (prompt, *pair), plays in cells.items():
        weight = math.fsum(weight for weight, _ in plays)
        won = math.fsum(weight * score for weight, score in plays)
        k = column[pair[0], pair[1]]
        # the mean of the games: a prompt judged in both orders weighs as much as one judged once
        wins_P2K[row[prompt], k] = won / len(plays)
        wins_P2K[row[prompt], len(names) + k] = max(0.0, weight - won) / len(plays)
    index = {model: i for i, model in enumerate(models)}
    schedule = _Schedule(
        models=models,
        pairs_K2=tuple((index[first], index[second]) for first, second in names),
        wins_P2K=wins_P2K,
        n_games={m: sum(len(plays) for key, plays in cells.items() if m in key[1:]) for m in models},
        n_prompts={m: len({key[0] for key in cells if m in key[1:]}) for m in models},
    )
    _check_connected(schedule)
    return schedule


def _check_connected(schedule: _Schedule) -> None:
    wins_MM = _matrices(schedule.wins_P2K.sum(axis=0, keepdims=True), schedule)[0]
    groups = components(wins_MM)
    if len(groups) > 1:
        named = "; ".join(", ".join(schedule.models[i] for i in group) for group in groups)
        raise DataError(
            f"no game links these groups of models, so they have no common scale: {named}",
            todo="judge at least one pair across the groups, or rate each group by itself",
        )


def _matrices(wins_R2K: Floats, schedule: _Schedule) -> Floats:
    """Spread wins per pair and side into matrices, shape (R, M, M): row beat column."""
    n_models, n_pairs = len(schedule.models), len(schedule.pairs_K2)
    first, second = np.array(schedule.pairs_K2).T
    wins_RMM = np.zeros((len(wins_R2K), n_models, n_models))
    wins_RMM[:, first, second] = wins_R2K[:, :n_pairs]
    wins_RMM[:, second, first] = wins_R2K[:, n_pairs:]
    return wins_RMM


def _drawn_strengths(schedule: _Schedule, start_M: Floats, resampling: Resampling) -> Floats:
    """Return the strengths in every draw of the Bayesian bootstrap over prompts, shape (draws, M)."""
    n_prompts = len(schedule.wins_P2K)
    cells = max(n_prompts, 8 * len(schedule.models) ** 2)  # the fit holds some eight M x M arrays per draw
    generator = np.random.default_rng(resampling.seed)
    parts: list[Floats] = []
    for size in chunk_sizes(resampling.n_resamples, cells):
        weights_RP = generator.standard_exponential((size, n_prompts))
        parts.append(fit_strengths(_matrices(weights_RP @ schedule.wins_P2K, schedule), start_M=start_M))
    return np.concatenate(parts)


def _ratings(
    schedule: _Schedule, strength_M: Floats, draws_RM: Floats, anchor: int, level: float
) -> Sequence[Rating]:
    tail = percentile_tail(len(schedule.wins_P2K), level)
    differences_M = ELO_PER_NAT * (strength_M - strength_M[anchor])
    # the draws' own gauge is the models' mean; moving them by one constant keeps that gauge
    own_RM = ELO_PER_NAT * (draws_RM - strength_M[anchor])
    gaps_RM = ELO_PER_NAT * (draws_RM - draws_RM[:, [anchor]])
    own_2M, gaps_2M = (np.quantile(draws, [tail, 1 - tail], axis=0) for draws in (own_RM, gaps_RM))
    ratings: list[Rating] = []
    for i, model in enumerate(schedule.models):
        value, n = float(differences_M[i]), schedule.n_prompts[model]
        own, gap = (
            Estimate(value=value, low=float(ends[0, i]), high=float(ends[1, i]), n=n, level=level)
            for ends in (own_2M, gaps_2M)
        )
        ratings.append(Rating(model=model, elo=own, difference=gap, n_games=schedule.n_games[model]))
    return ratings
