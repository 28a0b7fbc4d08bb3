"""Label modes: applied last, their bounds in any writing, ties on no side."""

import pytest

from publius.errors import DataError
from publius.feedback.config import LabelConfig
from publius.feedback.rule import LabelRule, apply_rule, side
from publius.judge import JudgeForm


@pytest.mark.parametrize(("prob", "label"), [(0.97, 0.6), (0.02, 0.4), (0.55, 0.55), (0.4, 0.4), (0.6, 0.6)])
def test_a_clamped_label_stays_within_its_bounds(prob: float, label: float) -> None:
    assert apply_rule(prob, LabelRule("clamped", 0.4, 0.6)) == label


def test_a_hard_label_is_a_side_and_a_tie_is_none() -> None:
    rule = LabelRule("hard")
    assert [apply_rule(prob, rule) for prob in (0.500001, 0.0, 0.499, 1.0)] == [1.0, 0.0, 0.0, 1.0]
    assert apply_rule(0.5, rule) == 0.5
    assert apply_rule((0.1 + 0.2 + 0.7) / 2, rule) == 0.5  # two orders that say the opposite, rounded
    assert side((0.1 + 0.2 + 0.7) / 2) == 0


def test_a_soft_label_is_the_probability() -> None:
    assert apply_rule(0.123, LabelRule("soft")) == 0.123


@pytest.mark.parametrize(
    ("clamp", "bounds"),
    [
        ("40-60", (0.4, 0.6)),
        ("20-80", (0.2, 0.8)),
        ("2.5 – 97.5", (0.025, 0.975)),
        ((0.1, 0.9), (0.1, 0.9)),
        ((0, 1), (0, 1)),
    ],
)
def test_bounds_are_a_name_or_a_pair(clamp: tuple[float, float] | str, bounds: tuple[float, float]) -> None:
    rule = LabelConfig(mode="clamped", clamp=clamp).rule()
    assert (rule.mode, rule.low, rule.high) == ("clamped", *bounds)


@pytest.mark.parametrize("clamp", ["40", "60-40", "40-60-80", "high", (0.6, 0.8), (-0.1, 0.6), (0.4, 1.1)])
def test_bounds_that_hold_no_half_are_refused(clamp: tuple[float, float] | str) -> None:
    with pytest.raises(DataError, match="clamp") as caught:
        LabelConfig(clamp=clamp)
    assert "40-60" in (caught.value.todo or "")


def test_labels_after_a_chain_of_thought_are_clamped_unless_set() -> None:
    thinking = JudgeForm(reasonings=5)
    assert LabelConfig().rule().mode == "soft"
    assert LabelConfig(judge=thinking).rule() == LabelRule("clamped", 0.4, 0.6)
    assert LabelConfig(judge=thinking, mode="soft").rule().mode == "soft"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"pairs": ("samples", "samples")}, "twice"),
        ({"pairs": ("contrast",), "construction": 0.0}, "no stated label"),
        ({"pairs": (), "construction": 0.0}, "nothing to label"),
        ({"construction": 0.5}, "construction is in"),
    ],
)
def test_settings_that_make_no_label_are_refused(settings: dict[str, object], what: str) -> None:
    with pytest.raises(DataError, match=what):
        LabelConfig(**settings)


def test_the_origins_of_labels_follow_from_the_settings() -> None:
    assert LabelConfig().origins() == ("asked", "construction")
    assert LabelConfig(construction=0.0).origins() == ("asked",)
    assert LabelConfig(pairs=("contrast",), n_construction=0).origins() == ("construction",)
    assert LabelConfig(construction_labels="rescored").origins() == ("asked",)
    assert LabelConfig(pairs=("contrast",), relabel="runs/first").origins() == ("asked",)
