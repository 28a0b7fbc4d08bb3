"""Read and write the two prompt files that paper B released with its principles.

    CritiqueRevisionInstructions.json   {"harmful0": {"prompt": ["\\n\\nCritiqueRequest: …\\n\\nCritique:"],
                                         "edit_request": "\\n\\nRevisionRequest: …\\n\\nRevision:"}, …}
    RLMadisonInstructions.json          ["\\n… Options:", …]

The files are two lists; a constitution here is one. Entry i of both becomes principle i, whose statement
is the question (where there is none, the critique request). Texts are kept to the letter, typing slips
included, and files of equal length come back equal.

Paper: Bai et al. 2022, arXiv:2212.08073, appendix C; the layout is that of the repository
anthropics/ConstitutionalHarmlessnessPaper.
"""

import json
import re
from itertools import zip_longest
from pathlib import Path
from typing import TypedDict, cast

from publius.constitution.checks import MAX_BYTES, check_id, check_text, slug
from publius.constitution.markdown_format import UNVERSIONED
from publius.constitution.principle import Constitution, Form, Principle, principle_from
from publius.errors import DataError

REQUESTS_FILE = "CritiqueRevisionInstructions.json"
QUESTIONS_FILE = "RLMadisonInstructions.json"
_CRITIQUE = re.compile(r"\n\nCritiqueRequest: (.*)\n\nCritique:", re.DOTALL)
_REVISION = re.compile(r"\n\nRevisionRequest: (.*)\n\nRevision:", re.DOTALL)
_QUESTION = re.compile(r"\n(.*) Options:", re.DOTALL)


class ReleasedRequest(TypedDict):
    """One entry of `CritiqueRevisionInstructions.json`; `prompt` has one element."""

    prompt: list[str]
    edit_request: str


def load_released(folder: Path) -> Constitution:
    """Return the constitution of a folder that holds one or both released prompt files.

    Raises:
        DataError: Neither file is there, or one is not JSON or not in the layout.
    """
    requests, questions = _read_json(folder / REQUESTS_FILE), _read_json(folder / QUESTIONS_FILE)
    if requests is None and questions is None:
        raise DataError(f"neither {REQUESTS_FILE} nor {QUESTIONS_FILE} is here", where=folder)
    return from_released(
        {} if requests is None else requests,
        [] if questions is None else questions,
        name=slug(folder.resolve().name) or "released",
    )


def from_released(requests: object, questions: object, *, name: str) -> Constitution:
    """Return the constitution of the JSON values of both files, `{}` or `[]` for an absent one.

    Raises:
        DataError: A value is not in the layout; `.where` is the file and its key or index.
    """
    if not isinstance(requests, dict):
        raise DataError("expected an object of requests", where=REQUESTS_FILE)
    if not isinstance(questions, list):
        raise DataError("expected a list of questions", where=QUESTIONS_FILE)
    pairs = [_read_request(key, value) for key, value in cast(dict[str, object], requests).items()]
    asked = [_read_question(index, value) for index, value in enumerate(cast(list[object], questions))]
    if not pairs and not asked:
        raise DataError("there are no principles", where=REQUESTS_FILE)
    principles = tuple(
        _join(index, pair, question) for index, (pair, question) in enumerate(zip_longest(pairs, asked))
    )
    return Constitution(check_id(name, "name", where=name), UNVERSIONED, "", "", "", principles)


def to_released_requests(constitution: Constitution) -> dict[str, ReleasedRequest]:
    """Return the content of `CritiqueRevisionInstructions.json`, derived forms included."""
    return {
        principle.id: {
            "prompt": [f"\n\nCritiqueRequest: {principle.critique}\n\nCritique:"],
            "edit_request": f"\n\nRevisionRequest: {principle.revision}\n\nRevision:",
        }
        for principle in constitution.principles
    }


def to_released_questions(constitution: Constitution) -> list[str]:
    """Return the content of `RLMadisonInstructions.json`, derived forms included."""
    return [f"\n{principle.comparison} Options:" for principle in constitution.principles]


def _read_json(path: Path) -> object | None:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=path) from error
    if len(raw) > MAX_BYTES:
        raise DataError(f"the file is larger than {MAX_BYTES:,} bytes", where=path)
    try:
        return cast(object, json.loads(raw.decode("utf-8-sig")))
    except json.JSONDecodeError as error:
        raise DataError(f"not valid JSON: {error.msg}", where=f"{path}:{error.lineno}") from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # not UTF-8, a number of thousands of digits, nested too deep
        raise DataError(f"not valid JSON: {error!s:.120}", where=path) from error


def _read_request(key: str, value: object) -> tuple[str, str, str]:
    """Return the id, the critique request and the revision request of one entry."""
    where = f"{REQUESTS_FILE}:{key}"
    entry = cast(dict[str, object], value) if isinstance(value, dict) else {}
    prompt = cast(list[object], entry.get("prompt")) if isinstance(entry.get("prompt"), list) else []
    if set(entry) != {"prompt", "edit_request"} or len(prompt) != 1:
        raise DataError("expected 'prompt', a list of one text, and 'edit_request', a text", where=where)
    critique = _unwrap(_CRITIQUE, prompt[0], "prompt", where=where)
    revision = _unwrap(_REVISION, entry["edit_request"], "edit_request", where=where)
    return check_id(key, "key", where=where), critique, revision


def _read_question(index: int, value: object) -> str:
    return _unwrap(_QUESTION, value, "question", where=f"{QUESTIONS_FILE}:[{index}]")


def _unwrap(frame: re.Pattern[str], value: object, field: str, *, where: str) -> str:
    """Return the text inside the frame that the layout puts around it, to the letter."""
    found = frame.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        shape = frame.pattern.replace("(.*)", "…")
        raise DataError(f"{field} is not of the form {shape}: {value!r:.80}", where=where)
    check_text(found[1], field, where=where)
    return found[1]


def _join(index: int, pair: tuple[str, str, str] | None, question: str | None) -> Principle:
    forms: dict[Form, str] = {} if question is None else {"comparison": question}
    if pair is None:
        return principle_from(f"question{index}", question or "", forms=forms)
    id, critique, revision = pair
    return principle_from(
        id, question or critique, forms={**forms, "critique": critique, "revision": revision}
    )
