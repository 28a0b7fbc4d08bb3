"""Load comparisons whose better answer is known: to audit a judge, or to train a preference model.

| layout | fields |
|---|---|
| the shipped `audit` | `prompt`, `better`, `worse` |
| TRL preference | `prompt`, `chosen`, `rejected`: texts or lists of turns |
| TRL, implicit prompt | `chosen`, `rejected`: whole conversations that differ in the last turn |
| hh-rlhf | `chosen`, `rejected`: whole dialogues as text (see `hh`) |
| 438 HHH comparisons | `text_correct`, `text_incorrect`: whole dialogues as text |

The layout is told by each row's fields; other fields are ignored. Every label counts as a human's.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.2 (the 438 comparisons) and appendix B.
"""

from collections.abc import Iterator, Mapping

from publius.errors import DataError
from publius.records import Conversation, Preference
from publius.sources.hh import split_hh
from publius.sources.jsonl import Row
from publius.sources.pairs import LoadedPreferences, Pair, Refusal, check_pair, collect
from publius.sources.rows import read_rows
from publius.sources.turns import check_text, read_id, read_prompt_turns, read_turns

SHIPPED_AUDIT = ("audit",)


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
    return collect(_read_pairs(spec))


def _read_pairs(spec: str) -> Iterator[tuple[str, Pair | Refusal]]:
    for row in read_rows(spec, shipped=SHIPPED_AUDIT):
        yield row.where, _read_pair(row)


def _read_pair(row: Row) -> Pair | Refusal:
    given = {name for name, value in row.fields.items() if value is not None}
    if {"better", "worse"} <= given:
        return _read_explicit(row, "better", "worse")
    if {"text_correct", "text_incorrect"} <= given:
        return split_hh(row, "text_correct", "text_incorrect")
    if {"chosen", "rejected"} <= given:
        return _read_trl(row, has_prompt="prompt" in given)
    found = ", ".join(map(str, row.fields))[:200]
    todo = "a row needs prompt, chosen and rejected; or better and worse; or text_correct and text_incorrect"
    raise DataError(f"no comparison in the fields: {found}", where=row.where, todo=todo)


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
    return check_pair(Pair(read_id(row.fields, where=row.where), messages, better, worse, labels))
