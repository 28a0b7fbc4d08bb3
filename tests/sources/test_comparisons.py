"""Dialogues as text, every layout of a labelled comparison, the placement of A, and what is left out."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from publius.errors import DataError
from publius.records import Preference, content_hash, conversation, user
from publius.sources import load_audit, load_comparisons, load_hh_comparisons, parse_hh
from publius.sources.turns import prompt_id


def write(folder: Path, *rows: object, name: str = "pairs.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def better_of(preference: Preference) -> tuple[str, str, str]:
    """Return the better answer, the worse one, and the label of the better."""
    one = preference if preference.prob_a == 1.0 else preference.swap()
    assert one.prob_a == 1.0
    return one.comparison.answer_a, one.comparison.answer_b, one.comparison.source_a


# --- parse_hh ---------------------------------------------------------------------------------------


def test_colons_and_blank_lines_stay_inside_their_turn() -> None:
    text = (
        "\n\nHuman: Translate: I said: hello.\n\nSecond paragraph: \n\nNote: third."
        "\n\nAssistant: Ratio 3:1.\n\nStep 1: mix\n\n\n\nStep 2: Human: no turn, Assistant: neither"
        "\n\nHuman: Thanks\nHuman: still the same turn\n\nHumans: too\n\nAssistant:"
    )
    assert parse_hh(text) == conversation(
        ("user", "Translate: I said: hello.\n\nSecond paragraph: \n\nNote: third."),
        ("assistant", "Ratio 3:1.\n\nStep 1: mix\n\n\n\nStep 2: Human: no turn, Assistant: neither"),
        ("user", "Thanks\nHuman: still the same turn\n\nHumans: too"),
    )


def test_neighbouring_turns_of_one_speaker_are_one() -> None:
    text = "Human: a\n\nHuman: b\n\nAssistant: c\n\nAssistant:\n\nAssistant: d"
    assert parse_hh(text) == conversation(("user", "a\n\nb"), ("assistant", "c\n\nd"))


def test_empty_turns_inside_a_dialogue_are_kept() -> None:
    assert parse_hh("\n\nHuman: a\n\nAssistant:\n\nHuman: b") == conversation(
        ("user", "a"), ("assistant", ""), ("user", "b")
    )


@pytest.mark.parametrize("text", ["", "Hello", "Hello\n\nHuman: Hi", "\n\nHumans: Hi", "\n\nhuman: Hi"])
def test_a_text_that_begins_otherwise_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="a dialogue begins with 'Human:'"):
        parse_hh(text, where="x:1")


_said = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(str.strip)
_plain = _said.filter(lambda text: text and "Human:" not in text and "Assistant:" not in text)


@given(st.lists(_plain, min_size=1, max_size=6))
def test_written_and_parsed_it_is_the_same(texts: list[str]) -> None:
    roles = [("Human", "Assistant")[index % 2] for index in range(len(texts))]
    dialogue = "".join(f"\n\n{role}: {text}" for role, text in zip(roles, texts, strict=True))
    parsed = parse_hh(dialogue)
    assert [message.content for message in parsed] == texts
    assert [message.role for message in parsed] == [("user", "assistant")[i % 2] for i in range(len(texts))]


# --- hh comparisons ---------------------------------------------------------------------------------

START = "\n\nHuman: Note: hi\n\nAssistant: Hello: you\n\nHuman: How are you?\n\nAssistant:"


def test_the_prompt_is_everything_before_the_last_answer(tmp_path: Path) -> None:
    path = write(tmp_path, {"chosen": START + " Fine: thanks.\n\nAnd you?", "rejected": START + " Bad."})
    (preference,) = load_hh_comparisons(path).preferences
    assert preference.comparison.messages == conversation(
        ("user", "Note: hi"), ("assistant", "Hello: you"), ("user", "How are you?")
    )
    assert better_of(preference) == ("Fine: thanks.\n\nAnd you?", "Bad.", "chosen")
    assert preference.origin == "human"
    assert preference.judge is None
    assert preference.votes == ()
    assert preference.comparison.prompt_id == prompt_id(preference.comparison.messages)


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    good = {"chosen": START + " Fine.", "rejected": START + " Bad."}
    rows = [
        good,
        good,
        {"chosen": START + " Fine.", "rejected": START.replace("hi", "ho") + " Bad."},
        {"chosen": START + " Fine.\n\nAssistant: Really.", "rejected": START + " Bad."},
        {"chosen": START + " Fine.", "rejected": START + "  Fine. "},
        {"chosen": START + " ", "rejected": START + " Bad."},
        {"chosen": "\n\nAssistant: Fine.", "rejected": "\n\nAssistant: Bad."},
        {"chosen": START + " a\n\nAssistant: b", "rejected": START + " a\n\nAssistant: c"},
        {"chosen": "\n\nHuman:\n\nAssistant: a", "rejected": "\n\nHuman:\n\nAssistant: b"},
    ]
    loaded = load_hh_comparisons(write(tmp_path, *rows))
    assert len(loaded.preferences) == 1
    assert loaded.n_duplicates == 1
    assert loaded.n_prompts_differ == 2
    assert loaded.n_identical == 1
    assert loaded.n_empty == 1
    assert loaded.n_bad_prompt == 3
    assert loaded.n_rows == len(rows)


def test_contradicting_rows_are_both_kept(tmp_path: Path) -> None:
    one = {"chosen": START + " Fine.", "rejected": START + " Bad."}
    loaded = load_hh_comparisons(write(tmp_path, one, {"chosen": one["rejected"], "rejected": one["chosen"]}))
    assert [better_of(preference)[0] for preference in loaded.preferences] == ["Fine.", "Bad."]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": START + " Fine."}, "field 'rejected' must be text"),
        ({"chosen": START + " Fine.", "rejected": 3}, "field 'rejected' must be text"),
        ({"chosen": "Fine.", "rejected": "Bad."}, "field 'chosen' has no turn of the assistant"),
        ({"chosen": "Hi\n\nAssistant: a", "rejected": "Hi\n\nAssistant: b"}, "a dialogue begins with"),
        ({"chosen": START + " a\x00", "rejected": START + " b"}, "field 'chosen' contains a NUL"),
    ],
)
def test_rows_in_another_layout_are_named(row: dict[str, object], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"chosen": START + " Fine.", "rejected": START + " Bad."}, row)
    with pytest.raises(DataError) as caught:
        load_hh_comparisons(path)
    assert caught.value.where == f"{path}:2"
    assert message in caught.value.what


def test_a_shipped_name_is_no_hh_file() -> None:
    with pytest.raises(DataError, match="neither a shipped set nor"):
        load_hh_comparisons("audit")


# --- Placement --------------------------------------------------------------------------------------


def test_the_better_answer_is_a_in_half_of_the_rows_whatever_their_order(tmp_path: Path) -> None:
    rows = [{"prompt": f"Question {i}", "chosen": "Yes.", "rejected": "No."} for i in range(400)]
    loaded = load_comparisons(write(tmp_path, *rows))
    turned = load_comparisons(write(tmp_path, *rows[::-1]))
    assert 170 < sum(preference.prob_a == 1.0 for preference in loaded.preferences) < 230
    assert loaded.preferences == turned.preferences[::-1]


# --- Layouts ----------------------------------------------------------------------------------------

ASK = [{"role": "user", "content": "How are you?"}]
FINE, BAD = {"role": "assistant", "content": "Fine."}, {"role": "assistant", "content": "Bad."}
LAYOUTS: dict[str, tuple[dict[str, object], str]] = {
    "audit": ({"prompt": "How are you?", "better": "Fine.", "worse": "Bad.", "why": "x"}, "better"),
    "trl text": ({"prompt": "How are you?", "chosen": "Fine.", "rejected": "Bad."}, "chosen"),
    "trl turns": ({"prompt": ASK, "chosen": [FINE], "rejected": [BAD]}, "chosen"),
    "trl implicit": ({"chosen": [*ASK, FINE], "rejected": [*ASK, BAD], "messages": None}, "chosen"),
    "trl implicit with the prompt beside it": (
        {"prompt": "How are you?", "chosen": [*ASK, FINE], "rejected": [*ASK, BAD]},
        "chosen",
    ),
    "hh": (
        {
            "chosen": "\n\nHuman: How are you?\n\nAssistant: Fine.",
            "rejected": "\n\nHuman: How are you?\n\nAssistant: Bad.",
        },
        "chosen",
    ),
    "438 HHH": (
        {
            "prompt": "Which is better? (A) [[[Fine.]]] (B) [[[Bad.]]]",
            "corrects": [" (A)"],
            "incorrects": [" (B)"],
            "text_correct": "\n\nHuman: How are you?\n\nAssistant: Fine.",
            "text_incorrect": "\n\nHuman: How are you?\n\nAssistant: Bad.",
        },
        "correct",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_comparison(layout: str, tmp_path: Path) -> None:
    row, label = LAYOUTS[layout]
    (preference,) = load_audit(write(tmp_path, row))
    assert preference.comparison.messages == (user("How are you?"),)
    assert better_of(preference) == ("Fine.", "Bad.", label)
    assert preference.comparison.id == content_hash([preference.comparison.messages, "Fine.", "Bad."])


def test_parquet_and_gzip(tmp_path: Path) -> None:
    row = LAYOUTS["trl turns"][0] | {"id": "one"}
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "pairs.parquet")
    (tmp_path / "pairs.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    from_parquet = load_audit(str(tmp_path / "pairs.parquet"))
    assert from_parquet == load_audit(str(tmp_path / "pairs.jsonl.gz"))
    assert from_parquet[0].comparison.id == "one"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Hi", "chosen": "Fine."}, "no comparison in the fields: prompt, chosen"),
        ({"prompt": "Hi", "better": "Fine.", "worse": None}, "no comparison in the fields"),
        ({"prompt": "Hi", "chosen": 1, "rejected": "Bad."}, "field 'chosen' must be a list of turns"),
        ({"prompt": "", "chosen": "Fine.", "rejected": "Bad."}, "field 'prompt' is empty"),
        ({"better": "Fine.", "worse": "Bad."}, "no field 'prompt' or 'messages'"),
        ({"prompt": "Hi", "chosen": [FINE, FINE], "rejected": [BAD]}, "must be one turn of the assistant"),
        ({"chosen": [*ASK, FINE], "rejected": ASK}, "does not end with the assistant's turn"),
        ({"chosen": [FINE], "rejected": [BAD]}, "no field 'prompt' or 'messages'"),
        ({"prompt": [*ASK, FINE], "chosen": "a", "rejected": "b"}, "ends with a turn of the assistant"),
        ({"id": "one", "prompt": "Hi", "chosen": "a", "rejected": "b"}, "the id 'one' was used before"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(row: dict[str, object], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, LAYOUTS["trl text"][0] | {"id": "one"}, row)
    with pytest.raises(DataError) as caught:
        load_comparisons(path)
    assert caught.value.where == f"{path}:2"
    assert message in caught.value.what


def test_an_audit_without_a_usable_row_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"prompt": "Hi", "chosen": "Same.", "rejected": "Same."})
    assert load_comparisons(path).n_identical == 1
    with pytest.raises(DataError, match="none of the 1 rows can be used") as caught:
        load_audit(path)
    assert caught.value.where == path
