"""Relabelling: the same pairs to the letter, other labels, and a report of how they moved."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from publius.cli import cli
from publius.errors import DataError, UsageError
from publius.feedback.relabel import label_movement
from publius.pipeline.plan import plan_recipe
from publius.pipeline.recipe import Recipe
from publius.records import Comparison, Preference, content_hash, conversation
from publius.store import Journal, StageManifest

Run = Callable[..., StageManifest]
Rows = Callable[..., list[dict[str, Any]]]
Load = Callable[..., Recipe]
PAGE = Path(__file__).parents[2] / "docs" / "feedback.md"


def again(folder: Path, *settings: str) -> tuple[str, ...]:
    return (f"label.relabel={folder / 'first'}", 'stages=["label"]', *settings)


def test_the_pairs_stay_to_the_letter(tmp_path: Path, label_run: Run, label_rows: Rows) -> None:
    before = label_run("first", 'label.pairs=["samples", "contrast"]').figures
    after = label_run("second", *again(tmp_path, "constitution=humanity")).figures
    old, new = label_rows("first"), label_rows("second")
    assert len(old) == len(new) == before["n_asked"] + before["n_constructed"]
    for left, right in zip(old, new, strict=True):
        assert content_hash(left["comparison"]) == content_hash(right["comparison"])
    assert before["pairs_hash"] == after["pairs_hash"]
    assert after["pairs"] == {"earlier": {"made": len(new)}}
    assert {row["origin"] for row in new} == {"asked"}


def test_nothing_is_generated_again(tmp_path: Path, label_run: Run, label_recipe: Load) -> None:
    label_run("first", "label.construction=0.0")
    manifest = label_run("second", *again(tmp_path, "constitution=humanity"))
    with Journal(tmp_path / "second" / "journal.sqlite") as journal:
        assert (
            journal.count() == journal.count("label/audit") + journal.count("label/label") == 4 * 2 + 10 * 2
        )
    (plan,) = plan_recipe(label_recipe(*again(tmp_path, "constitution=humanity")))
    assert plan.calls == manifest.calls


def test_the_report_says_from_what_and_how_far(tmp_path: Path, label_run: Run, label_rows: Rows) -> None:
    label_run("first")
    figures = label_run("second", *again(tmp_path, "constitution=humanity")).figures["relabelled"]
    assert figures["source"].endswith("preferences.jsonl")
    assert figures["source_sha"].startswith("sha256:")
    assert figures["constitution_hash"]["before"] != figures["constitution_hash"]["after"]
    assert set(figures["movement"]) == {"asked", "construction"}
    asked = figures["movement"]["asked"]
    assert (asked["n"], asked["n_unlabelled"]) == (10, 0)
    labels = [
        (old["prob_a"], new["prob_a"])
        for old, new in zip(label_rows("first"), label_rows("second"), strict=True)
        if old["origin"] == "asked"
    ]
    assert asked["shift"]["value"] == pytest.approx(sum(new - old for old, new in labels) / 10)
    assert asked["distance"]["value"] == pytest.approx(sum(abs(new - old) for old, new in labels) / 10)
    same = sum((old > 0.5) == (new > 0.5) for old, new in labels)
    assert asked["agreement"]["value"] == same / 10
    assert asked["agreement"]["n"] == 10


def test_the_same_constitution_moves_nothing(tmp_path: Path, label_run: Run) -> None:
    label_run("first", "label.construction=0.0")
    moved = label_run("second", *again(tmp_path)).figures["relabelled"]["movement"]["asked"]
    assert moved["agreement"]["value"] == 1.0
    assert moved["shift"]["value"] == moved["distance"]["value"] == 0.0


def test_a_changed_source_is_labelled_anew(tmp_path: Path, label_run: Run) -> None:
    label_run("first", "label.construction=0.0")
    first = label_run("second", *again(tmp_path))
    assert label_run("second", *again(tmp_path)).finished_at == first.finished_at
    path = tmp_path / "first/stages/label/preferences.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert label_run("second", *again(tmp_path)).rows == first.rows - 1


def test_a_run_is_not_relabelled_where_it_lies(tmp_path: Path, label_run: Run, label_rows: Rows) -> None:
    label_run("first")
    before = label_rows("first")
    with pytest.raises(UsageError, match="own directory") as caught:
        label_run("first", *again(tmp_path))
    assert "--out" in (caught.value.todo or "")
    assert label_rows("first") == before


def test_what_cannot_be_relabelled_is_refused_before_anything_is_asked(
    tmp_path: Path, label_recipe: Load, label_run: Run, label_rows: Rows
) -> None:
    with pytest.raises(DataError, match="no preferences at"):
        plan_recipe(label_recipe(*again(tmp_path)))
    label_run("first", "label.construction=0.0")
    with pytest.raises(DataError, match="not among this recipe's training prompts") as caught:
        plan_recipe(label_recipe(*again(tmp_path, 'prompts.red_team=["red_team"]')))
    assert "[prompts]" in (caught.value.todo or "")
    path = tmp_path / "first/stages/label/preferences.jsonl"
    rows = label_rows("first")
    rows[0]["comparison"]["messages"][-1]["content"] += " Or is it?"  # the same id, another text
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"1 of its \d+ prompts are not among"):
        plan_recipe(label_recipe(*again(tmp_path)))
    path.write_text("")
    with pytest.raises(DataError, match="no preferences in it"):
        plan_recipe(label_recipe(*again(tmp_path)))


def test_a_constitution_without_comparison_questions_is_refused_by_the_plan(
    tmp_path: Path, label_recipe: Load
) -> None:
    path = tmp_path / "requests.toml"
    path.write_text(
        'name = "requests"\nversion = "1.0.0"\n[[principle]]\nid = "old"\n'
        'statement = "Say what is harmful."\ncritique = "Say what is harmful."\n'
    )
    with pytest.raises(DataError, match="'old' has no comparison question") as caught:
        plan_recipe(label_recipe(f"constitution={path}"))
    assert "comparison =" in (caught.value.todo or "")
    assert plan_recipe(label_recipe(f"constitution={path}"), only=["revise"])


def preference(prompt_id: str, prob_a: float | None) -> Preference:
    comparison = Comparison(f"c{prompt_id}", prompt_id, conversation(("user", "?")), "one", "two", "x", "y")
    return Preference(comparison, prob_a, "asked", "j", None, ())


def test_movement_counts_ties_and_what_is_missing() -> None:
    labels = [
        (0.9, 0.8),
        (0.9, 0.2),
        (0.1, 0.3),
        (0.5, 0.9),
        (None, 0.9),
        (0.2, None),
        (0.3, 0.1),
        (0.7, 0.9),
    ]
    moved = label_movement(
        (preference(str(i), old), preference(str(i), new)) for i, (old, new) in enumerate(labels)
    )
    assert (moved.n, moved.n_unlabelled, moved.n_ties) == (6, 2, 1)
    assert moved.agreement is not None
    assert (moved.agreement.value, moved.agreement.n) == (4 / 5, 5)
    assert moved.kappa is not None
    assert moved.kappa.value == pytest.approx((0.8 - 0.48) / 0.52)
    assert moved.kappa.low < moved.kappa.value < moved.kappa.high
    assert moved.shift is not None
    assert moved.shift.value == pytest.approx((-0.1 - 0.7 + 0.2 + 0.4 - 0.2 + 0.2) / 6)
    assert moved.distance is not None
    assert moved.distance.value == pytest.approx(1.8 / 6)


def test_movement_of_nothing_is_no_number() -> None:
    moved = label_movement([(preference("a", None), preference("a", 0.5))])
    assert (moved.n, moved.n_unlabelled) == (0, 1)
    assert moved.agreement is moved.kappa is moved.shift is moved.distance is None
    one = label_movement([(preference("a", 0.9), replace(preference("a", 0.8), judge="other"))])
    assert one.agreement is not None
    assert one.shift is None


def test_the_command_of_the_page_relabels_a_run(tmp_path: Path, label_run: Run, label_rows: Rows) -> None:
    label_run("first")
    (command,) = re.findall(r"^    publius (label .*--relabel.*)$", PAGE.read_text(), re.MULTILINE)
    here = {"demo": "small.toml", "runs/demo": "first", "runs/humanity": "second"}
    arguments = [str(tmp_path / here[word]) if word in here else word for word in command.split()]
    done = CliRunner().invoke(cli, [*arguments, "--json", "-q"])
    assert done.exit_code == 0, done.output
    assert [row["comparison"] for row in label_rows("second")] == [
        row["comparison"] for row in label_rows("first")
    ]
    assert json.loads(done.stdout)["labels"]["relabelled"]["movement"]["asked"]["n"] == 10
    shown = CliRunner().invoke(cli, ["status", str(tmp_path / "second")]).output
    assert "labels: 18 asked; soft; mean P(A)" in shown
    assert "pairs from earlier: 18 made" in shown
    assert "asked, n = 10: same side" in shown
