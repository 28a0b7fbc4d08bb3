"""Preference models as the plain callables by which evaluations know them.

Paper: none. The prompted model is the same weights behind a prefix: Sharma et al. 2023, arXiv:2310.13548.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from publius.errors import DataError
from publius.pipeline.rounds import kind_of
from publius.preference.loading import check_rates_merit, load_harm_regressor, load_preference_model
from publius.preference.prompted import load_prefix, prompted
from publius.preference.score import PreferenceModel, Unscored
from publius.records import Conversation, content_hash, decode
from publius.stats.intervals import Estimate
from publius.store import Journal, Rewards, keep_rewards, read_manifest
from publius.training.digest import weights_hash
from publius.training.weights import has_chat_template


def rewards_of(path: Path, journal: Journal) -> Rewards:
    """Return what gives conversations their rewards, or why one has none; each is kept in the journal.

    The model loads when it is first asked what the journal does not know.
    """
    return _rating(path, journal, load_preference_model)


def harm_of(path: Path, journal: Journal) -> Rewards:
    """Return what gives conversations their harm by a regressor, as `rewards_of` does rewards."""
    return _rating(path, journal, load_harm_regressor)


def _rating(path: Path, journal: Journal, load: Callable[[Path], PreferenceModel]) -> Rewards:
    loaded: list[PreferenceModel] = []

    def rate(conversations: Sequence[Conversation]) -> list[float | str]:
        if not loaded:
            loaded.append(load(path))
        return rate_each(loaded[0], conversations)

    return keep_rewards(journal, weights_hash(path), rate)


def rate_each(model: PreferenceModel, conversations: Sequence[Conversation]) -> list[float | str]:
    """Return each conversation's reward, or why it has none."""
    scored = model.score_each(conversations)
    return [one.reason if isinstance(one, Unscored) else one for one in scored]


def check_preference_model(path: Path) -> None:
    """Refuse a directory in which no preference model lies; nothing is loaded.

    Raises:
        DataError: There is none, or another kind of model.
    """
    todo = "name the directory of one, such as stages/pm/model of a run (publius train pm)"
    if not (path / "config.json").is_file():
        raise DataError("there is no preference model", where=path, todo=todo)
    check_rates_merit(path)
    if not has_chat_template(path):
        raise DataError("the preference model has no tokenizer with a chat template", where=path, todo=todo)


def check_accuracy(path: Path, *, least: float) -> None:
    """Refuse a preference model that is right on held-out labels too seldom, with all of its interval.

    All of them together count, and those of each origin. Only the stage that trained it has measured that: of
    a model that lies elsewhere nothing is known.

    Raises:
        DataError: An accuracy is below `least`, a share in [0, 1].
    """
    stage = path.resolve().parent
    manifest = read_manifest(stage) if kind_of(stage.name) == "pm" else None
    if manifest is None or manifest.figures.get("accuracy") is None:
        return
    # labels by construction are easy and many: among all they would hide wrong ones that were asked for
    by_origin = manifest.figures.get("held_out", {}).get("accuracy_by_origin", [])
    for whose, found in (
        ("", manifest.figures["accuracy"]),
        *((f" ({origin})", own) for origin, own in by_origin),
    ):
        accuracy = decode(Estimate, found)
        if accuracy.high < least:
            share = f"{accuracy.value:.0%} [{accuracy.low:.0%}, {accuracy.high:.0%}]"
            raise DataError(
                f"the preference model is right on {share} of held-out labels{whose}, "
                f"n = {accuracy.n} prompts: surely below {least:.0%}",
                where=path,
                todo="look at its labels and their audit, or lower rl.least_pm_accuracy",
            )


@dataclass(frozen=True)
class PreferenceModels:
    """A preference model's directory and the prefixes to try before it; "" is none."""

    path: Path | None
    prefixes: tuple[str, ...] = ("",)

    def check(self) -> None:
        """Refuse prefixes that are not there.

        Raises:
            DataError: There is no such prefix.
        """
        for prefix in self.prefixes:
            if prefix:
                load_prefix(prefix)

    def rewards(self, journal: Journal) -> dict[str, Callable[[Sequence[Conversation]], list[float | None]]]:
        """Return a reward for every prefix, kept in the journal; the weights load when one is missing."""
        if self.path is None:
            return {}
        weights = weights_hash(self.path)
        return {
            f"{self.path.name}, prompted: {prefix}" if prefix else self.path.name: partial(
                _known,
                keep_rewards(
                    journal,
                    content_hash([weights, load_prefix(prefix)]) if prefix else weights,
                    partial(self._rate, prefix),
                ),
            )
            for prefix in self.prefixes
        }

    def identity(self) -> list[Any]:
        """Return what decides the rewards."""
        weights = weights_hash(self.path) if self.path else ""
        return [weights, [load_prefix(prefix) if prefix else () for prefix in self.prefixes]]

    def _rate(self, prefix: str, conversations: Sequence[Conversation]) -> list[float | str]:
        pm = self._loaded
        return rate_each(prompted(pm, load_prefix(prefix)) if prefix else pm, conversations)

    @cached_property
    def _loaded(self) -> PreferenceModel:
        assert self.path is not None
        return load_preference_model(self.path)


def _known(rate: Rewards, conversations: Sequence[Conversation]) -> list[float | None]:
    """Return each conversation's reward, None where it has none."""
    return [None if isinstance(one, str) else one for one in rate(conversations)]
