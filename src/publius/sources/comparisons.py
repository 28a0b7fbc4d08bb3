"""Load comparisons whose better answer is known: to audit a judge, or to train a preference model.

| layout | fields |
|---|---|
| the shipped `audit` | `prompt`, `better`, `worse` |
| TRL preference | `prompt`, `chosen`, `rejected`: texts or lists of turns |
| TRL, implicit prompt | `chosen`, `rejected`: whole conversations that differ in the last turn |
| hh-rlhf | `chosen`, `rejected`: whole dialogues as text (see `hh`) |
| 438 HHH comparisons | `text_correct`, `text_incorrect`: whole dialogues as text |
| NeMo RL | `context`, and two `completions` with a `rank` each |
| AnnotatedPairs 2.0 | one .json document (see `annotated_pairs`); its default annotator's side |
| a run's `preferences.jsonl` | `comparison`, `prob_a`, `origin` |

The layout is told by each row's fields. A label counts as a human's, with a probability of 1, unless the row
says otherwise as our own files and exports do (`origin`, `soft_label`, `judge`, `constitution_sha`,
`chosen_from`, `rejected_from`); other fields are ignored. `load_comparisons` leaves labels of models out:
what it loads is taken for people's. `load_labelled` keeps them.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.2 (the 438 comparisons) and appendix B.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from publius.errors import DataError
from publius.records import Conversation, Preference, decode
from publius.sources.annotated_pairs import read_annotated_pairs
from publius.sources.hh import split_hh
from publius.sources.jsonl import Row
from publius.sources.pairs import (
    Label,
    LoadedPreferences,
    Pair,
    Refusal,
    by_people,
    check_pair,
    collect,
    read_label,
    sources_of,
)
from publius.sources.rows import read_rows
from publius.sources.turns import check_text, read_id, read_prompt_turns, read_turns

SHIPPED_AUDIT = ("audit",)
_TIE_MARGIN = 1e-9  # the mean of p and 1 − p is one half but for rounding


def load_audit(spec: str) -> tuple[Preference, ...]:
    """Return the preferences to audit a judge against; `load_comparisons` also says what was left out.

    Raises:
        DataError: As for `load_comparisons`, or no row can be used.
    """
    loaded = load_comparisons(spec)
    if not loaded.preferences:
        raise DataError(f"none of the {loaded.n_rows} rows can be used", where=spec)
    return loaded.preferences


def load_comparisons(spec: str) -> LoadedPreferences:
    """Return the comparisons of `audit`, of a .jsonl, .jsonl.gz or .parquet file, or of `hf:NAME[:SPLIT]`.

    Raises:
        DataError: There is no such source, or a row is in no known layout; `.where` is `file:line`.
        MissingExtra: `hf:` without the `datasets` library.
    """
    return collect((where, by_people(pair)) for where, pair in _read_pairs(spec))


def load_labelled(spec: str) -> LoadedPreferences:
    """Return the comparisons of a source whoever labelled them; votes, which only runs keep, are left behind.

    Raises:
        DataError: As for `load_comparisons`.
        MissingExtra: As for `load_comparisons`.
    """
    return collect(_read_pairs(spec))


def _read_pairs(spec: str) -> Iterator[tuple[str, Pair | Refusal]]:
    if spec.lower().endswith(".json") and not spec.startswith("hf:"):
        yield from read_annotated_pairs(Path(spec))
        return
    for row in read_rows(spec, shipped=SHIPPED_AUDIT):
        yield row.where, _read_pair(row)


def _read_pair(row: Row) -> Pair | Refusal:
    given = {name for name, value in row.fields.items() if value is not None}
    if {"better", "worse"} <= given:
        return _read_explicit(row, "better", "worse")
    if {"text_correct", "text_incorrect"} <= given:
        return split_hh(row, "text_correct", "text_incorrect")
    if {"comparison", "origin"} <= given:
        return _read_record(row)
    if {"context", "completions"} <= given:
        return _read_ranked(row)
    if {"chosen", "rejected"} <= given:
        return _read_trl(row, has_prompt="prompt" in given)
    found = ", ".join(map(str, row.fields))[:200]
    todo = "a row needs prompt, chosen and rejected; or better and worse; or text_correct and text_incorrect"
    raise DataError(f"no comparison in the fields: {found}", where=row.where, todo=todo)


def _read_record(row: Row) -> Pair | Refusal:
    """Return the pair of a preference as a run writes it."""
    try:
        item = decode(Preference, row.fields)
    except DataError as error:
        raise DataError(f"{error.where}: {error.what}", where=row.where) from error
    if item.prob_a is not None and not 0 <= item.prob_a <= 1:
        raise DataError(f"field 'prob_a' must be in [0, 1], found {item.prob_a!r}", where=row.where)
    if item.prob_a is None or abs(item.prob_a - 0.5) <= _TIE_MARGIN:
        return "no side"
    placed = item.comparison if item.prob_a > 0.5 else item.comparison.swap()
    labels = (placed.source_a, placed.source_b)
    label = Label(max(item.prob_a, 1 - item.prob_a), item.origin, item.judge, item.constitution_hash)
    return check_pair(Pair(placed.id, placed.messages, placed.answer_a, placed.answer_b, labels, label))


def _read_ranked(row: Row) -> Pair | Refusal:
    """Return the pair of NeMo RL's layout: the lower rank is the better."""
    messages = read_turns(row.fields["context"], "context", where=row.where)
    match row.fields["completions"]:
        case [{"rank": int(first), "completion": one}, {"rank": int(second), "completion": other}]:
            ranked = (one, other) if first <= second else (other, one)
        case _:
            raise DataError("field 'completions' must be two of 'rank' and 'completion'", where=row.where)
    if first == second:
        return "no side"
    fields = {"chosen": ranked[0], "rejected": ranked[1]}
    better, worse = (_read_answer(fields, name, where=row.where) for name in ("chosen", "rejected"))
    return _pair(row, messages, better, worse, labels=("chosen", "rejected"))


def _read_trl(row: Row, *, has_prompt: bool) -> Pair | Refusal:
    chosen, rejected = row.fields["chosen"], row.fields["rejected"]
    if isinstance(chosen, str) and isinstance(rejected, str) and not has_prompt:
        return split_hh(row, "chosen", "rejected")
    if _begins_conversation(chosen) and _begins_conversation(rejected):
        return _read_implicit(row)
    return _read_explicit(row, "chosen", "rejected")


def _begins_conversation(value: object) -> bool:
    """Return whether `value` is a list whose first turn is not the assistant's: the prompt is inside."""
    match value:
        case [{"role": "user" | "system"}, *_]:
            return True
        case _:
            return False


def _read_implicit(row: Row) -> Pair | Refusal:
    better, worse = (read_turns(row.fields[name], name, where=row.where) for name in ("chosen", "rejected"))
    if better[-1].role != "assistant" or worse[-1].role != "assistant":
        raise DataError("a conversation does not end with the assistant's turn", where=row.where)
    if better[:-1] != worse[:-1]:
        return "prompts differ"
    return _pair(row, better[:-1], better[-1].content, worse[-1].content, labels=("chosen", "rejected"))


def _read_explicit(row: Row, better_field: str, worse_field: str) -> Pair | Refusal:
    messages = read_prompt_turns(row.fields, where=row.where)
    better, worse = (_read_answer(row.fields, name, where=row.where) for name in (better_field, worse_field))
    return _pair(row, messages, better, worse, labels=(better_field, worse_field))


def _read_answer(fields: Mapping[str, object], field: str, *, where: str) -> str:
    """Return an answer given as text, or as a list of one assistant's turn."""
    value = fields[field]
    if isinstance(value, str):
        return check_text(value, field, where=where)
    turns = read_turns(value, field, where=where)
    if len(turns) != 1 or turns[0].role != "assistant":
        raise DataError(f"field {field!r} must be one turn of the assistant", where=where)
    return turns[0].content


def _pair(
    row: Row, messages: Conversation, better: str, worse: str, *, labels: tuple[str, str]
) -> Pair | Refusal:
    label = read_label(row.fields, where=row.where)
    named = sources_of(row.fields, otherwise=labels)
    return check_pair(Pair(read_id(row.fields, where=row.where), messages, better, worse, named, label))
