"""The shipped constitutions: their counts, their forms, and that nothing in them is an error."""

import pytest

from publius.constitution import FORMS, load_constitution, shipped
from publius.constitution.lint import lint
from publius.constitution.load import principle_lines, read_source
from publius.constitution.toml_format import parse_toml, write_toml

COUNTS = {"hhh": 3, "harmlessness": 16, "traits": 20, "good-for-humanity": 9, "humanity": 1}
NAMES = shipped()


def test_every_constitution_of_the_design_ships() -> None:
    assert {*COUNTS, "character"} <= set(NAMES)


@pytest.mark.parametrize(("name", "n"), COUNTS.items())
def test_number_of_principles(name: str, n: int) -> None:
    assert len(load_constitution(name).principles) == n


@pytest.mark.parametrize("name", NAMES)
def test_name_version_and_source_are_given(name: str) -> None:
    constitution = load_constitution(name)
    assert constitution.name == name
    assert constitution.version >= "1.0.0"
    assert constitution.title
    assert constitution.description
    assert "wording: Publius" in constitution.source


@pytest.mark.parametrize("name", NAMES)
def test_every_form_is_filled(name: str) -> None:
    for principle in load_constitution(name).principles:
        for form in ("statement", *FORMS):
            assert getattr(principle, form).strip(), (principle.id, form)


def test_harmlessness_is_written_out() -> None:
    assert all(principle.derived == () for principle in load_constitution("harmlessness").principles)


def test_traits_have_five_sets_of_four() -> None:
    traits = load_constitution("traits")
    assert len(traits.sets) == 5
    assert [len(traits.subset(name).principles) for name in traits.sets] == [4] * 5


@pytest.mark.parametrize("name", NAMES)
def test_lint_finds_no_error(name: str) -> None:
    assert [finding for finding in lint(load_constitution(name)) if finding.severity == "error"] == []


@pytest.mark.parametrize("name", NAMES)
def test_lines_point_at_the_headers(name: str) -> None:
    source = read_source(name)
    text_lines = source.text.split("\n")
    lines = principle_lines(source)
    assert set(lines) == {principle.id for principle in load_constitution(name).principles}
    assert all(text_lines[line - 1].startswith("[[principle]]") for line in lines.values())


@pytest.mark.parametrize("name", NAMES)
def test_written_and_read_again_it_is_the_same(name: str) -> None:
    constitution = load_constitution(name)
    assert parse_toml(write_toml(constitution), where="again.toml") == constitution


def test_principles_of_all_constitutions_differ() -> None:
    hashes = [principle.hash for name in NAMES for principle in load_constitution(name).principles]
    assert len(hashes) == len(set(hashes))
