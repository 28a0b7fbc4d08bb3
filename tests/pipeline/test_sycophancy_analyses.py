"""A preference model and its prompted view meet the evaluation as callables; weights and prefixes count."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from publius.engines.protocol import Sampling
from publius.engines.scripted import ScriptedEngine
from publius.errors import DataError
from publius.pipeline import rewards
from publius.pipeline.recipe import load_recipe
from publius.pipeline.rewards import PreferenceModels, rate_each
from publius.pipeline.sycophancy_analyses import Analysis, best_of_n_analysis, misconceptions_analysis
from publius.preference.loading import load_preference_model
from publius.preference.prompted import PREFIXES, prompted
from publius.preference.score import PreferenceModel
from publius.records import Conversation, conversation
from publius.store import Journal, StageStore

pytestmark = pytest.mark.tiny


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


def test_rewards_differ_by_the_prefix_alone(tiny_pm_dir: Path, journal: Journal) -> None:
    models = PreferenceModels(tiny_pm_dir, ("", "truthful"))
    talks = [conversation(("user", "Is it?"), ("assistant", text)) for text in ("Yes.", "No, it is not.")]
    plain, behind = (reward(talks) for reward in models.rewards(journal).values())
    assert list(models.rewards(journal)) == ["model", "model, prompted: truthful"]
    pm = load_preference_model(tiny_pm_dir)
    assert plain == pytest.approx(pm.score(talks))
    assert behind == pytest.approx(prompted(pm, PREFIXES["truthful"]).score(talks))
    assert plain != pytest.approx(behind)


def test_a_conversation_that_is_too_long_has_no_reward_and_the_others_do(
    tiny_pm_dir: Path, journal: Journal
) -> None:
    talks = [conversation(("user", "Is it?"), ("assistant", text)) for text in ("Yes.", "so " * 5000)]
    for reward in PreferenceModels(tiny_pm_dir, ("", "truthful")).rewards(journal).values():
        short, long = reward(talks)
        assert short is not None
        assert long is None


def test_the_prefix_is_part_of_what_decides_a_result(tiny_pm_dir: Path, journal: Journal) -> None:
    one, two = (PreferenceModels(tiny_pm_dir, prefixes) for prefixes in (("",), ("", "truthful")))
    assert one.identity() != two.identity()
    assert PreferenceModels(None).rewards(journal) == {}
    with pytest.raises(DataError, match="rosy"):
        PreferenceModels(tiny_pm_dir, ("rosy",)).check()


def analysis(kind: str, pm: Path) -> Analysis:
    recipe, models = load_recipe("demo", environment={}), PreferenceModels(pm, ("", "truthful"))
    role = recipe.models.policy
    if kind == "misconceptions":
        return misconceptions_analysis(
            recipe,
            believer=role,
            judge=None,
            source="sycophancy_misconceptions",
            n=4,
            n_bins=1,
            models=models,
        )
    return best_of_n_analysis(
        recipe,
        subject=role,
        judge=role,
        sources=("sycophancy_questions",),
        n=4,
        n_samples=3,
        sampling=Sampling(9),
        models=models,
    )


@pytest.mark.parametrize("kind", ["best-of-n", "misconceptions"])
def test_a_killed_analysis_does_not_score_again(
    kind: str,
    tiny_pm_dir: Path,
    journal: Journal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n_rewards = 2 * 4 * 3  # with and without the prefix, of each item three texts
    scored: Counter[tuple[int, Conversation]] = Counter()
    killed = iter((False, True))

    def counting(model: PreferenceModel, conversations: Sequence[Conversation]) -> list[float | str]:
        if next(killed, False):
            raise KeyboardInterrupt
        scored.update((len(model.prefix), one) for one in conversations)
        return rate_each(model, conversations)

    monkeypatch.setattr(rewards, "rate_each", counting)
    asked = analysis(kind, tiny_pm_dir)
    store = StageStore(asked.name, tmp_path, journal, 0, lambda *_: None)

    def carry_out() -> Any:
        engine = ScriptedEngine(lambda request: request.id)  # every sample another one
        return asked.work(store, dict.fromkeys(asked.roles, engine))

    with pytest.raises(KeyboardInterrupt):
        carry_out()
    assert 0 < scored.total() < n_rewards
    report = carry_out()
    assert scored.total() == n_rewards
    assert set(scored.values()) == {1}
    assert carry_out() == report
    assert scored.total() == n_rewards
