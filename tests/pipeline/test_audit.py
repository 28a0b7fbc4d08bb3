"""Audits from order to page: several judges side by side, nothing asked twice, and the label stage's own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from publius.constitution import load_constitution
from publius.errors import BudgetReached, DataError, JudgeNotTrusted, StoreError, UsageError
from publius.feedback.label import judged_prob
from publius.pipeline.audit import AuditOrder, audit_run, order_audit, plan_audit, read_audit, run_audit
from publius.pipeline.recipe import Recipe, load_recipe
from publius.pipeline.runner import Listener, StageEvent, run_recipe
from publius.records import Preference, Vote, encode
from publius.sources import load_comparisons
from publius.store import Budget, Journal, StageManifest, read_records, write_records

RECIPE = """
name = "audited"
stages = ["label"]
rl_start = "start"
[models.policy]
model = "{weights}"
engine = "scripted"
[models.feedback]
model = "{weights}"
engine = "scripted"
options = {{ prefer = "{prefer}" }}
[models.judge]
model = "{weights}"
engine = "scripted"
[label]
n_red_team = 6
n_helpful = 6
answer_tokens = 12
construction = 0
principles = "mean"
n_audit = 40
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "rules.gguf"
    path.write_bytes(b"a scripted engine reads no weights")
    return path


def recipe(weights: Path, *settings: str, prefer: str = "sorry") -> Recipe:
    path = weights.parent / "audited.toml"
    path.write_text(RECIPE.format(weights=weights, prefer=prefer))
    return load_recipe(str(path), settings=settings, environment={})


def audit(order: AuditOrder, out: Path, *, budget: Budget | None = None) -> tuple[StageManifest, list[str]]:
    events: list[StageEvent] = []
    manifest = run_audit(order, out, Listener(events.append, lambda *_: None), budget=budget)
    return manifest, [event.outcome for event in events]


def label(recipe: Recipe, out: Path) -> StageManifest:
    (manifest,) = run_recipe(recipe, out, Listener(lambda _: None, lambda *_: None))
    return manifest


def n_calls(out: Path) -> int:
    with Journal(out / "journal.sqlite") as journal:
        return journal.count()


def human_set(path: Path, n: int) -> Path:
    rows = [
        {"prompt": f"Question {i}?", "chosen": f"Answer {i} with cats.", "rejected": f"Answer {i} with dogs."}
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_judges_side_by_side_are_audited_compared_and_shown(tmp_path: Path, weights: Path) -> None:
    order = order_audit(
        recipe(weights, prefer="cats"), also=("judge",), source=str(human_set(tmp_path / "s.jsonl", 30))
    )
    manifest, outcomes = audit(order, tmp_path / "run")
    assert outcomes == ["started", "done"]
    report = read_audit(tmp_path / "run")
    first, second = report.audits
    assert (first.finding, first.n, first.accuracy and first.accuracy.value) == ("trusted", 30, 1.0)
    assert second.judge == f"{first.judge} (2)"
    assert report.panel is not None
    assert report.panel.judges == (first.judge, second.judge)
    assert manifest.calls + 2 * 30 == n_calls(tmp_path / "run") == 4 * 30
    page = (tmp_path / "run/stages/audit/audit.html").read_text()
    assert "prefers what people prefer in 100" in page
    assert "kappa" in page
    votes = read_records(tmp_path / "run/stages/audit/judged-2.jsonl", Preference)
    assert {item.comparison.id for item in votes} == {
        item.comparison.id for item in load_comparisons(order.source).preferences
    }


def test_the_same_order_asks_nothing_and_a_larger_one_asks_for_the_rest(
    tmp_path: Path, weights: Path
) -> None:
    own = recipe(weights)
    audit(order_audit(own, n=10), tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run/stages/audit").iterdir()}
    assert audit(order_audit(own, n=10), tmp_path / "run")[1] == ["reused"]
    assert {path: path.read_bytes() for path in (tmp_path / "run/stages/audit").iterdir()} == before
    assert n_calls(tmp_path / "run") == 20
    audit(order_audit(own, n=25), tmp_path / "run")
    assert n_calls(tmp_path / "run") == 50
    audit(order_audit(own, also=("judge",), n=25), tmp_path / "run")
    assert n_calls(tmp_path / "run") == 100
    assert order_audit(own, also=("feedback",)).judges == (own.models.feedback,)


def test_several_processes_are_refused(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="audit runs in one process"):
        audit(order_audit(recipe(weights), n=10), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("calibration", ["none", "content-free"])
def test_a_plan_counts_what_the_run_then_asks(tmp_path: Path, weights: Path, calibration: str) -> None:
    own = recipe(weights, f"label.judge.calibration={calibration}")
    order = replace(order_audit(own, also=("judge",), n=7), by_principle=True)
    plan = plan_audit(order)
    audit(order, tmp_path / "run")
    assert plan.calls == n_calls(tmp_path / "run")
    assert (plan.n_comparisons, len(plan.judges)) == (7, 2)
    names = [one.judge for one in read_audit(tmp_path / "run").audits]
    assert [name.endswith("mean of 16 principles") for name in names] == [False, True, False, True]
    by_principle = read_audit(tmp_path / "run").audits[1]
    assert len(by_principle.principles) == 16
    assert all(one.accuracy is not None for one in by_principle.principles)
    assert by_principle.among_principles is not None
    assert len(by_principle.among_principles.pairs) == 16 * 15 // 2


def test_a_judge_is_not_audited_in_a_layout_that_it_does_not_know(weights: Path, tiny_base_dir: Path) -> None:
    base = [f"models.judge.model={tiny_base_dir}", "models.judge.engine=transformers"]
    plan_audit(order_audit(recipe(weights, *base, "label.judge.layout=pretrained"), also=("judge",)))
    with pytest.raises(DataError, match=r"no chat template(.|\n)*pretrained"):
        plan_audit(order_audit(recipe(weights, *base), also=("judge",)))
    server = ["models.judge.engine=openai", "models.judge.options={ base_url = 'http://127.0.0.1:9/v1' }"]
    plan_audit(order_audit(recipe(weights, *server), also=("judge",)))
    with pytest.raises(DataError, match=r"plain text(.|\n)*chat"):
        plan_audit(order_audit(recipe(weights, *server, "label.judge.layout=pretrained"), also=("judge",)))


def test_a_budget_stops_an_audit_and_a_higher_one_goes_on(tmp_path: Path, weights: Path) -> None:
    order = order_audit(recipe(weights), n=20)
    with pytest.raises(BudgetReached):
        audit(order, tmp_path / "run", budget=Budget(max_calls=15))
    assert n_calls(tmp_path / "run") <= 15
    audit(order, tmp_path / "run", budget=Budget(max_calls=40))
    assert n_calls(tmp_path / "run") == 40


def test_what_an_audit_asked_the_label_stage_does_not_ask_again(tmp_path: Path, weights: Path) -> None:
    own = recipe(weights, "label.train_on_chance=true")
    audit(order_audit(own), tmp_path / "run")
    asked = n_calls(tmp_path / "run")
    label(own, tmp_path / "run")
    label(own, tmp_path / "alone")
    assert asked == 80
    assert n_calls(tmp_path / "run") == n_calls(tmp_path / "alone")
    verb, stage = (
        read_audit(tmp_path / "run").audits[0],
        json.loads((tmp_path / "run/stages/label/audit.json").read_text()),
    )
    assert (
        stage["accuracy"]
        == json.loads((tmp_path / "run/stages/audit/audit.json").read_text())["audits"][0]["accuracy"]
    )
    assert verb.judge == stage["judge"]


def test_a_run_on_chance_stops_with_its_page_and_goes_on_when_told(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(JudgeNotTrusted, match="not above chance") as caught:
        label(recipe(weights, prefer="unheard-of"), tmp_path / "run")
    assert caught.value.exit_code == 3
    assert "label.train_on_chance=true" in (caught.value.todo or "")
    folder = tmp_path / "run/stages/label"
    assert "not better than chance" in (folder / "audit.html").read_text()
    assert not (folder / "manifest.json").exists()
    label(recipe(weights, "label.train_on_chance=true", prefer="unheard-of"), tmp_path / "run")
    assert (folder / "manifest.json").exists()


def test_a_run_below_chance_stops_too(tmp_path: Path, weights: Path) -> None:
    source = human_set(tmp_path / "s.jsonl", 30)
    with pytest.raises(JudgeNotTrusted, match="below chance: the judge is inverted"):
        label(recipe(weights, f"audit={source}", prefer="dogs"), tmp_path / "run")


def test_the_label_stage_shows_its_principles_and_its_votes_can_be_audited_later(
    tmp_path: Path, weights: Path
) -> None:
    own = recipe(weights, "label.train_on_chance=true")
    for name in ("one", "two"):
        label(own, tmp_path / name)
    folder = tmp_path / "one/stages/label"
    assert (folder / "audit.html").read_bytes() == (tmp_path / "two/stages/label/audit.html").read_bytes()
    before = n_calls(tmp_path / "one")
    report = audit_run(tmp_path / "one")
    assert n_calls(tmp_path / "one") == before
    (found,) = report.audits
    made = read_records(folder / "preferences.jsonl", Preference)
    assert found.n == sum(
        judged_prob(item.votes, {vote.principle_id: 1.0 for vote in item.votes}) is not None for item in made
    )
    assert (found.accuracy, found.finding) == (None, "unlabelled")
    written = json.loads((folder / "audit.json").read_text())["labels"]
    assert written["principles"] == json.loads(json.dumps(encode(found)))["principles"]
    assert len(found.principles) == 16 + len(load_constitution(own.helpfulness).principles)
    assert found.among_principles is not None
    assert "The labels that it then gave" in (folder / "audit.html").read_text()
    assert audit_run(folder / "preferences.jsonl").audits == report.audits


def test_principles_weigh_in_an_audit_of_labels_as_in_the_run_s_constitution(
    tmp_path: Path, weights: Path
) -> None:
    rules = tmp_path / "weighed.toml"
    principle = '[[principle]]\nid = "{}"\nstatement = "Be {}."\nweight = {}\n'
    rules.write_text(
        'name = "weighed"\nversion = "1.0.0"\n'
        + "".join(principle.format(id, id, n) for id, n in (("kind", 9), ("brief", 1)))
    )
    own = recipe(weights, "label.train_on_chance=true", f"constitution={rules}", "label.n_helpful=0")
    label(own, tmp_path / "run")
    file = tmp_path / "run/stages/label/preferences.jsonl"
    # as if the principles were of opposite opinions
    made = [
        replace(item, votes=(Vote("kind", None, -0.1, -3.0, 0.9), Vote("brief", None, -3.0, -0.1, 0.9)))
        for item in read_records(file, Preference)
    ]
    write_records(file, made)
    assert audit_run(file).audits[0].n_ties == len(made)
    (weighed,) = audit_run(tmp_path / "run").audits
    assert (weighed.n_ties, weighed.n) == (0, len(made))


def test_a_file_without_votes_or_without_labels_of_people_is_refused(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(StoreError, match="missing"):
        audit_run(tmp_path / "nowhere")
    label(recipe(weights, "label.train_on_chance=true", prefer="on"), tmp_path / "run")
    made = tmp_path / "run/stages/label/preferences.jsonl"
    order = order_audit(recipe(weights), source=str(made))
    with pytest.raises(DataError, match="not labelled by people"):
        plan_audit(order)
    bare = tmp_path / "bare.jsonl"
    bare.write_text("")
    with pytest.raises(DataError, match="carries a vote"):
        audit_run(bare)
    with pytest.raises(DataError, match=r"nobody\.gguf"):
        plan_audit(order_audit(recipe(weights), also=("./nobody.gguf",)))


def test_principles_without_a_comparison_question_are_refused_by_the_plan(
    tmp_path: Path, weights: Path
) -> None:
    path = tmp_path / "requests.toml"
    path.write_text(
        'name = "requests"\nversion = "1.0.0"\n[[principle]]\nid = "old"\n'
        'statement = "Say what is harmful."\ncritique = "Say what is harmful."\n'
    )
    order = order_audit(recipe(weights, f"constitution={path}"), n=2)
    plan_audit(order)  # asks the general question only
    with pytest.raises(DataError, match="'old' has no comparison question"):
        plan_audit(replace(order, by_principle=True))


def test_a_plan_pays_for_every_repeated_vote(weights: Path) -> None:
    server = "base_url = 'http://127.0.0.1:9/v1'"
    costs = [
        plan_audit(
            order_audit(
                recipe(
                    weights,
                    "models.feedback.engine=openai",
                    f"models.feedback.options={{ {options} }}",
                    "models.feedback.price={ input = 1.0, output = 1.0 }",
                ),
                n=3,
            )
        ).cost
        for options in (server, f"{server}, votes = 8")
    ]
    assert costs[0] > 0
    assert costs[1] == pytest.approx(8 * costs[0])
