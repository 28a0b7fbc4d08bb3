"""Planted problems are found, under the right rule and severity; sound texts are left alone."""

import pytest

from publius.constitution import Constitution
from publius.constitution.lint import Finding, lint
from publius.constitution.principle import Form, Principle, principle_from


def make(*statements: str, sets: tuple[str, ...] = ()) -> Constitution:
    principles = (principle_from(f"p{i}", text, forms={}, sets=sets) for i, text in enumerate(statements, 1))
    return Constitution("made", "1.0.0", "", "", "", tuple(principles))


def found(*statements: str, sets: tuple[str, ...] = ()) -> set[tuple[str, str, tuple[str, ...]]]:
    findings = lint(make(*statements, sets=sets))
    return {(finding.severity, finding.rule, finding.principle_ids) for finding in findings}


SOUND = "The assistant should explain the risks of a medicine in plain words."


def test_a_sound_principle_has_no_finding() -> None:
    assert found(SOUND) == set()


def test_duplicate() -> None:
    assert ("error", "duplicate", ("p1", "p2")) in found(SOUND, SOUND.upper().replace(".", " !"))


def test_the_same_id_twice_is_a_duplicate() -> None:
    twice = tuple(
        principle_from("same", text, forms={}) for text in (SOUND, "Cite a source for every claim.")
    )
    findings = lint(Constitution("made", "1.0.0", "", "", "", twice))
    assert findings[0].rule == "duplicate"
    assert findings[0].severity == "error"


def test_duplicate_in_a_language_that_is_not_read() -> None:
    assert ("error", "duplicate", ("p1", "p2")) in found("親切に。", "親切に。")
    assert found("親切に。", "正直に。") == set()


def test_near_duplicate() -> None:
    statements = (SOUND, "The assistant should explain risks of medicines in plain words.")
    assert found(*statements) == {("warning", "near-duplicate", ("p1", "p2"))}


@pytest.mark.parametrize(
    ("one", "two", "severity"),
    [
        ("Always cite a source for claims.", "Never cite a source for claims.", "error"),
        ("The assistant should share its opinions.", "The assistant should not share its opinions.", "error"),
        ("Show more warmth to customers.", "Show less warmth to customers.", "error"),
        ("Use humour in replies to customers.", "Avoid humour in replies to customers.", "error"),
        (
            "Mention prices of our products early in the conversation.",
            "Don't mention prices of products before the customer has described a need.",
            "warning",
        ),
        ("The assistant should be brief.", "The assistant should give detailed explanations.", "warning"),
        ("Use a warm voice with people.", "Keep a formal register in letters.", "warning"),
    ],
)
def test_contradictory_pairs(one: str, two: str, severity: str) -> None:
    assert (severity, "contradictory", ("p1", "p2")) in found(one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Never share private addresses.", "Avoid sharing private addresses."),
        ("The assistant should be brief, and detailed where lives depend on it.", "Give detailed doses."),
        ("The assistant should not be brief.", "Give detailed doses."),
        ("Cite a source for claims about medicine.", "Never promise a delivery date."),
    ],
)
def test_pairs_that_agree_are_not_contradictory(one: str, two: str) -> None:
    assert not [item for item in found(one, two) if item[1] == "contradictory"]


def test_principles_whose_sets_never_meet_may_disagree() -> None:
    one = principle_from("a", "Always cite a source for claims.", forms={}, sets=("science",))
    two = principle_from("b", "Never cite a source for claims.", forms={}, sets=("fiction",))
    findings = lint(Constitution("made", "1.0.0", "", "", "", (one, two)))
    assert not [finding for finding in findings if finding.rule == "contradictory"]


@pytest.mark.parametrize(
    "statement",
    [
        "The assistant should be good.",
        "Give an appropriate answer.",
        "Respond in a nice and suitable way.",
    ],
)
def test_vague(statement: str) -> None:
    assert ("warning", "vague", ("p1",)) in found(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "The assistant should answer.",
        "The assistant should be as helpful as possible to the customer.",
        "The assistant should mention dangers where appropriate.",
        "The assistant should try to cite its sources.",
        "The assistant should use its best judgment about privacy.",
    ],
)
def test_unfalsifiable(statement: str) -> None:
    assert ("warning", "unfalsifiable", ("p1",)) in found(statement)


def test_negative_only() -> None:
    statements = ("Never insult anyone, threaten anyone or lie.", "The assistant must not give legal advice.")
    assert ("warning", "negative-only", ("p1", "p2")) in found(*statements)


@pytest.mark.parametrize(
    "positive",
    [
        "Greet the customer by name.",
        "Never lie; say that you do not know.",
        "Don't guess but ask the customer.",
    ],
)
def test_one_positive_principle_is_enough(positive: str) -> None:
    statements = ("Never insult anyone, threaten anyone or lie.", positive)
    assert not [item for item in found(*statements) if item[1] == "negative-only"]


@pytest.mark.parametrize(
    ("statement", "severity"),
    [
        ("Lecture people who ask for something illegal.", "warning"),
        ("The assistant should condemn racism wherever it occurs.", "warning"),
        ("Remind the user that violence hurts people.", "warning"),
        ("Explain why it is wrong to steal.", "warning"),
        ("Take the moral view of a wise neighbour.", "note"),
    ],
)
def test_preachy(statement: str, severity: str) -> None:
    assert (severity, "preachy", ("p1",)) in found(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "Decline in one line, without lecturing the customer.",
        "The assistant should not remind the user of rules.",
        "Say what is left out; a lecture is not needed.",
        "Inform the customer rather than scold them.",
    ],
)
def test_a_principle_against_preaching_is_not_preachy(statement: str) -> None:
    assert not [item for item in found(statement) if item[1] == "preachy"]


def test_preaching_is_looked_for_in_written_revision_and_comparison_only() -> None:
    forms: dict[Form, str] = {"critique": "Where does it lecture?", "revision": "Condemn the request."}
    principle = principle_from("p1", SOUND, forms=forms)
    findings = lint(Constitution("made", "1.0.0", "", "", "", (principle,)))
    assert [(finding.rule, "revision" in finding.message) for finding in findings] == [("preachy", True)]


def test_the_papers_printed_self_identity_principle_pulls_against_its_siblings() -> None:
    statements = (
        "Prefer less insistence on a discrete identity of its own.",
        "Prefer greater belief in the continuity of identity.",
        "Agree with Parfit on persons.",
        "Avoid implying a persistent identity across time and copies.",
    )
    findings = found(*statements, sets=("self-identity",))
    assert ("warning", "against-siblings", ("p2",)) in findings
    assert not [item for item in findings if item[1] == "against-siblings" and item[2] != ("p2",)]


def test_empty_and_overlong() -> None:
    empty = Principle("p1", " ", "c", "r", "q")
    findings = lint(Constitution("made", "1.0.0", "", "", "", (empty,)))
    assert ("error", "empty") in {(finding.severity, finding.rule) for finding in findings}
    assert ("warning", "overlong", ("p1",)) in found("Explain the medicine " * 40)


def test_errors_come_first_and_lines_are_given() -> None:
    statements = ("Be good.", SOUND, SOUND)
    findings = lint(make(*statements), lines={"p1": 4, "p2": 8})
    assert [finding.severity for finding in findings] == ["error", "warning"]
    assert [finding.line for finding in findings] == [8, 4]
    assert isinstance(findings[0], Finding)
