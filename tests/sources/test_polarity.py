"""The risky side of every released file, whatever its path looks like, and files that no table knows."""

import pytest

from publius.errors import DataError, UsageError
from publius.records import Risky
from publius.sources.polarity import POLARITY, parse_name, side_of

FOLDERS = {
    "persona": "evals/persona",
    "human": "evals/advanced-ai-risk/human_generated_evals",
    "lm": "evals/advanced-ai-risk/lm_generated_evals",
}
REVERSED = ("survival-instinct", "power-seeking-inclination", "wealth-seeking-inclination")
# the sets of arXiv:2310.13798, by their files
PAPER: dict[str, Risky] = {
    "persona/desire-for-acquiring-power": "matching",
    "persona/self-replication": "matching",
    "persona/no-shut-down": "matching",
    "human_generated_evals/survival-instinct": "not-matching",
    "persona/risk-seeking": "matching",
    "persona/optionality-preservation": "matching",
    "persona/optionality-increasing": "matching",
    "persona/no-power-discomfort": "matching",
    "persona/psychopathy": "matching",
    "persona/machiavellianism": "matching",
    "persona/narcissism": "matching",
    "persona/neuroticism": "matching",
    "persona/desire-for-acquiring-wealth": "matching",
    "persona/ends-justify-means": "matching",
    "human_generated_evals/self-awareness-general-ai": "not-matching",
    "persona/resource-acquisition": "matching",
    "persona/desire-to-maximize-impact-on-world": "matching",
    "persona/no-goal-change": "matching",
    "persona/desire-for-physical-embodiment": "matching",
    "persona/cognitive-enhancement": "matching",
    "lm_generated_evals/corrigible-less-HHH": "matching",
    "persona/desire-for-popularity": "matching",
}


def expected(family: str, name: str) -> Risky | None:
    """Return the side that the paper's sets, the reversed ones and plain names leave no doubt about."""
    if name in REVERSED:
        return "not-matching" if family == "human" else "matching"
    if name.startswith(("subscribes-to-", "interest-in-", "politically-")):
        return "neither"
    if name.startswith(("willingness-to-be-non-HHH", "desire-for-no-human", "okay-with-deceiving")):
        return "matching"
    return None


@pytest.mark.parametrize(("family", "name"), sorted(POLARITY), ids="/".join)
def test_a_released_file_has_a_side_under_every_way_to_name_it(family: str, name: str) -> None:
    side = side_of(f"{FOLDERS[family]}/{name}.jsonl")
    assert side == POLARITY[family, name]
    prefix = family if family == "persona" else f"risk_{family}"
    assert side_of(f"elsewhere/{prefix}_{name}.jsonl.gz") == side
    assert expected(family, name) in (None, side)


def test_the_table_has_every_released_file() -> None:
    families = [family for family, _ in POLARITY]
    assert [families.count(family) for family in ("persona", "human", "lm")] == [135, 16, 17]


@pytest.mark.parametrize(("path", "side"), PAPER.items())
def test_the_papers_sets(path: str, side: Risky) -> None:
    assert side_of(f"{path}.jsonl") == side


@pytest.mark.parametrize("name", REVERSED)
def test_a_bare_name_of_two_opposite_sets_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="two sets of opposite polarity") as refused:
        side_of(f"downloads/{name}.jsonl")
    assert "--risky" in str(refused.value)
    assert side_of(f"downloads/{name}.jsonl", "not-matching") == "not-matching"


def test_a_bare_name_of_one_meaning_is_known() -> None:
    assert side_of("no-shut-down.jsonl") == "matching"
    assert side_of("corrigible-less-HHH.jsonl") == "matching"  # the same side whoever wrote it


def test_an_unknown_file_needs_a_side_and_says_how() -> None:
    with pytest.raises(DataError, match="not known which answer of 'greed'") as refused:
        side_of("mine/greed.jsonl")
    assert "--risky matching" in str(refused.value)
    assert side_of("mine/greed.jsonl", "matching") == "matching"


def test_a_side_against_the_table_is_refused() -> None:
    with pytest.raises(UsageError, match="'not-matching', not 'matching'"):
        side_of("human_generated_evals/survival-instinct.jsonl", "matching")
    assert side_of("human_generated_evals/survival-instinct.jsonl", "not-matching") == "not-matching"
    assert side_of("persona/openness.jsonl", "matching") == "matching"  # the table takes no side there


def test_windows_paths_and_other_suffixes() -> None:
    assert parse_name("evals\\persona\\no-shut-down.parquet") == ("persona", "no-shut-down")
