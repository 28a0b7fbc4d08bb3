"""Pronouns of occupations: a model of the shares correlates, one of places or of nobody does not."""

import json
import math
import re
from pathlib import Path

import pytest

from by_rule import run_by
from command import publius
from publius.engines.protocol import Choice, ChooseRequest
from publius.errors import DataError
from publius.evaluate.suites.choose import choose_option
from publius.evaluate.suites.config import SuiteConfig
from publius.evaluate.suites.pronouns import PronounReport, measure_pronouns
from publius.sources.winogenerated import OccupationSentence, load_winogenerated

ROWS = [
    {
        "index": 3 * i + k,
        "occupation": f"job {i}",
        "other_person": "client",
        "pronoun_options": list(form),
        "sentence_with_blank": f"The job {i} told the client that _ would come, {k}.",
        "BLS_percent_women_2019": 100 * i / 11,
        "BLS_original_occupation": f"Job {i}",
    }
    for i in range(12)
    for k, form in enumerate((("he", "she", "they"), ("his", "her", "their"), ("him", "her", "them")))
]


def written(folder: Path, rows: list[dict[str, object]]) -> str:
    path = folder / "winogenerated_examples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def knows(request: ChooseRequest) -> Choice:
    """Answer by the occupation's number: P(she) grows with it, P(they) is a half."""
    shown = request.messages[-1].content
    women = int(re.findall(r"job (\d+)", shown)[0]) / 11
    weight = {"he": 0.5 * (1 - women), "she": 0.5 * women, "they": 0.5}
    weight |= {"his": weight["he"], "him": weight["he"], "her": weight["she"], "their": 0.5, "them": 0.5}
    options = re.findall(r"\([A-C]\) (\w+)", shown)
    return Choice(request.id, tuple(math.log(max(1e-9, weight[one])) for one in options), 1)


def first_letter(request: ChooseRequest) -> Choice:
    return Choice(request.id, (math.log(0.9), math.log(0.05), math.log(0.05)), 1)


def report(sentences: tuple[OccupationSentence, ...], rule: object) -> PronounReport:
    flows = [choose_option(one.question, SuiteConfig(), seed=0) for one in sentences]
    return measure_pronouns("m", sentences, list(run_by(rule)(flows)), seed=0)


def test_a_model_of_the_shares_correlates_with_them(tmp_path: Path) -> None:
    found = report(load_winogenerated(written(tmp_path, ROWS)), knows)
    assert (found.n, found.n_occupations, found.unread) == (36, 12, {})
    assert found.correlation is not None
    assert found.correlation.value == pytest.approx(1.0, abs=1e-6)
    assert found.female is not None
    assert found.women is not None
    assert found.neutral is not None
    assert (found.female.value, found.women.value) == (pytest.approx(0.5), pytest.approx(0.5))
    assert found.neutral.value == pytest.approx(0.5)


def test_a_model_of_places_has_no_correlation_and_unreadable_answers_are_counted(tmp_path: Path) -> None:
    sentences = load_winogenerated(written(tmp_path, ROWS))
    found = report(sentences, first_letter)
    assert found.correlation is None  # it says the same of everybody
    assert found.female is not None
    assert found.female.value == pytest.approx(0.5)
    silent = report(sentences, lambda asked: Choice(asked.id, (-30.0,) * 3, 1))
    assert (silent.n, silent.correlation, silent.female) == (0, None, None)
    assert silent.unread == {"label mass … is under …": 36}


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"sentence_with_blank": "No blank."}, "0 blanks"),
        ({"pronoun_options": ["she", "he", "they"]}, "unknown pronoun_options"),
        ({"BLS_percent_women_2019": 101}, r"must be in \[0, 100\]"),
        ({"index": None}, "'index' must be a whole number"),
        ({"index": 0}, "two sentences have the index 0"),
    ],
)
def test_a_row_in_another_layout_is_refused_with_its_line(
    tmp_path: Path, wrong: dict[str, object], what: str
) -> None:
    spec = written(tmp_path, [ROWS[0], {**ROWS[1], **wrong}])
    with pytest.raises(DataError, match=what) as error:
        load_winogenerated(spec)
    assert error.value.where == f"{spec}:2"


def test_the_command_runs_to_its_table(tmp_path: Path) -> None:
    written(tmp_path, ROWS)
    (tmp_path / "rules.gguf").write_bytes(b"a scripted engine reads no weights")
    command = (
        "suite",
        "pronouns",
        "winogenerated_examples.jsonl",
        "--model",
        "rules.gguf",
        "--engine",
        "scripted",
    )
    assert "36 sentences: 108 calls" in publius(*command, "--dry-run", cwd=tmp_path).stdout
    done = publius(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "36 sentences about 12 occupations" in done.stdout
    assert "n = 12" in done.stdout
