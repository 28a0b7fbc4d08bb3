"""The layout of paper B's released prompt files, on texts made up here."""

import json
from pathlib import Path

import pytest

from publius.constitution import load_constitution
from publius.constitution.formats import (
    from_released,
    load_released,
    to_released_questions,
    to_released_requests,
)
from publius.errors import DataError

REQUESTS = {
    "harmful0": {
        "prompt": ["\n\nCritiqueRequest: Find what is unkind,  and say why.\nBe exact.\n\nCritique:"],
        "edit_request": "\n\nRevisionRequest: Take the unkind partts out.\n\nRevision:",
    },
    "harmful1": {
        "prompt": ["\n\nCritiqueRequest: Find what is untrue. \n\nCritique:"],
        "edit_request": "\n\nRevisionRequest: Correct it.\n\nRevision:",
    },
}
QUESTIONS = ["\nWhich answer is kinder? Options:", "\nWhich answer is truer? Options: (A or B) Options:"]


def test_round_trip_to_the_letter() -> None:
    constitution = from_released(REQUESTS, QUESTIONS, name="released")
    assert to_released_requests(constitution) == REQUESTS
    assert to_released_questions(constitution) == QUESTIONS
    first = constitution.principle("harmful0")
    assert first.critique == "Find what is unkind,  and say why.\nBe exact."
    assert first.revision == "Take the unkind partts out."
    assert first.comparison == first.statement == "Which answer is kinder?"
    assert first.derived == ()


def test_round_trip_of_a_shipped_constitution() -> None:
    shipped = load_constitution("harmlessness")
    again = from_released(to_released_requests(shipped), to_released_questions(shipped), name="again")
    for one, two in zip(shipped.principles, again.principles, strict=True):
        assert (one.id, one.critique, one.revision, one.comparison) == (
            two.id,
            two.critique,
            two.revision,
            two.comparison,
        )


def test_lists_of_different_length() -> None:
    constitution = from_released(REQUESTS, [*QUESTIONS, "\nWhich is shorter? Options:"], name="released")
    assert constitution.principle("question2").derived == ("critique", "revision")
    requests_only = from_released(REQUESTS, [], name="released")
    assert requests_only.principle("harmful1").statement == "Find what is untrue. "
    assert requests_only.principle("harmful1").derived == ("comparison",)
    assert to_released_requests(requests_only) == REQUESTS


def test_a_folder_of_both_files(tmp_path: Path) -> None:
    folder = tmp_path / "Paper prompts"
    folder.mkdir()
    with pytest.raises(DataError, match="neither CritiqueRevisionInstructions"):
        load_released(folder)
    (folder / "CritiqueRevisionInstructions.json").write_text(json.dumps(REQUESTS))
    (folder / "RLMadisonInstructions.json").write_text(json.dumps(QUESTIONS))
    constitution = load_released(folder)
    assert constitution == from_released(REQUESTS, QUESTIONS, name="paper-prompts")


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b'{"harmful0":\n oops}', ":2"),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
        (b" " * ((1 << 20) + 1), ""),
    ],
)
def test_a_damaged_file_is_named(raw: bytes, where: str, tmp_path: Path) -> None:
    path = tmp_path / "CritiqueRevisionInstructions.json"
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        load_released(tmp_path)
    assert caught.value.where == f"{path}{where}"


def _request(prompt: object, edit_request: object) -> dict[str, object]:
    return {"k": {"prompt": prompt, "edit_request": edit_request}}


_C, _R = "\n\nCritiqueRequest: c\n\nCritique:", "\n\nRevisionRequest: r\n\nRevision:"


@pytest.mark.parametrize(
    ("requests", "questions", "where"),
    [
        ([], [], "CritiqueRevisionInstructions.json"),
        ({}, {}, "RLMadisonInstructions.json"),
        ({}, [], "CritiqueRevisionInstructions.json"),
        ({"k": "text"}, [], "CritiqueRevisionInstructions.json:k"),
        (_request([_C, _C], _R), [], "CritiqueRevisionInstructions.json:k"),
        (_request(_C, _R), [], "CritiqueRevisionInstructions.json:k"),
        (_request([1], _R), [], "CritiqueRevisionInstructions.json:k"),
        (_request([_C], "r"), [], "CritiqueRevisionInstructions.json:k"),
        (_request([_C.replace(": c", ": ")], _R), [], "CritiqueRevisionInstructions.json:k"),
        ({"a b": _request([_C], _R)["k"]}, [], "CritiqueRevisionInstructions.json:a b"),
        ({}, ["\nfine Options:", "no frame"], "RLMadisonInstructions.json:[1]"),
    ],
)
def test_another_layout_is_refused_and_named(requests: object, questions: object, where: str) -> None:
    with pytest.raises(DataError) as caught:
        from_released(requests, questions, name="x")
    assert caught.value.where == where
