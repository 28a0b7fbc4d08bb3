"""The judges of an evaluation: their names in tables, and where those that are preference models lie.

Paper: none. Why several: `docs/ratings.md`.
"""

from collections.abc import Iterable
from pathlib import Path

from publius.errors import DataError
from publius.pipeline.recipe import Recipe
from publius.pipeline.rewards import check_preference_model
from publius.pipeline.rounds import all_of, in_round
from publius.preference.stage import PREFERENCE_MODEL
from publius.training.digest import weights_hash

OWN_PM = "preference model"
"""The name of the one that the run trains itself."""


def judge_pms(recipe: Recipe) -> dict[str, Path]:
    """Return the directories of the preference models that judge, by their names.

    Of a run it is the one that its last round's `pm` stage made.
    """
    found: dict[str, Path] = {}
    for judge in recipe.evaluate.judges:
        if judge.pm:
            found[judge.name] = _last_pm(Path(judge.pm)) or Path(judge.pm)
    return found


def _last_pm(run: Path) -> Path | None:
    """Return the preference model of a run's last round, None where `run` is no run that trained one."""
    names = (path.parent.name for path in run.glob(f"stages/*/{PREFERENCE_MODEL}"))
    made = all_of("pm", names)
    return run / "stages" / made[-1] / PREFERENCE_MODEL if made else None


def reward_paths(recipe: Recipe, run: Path, number: int) -> tuple[Path, ...]:
    """Return where the preference models of a round of a run's reinforcement learning lie."""
    own = run / "stages" / in_round("pm", number) / PREFERENCE_MODEL
    return tuple(Path(one.pm) if one.pm else own for one in recipe.rl.reward_models())


def paying_models(recipe: Recipe, run: Path, rounds: Iterable[int]) -> frozenset[str]:
    """Return the hashes of the preference models that paid a run's policy in some rounds.

    Raises:
        DataError: One of them is not there any more.
    """
    return frozenset(map(weights_hash, paying_paths(recipe, run, rounds)))


def paying_paths(recipe: Recipe, run: Path, rounds: Iterable[int]) -> tuple[Path, ...]:
    """Return where the preference models lie that paid a run's policy in some rounds."""
    return tuple(
        path
        for number in rounds
        for one, path in zip(recipe.rl.reward_models(), reward_paths(recipe, run, number), strict=True)
        if one.weight
    )


def check_further_judges(recipe: Recipe) -> None:
    """Refuse a judge that has the name of another, and one whose preference model is not there.

    Raises:
        DataError: It is named.
    """
    taken = (recipe.models.judge.model, OWN_PM)
    for judge in recipe.evaluate.judges:
        if judge.name in taken:
            what = f"{judge.name!r} is a judge of this run already"
            raise DataError(what, where="evaluate.judges", todo="leave it out, or name another")
    for path in judge_pms(recipe).values():
        check_preference_model(path)
