"""Experiments: read, planned, carried out, killed between arms, and compared."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from publius.cli.experiment import comparison_text
from publius.errors import DataError, UsageError
from publius.pipeline.experiment.doubts import doubts
from publius.pipeline.experiment.measures import Asked, constant_answers, win_rate_table
from publius.pipeline.experiment.plan import plan_experiment
from publius.pipeline.experiment.recipe import Experiment, load_experiment
from publius.pipeline.experiment.run import PAGE, read_comparison, run_experiment
from publius.pipeline.recipe import load_recipe, shipped_recipes
from publius.pipeline.runner import Listener, StageEvent
from publius.pipeline.suite import read_suite
from publius.records import encode
from publius.report.comparison import Comparison, render_comparison
from publius.sources import load_questions
from publius.store import Journal, StageManifest, read_manifest

pytestmark = pytest.mark.tiny
Write = Callable[..., str]

SPECIFIC = """
[experiment]
kind = "specific-vs-general"
sets = ["power", "risk"]
transfer = ["narcissism"]
n_questions = 4
n_prompts = 2
n_samples = 2
answer_tokens = 8
[experiment.arms.traits]
constitution = "traits"
[experiment.arms.special]
constitution = "good-for-humanity"
[experiment.arms.one-line]
constitution = "humanity"
stages = ["label", "pm"]
"""
CAI = """
[experiment]
kind = "paper-cai"
[experiment.arms.people]
stages = ["pm"]
human_preferences = ["audit"]
[experiment.arms.soft]
stages = ["revise", "sft", "label", "pm", "rl", "evaluate"]
[experiment.arms.hard]
stages = ["revise", "sft", "label", "pm", "rl", "evaluate"]
label = { mode = "hard" }
[experiment.arms.one-principle]
revise = { n_principles = 1 }
[experiment.arms.direct]
revise = { mode = "direct" }
"""
SMALL = (
    "label.n_construction=0",
    "label.n_audit=4",
    "label.n_helpful=2",
    "label.n_red_team=0",
    "label.n_trait=4",
    "label.per_prompt=2",
    "models.trained_engine=transformers",
    "rl_start=start",
)
ARMS = ("traits", "special", "one-line")


def write(folder: Path, write_tiny_recipe: Write, text: str, *stages: str) -> str:
    path = Path(write_tiny_recipe(folder, *stages))
    path.write_text(path.read_text() + text)
    return str(path)


def load(path: str, *settings: str) -> Experiment:
    found = load_experiment(path, settings=settings, environment={})
    assert found is not None
    return found


def run(experiment: Experiment, out: Path, *, stop_at: str = "") -> dict[str, str]:
    """Carry an experiment out, up to where `stop_at` begins; return the last outcome of every stage."""
    outcomes: dict[str, str] = {}

    def note(event: StageEvent) -> None:
        outcomes[event.stage] = event.outcome
        if event.stage == stop_at and event.outcome == "started":
            raise KeyboardInterrupt

    run_experiment(experiment, out, Listener(note, lambda *_: None))
    return outcomes


def manifest(out: Path, arm: str, stage: str) -> StageManifest:
    found = read_manifest(out / "arms" / arm / "stages" / stage)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def specific(tmp_path_factory: pytest.TempPathFactory, write_tiny_recipe: Write) -> tuple[Experiment, Path]:
    """A finished experiment on specific and general principles: (experiment, directory)."""
    folder = tmp_path_factory.mktemp("specific")
    experiment = load(write(folder, write_tiny_recipe, SPECIFIC, "label", "pm", "rl"), *SMALL)
    run(experiment, folder / "out")
    return experiment, folder / "out"


@pytest.fixture(scope="module")
def cai(tmp_path_factory: pytest.TempPathFactory, write_tiny_recipe: Write) -> Path:
    """The directory of a finished experiment on the ablations of Constitutional AI."""
    folder = tmp_path_factory.mktemp("cai")
    path = write(folder, write_tiny_recipe, CAI, "revise")
    run(load(path, "label.n_audit=4"), folder / "out")
    return folder / "out"


def check_tables(out: Path) -> dict[str, tuple[str, ...]]:
    """Check that every number has an interval, an n and its records; return the names of rows by table."""
    comparison = read_comparison(out)
    for table in comparison.tables:
        assert table.judge
        for row in table.rows:
            assert len(row.cells) == len(table.arms)
            for cell in row.cells:
                assert cell.estimate is not None, (table.id, row.name)
                assert cell.estimate.low <= cell.estimate.value <= cell.estimate.high
                assert cell.estimate.n > 0
                assert (out / cell.records).is_file()
    return {table.id: tuple(row.name for row in table.rows) for table in comparison.tables}


def test_the_table_on_principles_is_complete(specific: tuple[Experiment, Path]) -> None:
    experiment, out = specific
    assert check_tables(out) == {
        "win-rate": ("power", "risk", "average of 2 sets"),
        "transfer": ("narcissism",),
        "people": ("audit",),
        "difference": ("trained traits", "other traits"),
        "labels": ("same side", "distance of labels"),
        "trait-elo": ("before training", "after training", "change"),
    }
    comparison = read_comparison(out)
    tables = {table.id: table for table in comparison.tables}
    assert tables["win-rate"].arms == tuple(arm.name for arm in experiment.arms) == ARMS
    assert [row.chance for row in tables["win-rate"].rows] == [0.5, 0.5, 0.5]
    assert tables["trait-elo"].arms == ("traits", "special")
    assert any("Elo of the policy of traits" in doubt for doubt in comparison.not_concluded)
    assert any("contain chance" in doubt for doubt in comparison.not_concluded)


def test_a_model_that_always_says_the_same_is_named(specific: tuple[Experiment, Path]) -> None:
    _, out = specific
    questions = {name: load_questions(name).questions for name in ("power", "risk")}
    asked = Asked(questions, {}, {}, {"a": ("power", "risk"), "b": ()})
    (sentence,) = constant_answers(asked)
    assert sentence.startswith("The preference model of a prefers one and the same answer in 2 of 2 sets (po")
    told = read_comparison(out).not_concluded
    for arm in ARMS:
        (subject,) = read_suite(out / "measures" / f"suites-{arm}").subjects
        flagged = [one.source for one in subject.sets if one.constant and one.constant.flagged]
        named = [one for one in told if one.startswith(f"The preference model of {arm} prefers one")]
        assert len(named) == bool(flagged)


def test_what_arms_share_is_made_once(specific: tuple[Experiment, Path]) -> None:
    _, out = specific
    labels = [manifest(out, arm, "label") for arm in ARMS]
    assert len({one.figures["pairs_hash"] for one in labels}) == 1
    assert labels[0].rows == 4 * 2 + 2 * 2
    with Journal(out / "journal.sqlite") as journal:
        assert journal.count("label/sample") == 2 * labels[0].rows
        assert journal.count("label/audit") == 2 * 4
        n_votes = journal.count("label/label")
    # helpful prompts are decided by the constitution of helpfulness, which is the same in all arms
    assert n_votes == 2 * (3 * 4 * 2 + 2 * 2)
    # what an arm rests on is its own, whoever asked first
    assert {one.calls for one in labels} == {2 * labels[0].rows + 2 * 4 + 2 * labels[0].rows}


def test_the_page_shows_every_arm_and_links_to_records(specific: tuple[Experiment, Path]) -> None:
    _, out = specific
    page = (out / PAGE).read_text()
    for table in read_comparison(out).tables:
        assert f'href="{table.rows[0].cells[0].records}"' in page
    assert "What was not concluded" in page
    assert "<script" not in page


def test_run_again_it_asks_and_trains_nothing(specific: tuple[Experiment, Path]) -> None:
    experiment, out = specific
    assert set(run(experiment, out).values()) == {"reused"}


def test_stopped_between_arms_it_goes_on(tmp_path: Path, specific: tuple[Experiment, Path]) -> None:
    experiment, finished = specific
    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "out", stop_at="special · pm")
    with pytest.raises(KeyboardInterrupt):
        run(experiment, tmp_path / "out", stop_at="comparison")
    outcomes = run(experiment, tmp_path / "out")
    assert {stage: outcome for stage, outcome in outcomes.items() if outcome != "reused"} == {
        stage: "done" for stage in outcomes if stage.startswith("comparison")
    }
    again, before = read_comparison(tmp_path / "out"), read_comparison(finished)
    assert encode(again) == encode(before)


def test_an_arm_takes_over_what_another_has_done(cai: Path) -> None:
    soft, hard = (cai / "arms" / arm / "stages" for arm in ("soft", "hard"))
    for file in ("revise/chains.jsonl", "sft/model/model.safetensors"):
        assert (soft / file).samefile(hard / file)
    own, other = (replace(manifest(cai, arm, "sft"), recipe="") for arm in ("hard", "soft"))
    assert own == other
    rows = [json.loads(line) for line in (hard / "label/preferences.jsonl").read_text().splitlines()]
    assert {row["prob_a"] for row in rows if row["origin"] == "asked"} <= {0.0, 0.5, 1.0}


def test_the_table_of_ablations_is_complete(cai: Path) -> None:
    rows = check_tables(cai)
    assert rows["revisions"] == (
        "draft",
        "revision 1",
        "revision 2",
        "revision 1 less the draft",
        "revision 2 less the draft",
    )
    assert "harmlessness, rl over sft" in rows["elo"]
    assert "helpfulness, sft over start" in rows["elo"]
    tables = {table.id: table for table in read_comparison(cai).tables}
    assert tables["revisions"].arms == ("soft", "hard", "one-principle", "direct")
    assert tables["elo"].arms == ("soft", "hard")
    chains = (cai / "arms/one-principle/stages/revise/chains.jsonl").read_text().splitlines()
    used = {item["principle_id"] for line in chains for item in json.loads(line)["revisions"]}
    assert len(used) == 1


def test_no_data_is_a_dash_and_a_doubt() -> None:
    table = win_rate_table(
        Asked({"power": load_questions("power").questions}, {"a": {"power": {}}}, {"a": "a.jsonl"}),
        id="win-rate",
        title="Win rates",
    )
    assert table is not None
    assert table.rows[0].cells[0].estimate is None
    assert doubts([table])[0] == "Win rates: 1 of 1 numbers have no data."
    found = Comparison("x", "", "k", 0, ("a",), (table,), doubts([table]))
    assert "power  –     50%  –" in comparison_text(found)
    page = render_comparison(found)
    assert "Nothing here could be measured." in page
    assert "–</td>" in page


def test_a_plan_names_every_arm_and_counts_what_is_shared_once(specific: tuple[Experiment, Path]) -> None:
    plans = plan_experiment(specific[0])
    assert [plan.name for plan in plans] == [*ARMS, "comparison"]
    calls = {plan.name: plan.stages[0].calls for plan in plans}
    label = manifest(specific[1], "traits", "label")
    assert calls["traits"] == label.calls
    assert calls["special"] == 2 * label.rows
    assert plans[-1].stages[0].seconds > 0


def test_a_plan_tells_the_stages_that_an_arm_has_from_another(
    tmp_path: Path, write_tiny_recipe: Write
) -> None:
    plans = plan_experiment(load(write(tmp_path, write_tiny_recipe, CAI, "revise")))
    shared = {plan.name: plan.shared for plan in plans}
    assert shared["hard"] == ("revise", "sft")
    assert shared["soft"] == shared["direct"] == ()


def test_a_sweep_makes_every_arm_once_for_each_value(tmp_path: Path, write_tiny_recipe: Write) -> None:
    path = write(tmp_path, write_tiny_recipe, SPECIFIC, "label", "pm")
    swept = load(path, "experiment.sweep.pm.epochs=[1, 2]", 'experiment.sweep.label.mode=["soft"]')
    assert [arm.name for arm in swept.arms] == [f"{arm}--{n}" for n in (1, 2) for arm in ARMS]
    assert {arm.recipe.pm.epochs for arm in swept.arms} == {1, 2}


def test_what_an_arm_says_stands_above_settings_for_all(tmp_path: Path, write_tiny_recipe: Write) -> None:
    path = write(tmp_path, write_tiny_recipe, SPECIFIC, "label", "pm")
    settings = ("constitution=harmlessness", "pm.epochs=3", "experiment.arms.special.pm.epochs=5")
    arms = {arm.name: arm.recipe for arm in load(path, *settings).arms}
    assert arms["traits"].constitution == "traits"
    assert [arms[name].pm.epochs for name in ARMS] == [3, 5, 3]


@pytest.mark.parametrize(
    ("old", "new", "what", "line"),
    [
        (
            'constitution = "humanity"',
            'constituton = "humanity"',
            "did you mean 'constitution'",
            "constituton",
        ),
        ('constitution = "humanity"', "seed = false", "seed", "seed = false"),
        ("n_samples = 2", "n_sample = 2", "did you mean 'n_samples'", "n_sample = 2"),
        ("n_samples = 2", "n_samples = 0", "n_samples must be at least 1", ""),
        (
            'kind = "specific-vs-general"',
            'kind = "specific-vs-genral"',
            "did you mean 'specific-vs-general'",
            'kind = "spec',
        ),
        ("[experiment.arms.one-line]", "[experiment.arms.One_line]", "small letters", "[experiment.arms.One"),
        ('sets = ["power", "risk"]', 'sets = ["pover"]', "pover", ""),
        ("n_samples = 2", 'rated_by = "nobody"', "there is no arm 'nobody'", ""),
        ('stages = ["label", "pm"]', 'stages = ["label"]', "trains no preference model", ""),
        ("n_samples = 2", "sweep = { epochs = [1] }", "unknown key", ""),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(
    tmp_path: Path, write_tiny_recipe: Write, old: str, new: str, what: str, line: str
) -> None:
    path = write(tmp_path, write_tiny_recipe, SPECIFIC.replace(old, new), "label", "pm", "rl")
    with pytest.raises(DataError, match=what) as caught:
        run(load(path, *SMALL), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    if line:
        lines = Path(path).read_text().splitlines()
        number = next(n for n, own in enumerate(lines, start=1) if own.startswith(line))
        assert caught.value.where == f"{path}:{number}"


def test_later_rounds_are_refused(tmp_path: Path, write_tiny_recipe: Write) -> None:
    path = write(tmp_path, write_tiny_recipe, SPECIFIC, "label", "pm", "rl", "label-2", "pm-2", "rl-2")
    with pytest.raises(DataError, match="the arm 'traits' has 'label-2'"):
        run(load(path, *SMALL), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_processes_are_refused(
    tmp_path: Path, write_tiny_recipe: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, write_tiny_recipe, SPECIFIC, "label", "pm", "rl")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="an experiment runs in one process"):
        run(load(path, *SMALL), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_verbs_of_one_run_refuse_an_experiment(tmp_path: Path, write_tiny_recipe: Write) -> None:
    with pytest.raises(UsageError, match="an experiment of several runs"):
        load_recipe(write(tmp_path, write_tiny_recipe, SPECIFIC), environment={})


def test_another_question_set_is_compared_anew_and_nothing_is_trained(
    tmp_path: Path, specific: tuple[Experiment, Path]
) -> None:
    experiment, finished = specific
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    other = replace(experiment, settings=replace(experiment.settings, transfer=("psychopathy",), n_samples=1))
    outcomes = run(other, out)
    assert {outcome for stage, outcome in outcomes.items() if not stage.startswith("comparison")} == {
        "reused"
    }
    assert outcomes["comparison"] == "done"
    assert [row.name for row in read_comparison(out).tables[1].rows] == ["psychopathy"]


@pytest.mark.parametrize("name", ["specific-vs-general", "paper-cai"])
def test_shipped_experiments_can_be_read(name: str) -> None:
    assert name in shipped_recipes()
    assert len(load(name).arms) >= 4
