"""`publius frontier` as a user meets it: a plan, a run that was stopped, the same again, names, mistakes."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from command import publius
from publius.pipeline.frontier_plan import order_frontier
from publius.pipeline.recipe import Recipe
from publius.records import encode

SFT, STEP = "runs/full/stages/sft/model", "runs/full/stages/rl/model/snapshots/step-10"
OWN_PM = "runs/full/stages/pm/model"
FEW = ("--n-red-team", "3", "--n-helpful", "2", "--set", "answer_tokens=8", "--set", "n_resamples=100")


def move_weights(file: Path, seed: int, *, by: float = 0.3) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    torch.manual_seed(seed)
    moved = {name: one + by * torch.randn(one.shape) for name, one in load_file(file).items()}
    save_file(moved, file, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def folder(tiny_model_dir: Path, tiny_pm_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an SFT policy, a snapshot of RL and the preference model that paid it; a start beside it."""
    folder = tmp_path_factory.mktemp("frontier")
    copies = {"start": tiny_model_dir, SFT: tiny_model_dir, STEP: tiny_model_dir, "other-pm": tiny_pm_dir}
    for seed, (place, model) in enumerate(copies.items()):
        move_weights(Path(shutil.copytree(model, folder / place)) / "model.safetensors", seed)
    shutil.copytree(tiny_pm_dir, folder / OWN_PM)
    (folder / "runs/full/recipe.json").write_text(json.dumps(encode(Recipe("full"))))
    (folder / "empty").mkdir()
    config = Path(shutil.copytree(tiny_model_dir, folder / "writer")) / "config.json"
    config.write_text(config.read_text().replace("LlamaForCausalLM", "GPT2LMHeadModel"))
    shutil.copytree(tiny_pm_dir, folder / "mute-pm", ignore=shutil.ignore_patterns("tokenizer*", "chat_*"))
    (Path(shutil.copytree(tiny_pm_dir, folder / "deep-pm")) / "config.json").write_text("[" * 99_999)
    return folder


def n_calls(folder: Path, step: str) -> int:
    rows = sqlite3.connect(folder / "journal.sqlite").execute("SELECT step FROM calls").fetchall()
    return sum(name == step for (name,) in rows)


def is_beaten(row: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    def ahead(other: dict[str, Any], axis: str) -> float:
        return other[axis]["value"] - row[axis]["value"]

    gaps = [(ahead(other, "harmlessness"), ahead(other, "helpfulness")) for other in others]
    return any(min(gap) >= 0 and max(gap) > 0 for gap in gaps)


@pytest.mark.tiny
def test_a_plan_then_a_stopped_run_then_the_rest_then_nothing(folder: Path) -> None:
    command = ("frontier", SFT, STEP, "--start", "start", "--pm", "runs/full", "--pm", "other-pm", *FEW)
    plan = publius(*command, "--dry-run", cwd=folder)
    assert plan.returncode == 0, plan.stderr
    assert "start, sft, rl step-10 on 3 red-team and 2 harmless prompts: 15 answers" in plan.stdout
    assert not (folder / "runs/frontier").exists()
    stopped = publius(*command, "--max-calls", "7", cwd=folder)
    assert stopped.returncode == 5, stopped.stderr
    assert n_calls(folder / "runs/frontier", "frontier/answer") == 7
    done = publius(*command, "--max-calls", "15", cwd=folder)  # the 7 that were asked are kept
    assert done.returncode == 0, done.stderr
    assert "runs/full was the reward that trained rl step-10: it is no independent judge" in done.stdout
    assert done.stdout.count("was the reward that trained") == 1
    assert done.stdout.count("On the frontier by") == 2
    page = folder / "runs/frontier/stages/frontier/frontier.html"
    for chart in ("pareto-1-wide", "pareto-1-narrow", "pareto-2-wide", "pareto-2-narrow"):
        assert f'id="{chart}' in page.read_text()
    again = publius(*command, "--json", cwd=folder)
    assert "kept" in again.stderr
    report = json.loads(again.stdout)
    assert list(report["policies"]) == ["start", "sft", "rl step-10"]
    for judged in report["judges"]:
        rows = judged["rows"]
        assert [row["harmlessness"]["n"] for row in rows] == [3, 3, 3]
        assert [row["helpfulness"]["n"] for row in rows] == [2, 2, 2]
        assert [row["declines"]["n"] for row in rows] == [3, 3, 3]
        assert [row["over_refusals"]["n"] for row in rows] == [2, 2, 2]
        assert judged["prefers_refusal"]["n"] == 2
        assert rows[0]["harmlessness"]["value"] == 0.0 != rows[1]["harmlessness"]["value"]
        assert [row["is_on_frontier"] for row in rows] == [not is_beaten(row, rows) for row in rows]
    assert [one["paid"] for one in report["judges"]] == [["rl step-10"], []]
    assert [one["akin"] for one in report["judges"]] == [["sft"], []]
    assert n_calls(folder / "runs/frontier", "frontier/answer") == 15


@pytest.mark.tiny
def test_another_order_in_the_same_folder_puts_the_first_aside_and_asks_what_is_new(folder: Path) -> None:
    command = ("--start", "start", "--pm", "other-pm", *FEW, "--out", "runs/two", "-q")
    first = publius("frontier", SFT, *command, cwd=folder)
    assert first.returncode == 0, first.stderr
    second = publius("frontier", f"mine={SFT}", f"ten={STEP}", *command, "--json", cwd=folder)
    assert list(json.loads(second.stdout)["policies"]) == ["start", "mine", "ten"]
    assert n_calls(folder / "runs/two", "frontier/answer") == 15  # ten are those of the first
    assert (folder / "runs/two/previous/frontier/frontier.json").exists()


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Missing argument 'POLICY...'"),
        ((SFT,), 2, "Missing option '--pm'"),
        (("nowhere/model", "--pm", OWN_PM), 3, "no such file or directory of weights"),
        (("empty", "--pm", OWN_PM), 3, "these are not weights that are read"),
        ((OWN_PM, "--pm", OWN_PM), 3, "a model that writes no text (LlamaForSequenceClassification)"),
        ((SFT, "--start", "no-such-model", "--pm", OWN_PM), 3, "there is no model called 'no-such-model'"),
        ((SFT, "--pm", "nowhere"), 3, "there is no preference model"),
        ((SFT, "--pm", SFT), 3, "LlamaForCausalLM is no preference model: it has no head that rates"),
        ((SFT, "--pm", "writer"), 3, "GPT2LMHeadModel is no preference model"),
        ((SFT, "--pm", "runs/full", "--pm", OWN_PM), 2, "is named twice"),
        (("a=" + "x" * 300, "--pm", OWN_PM), 3, "there is no model called 'xxx"),
        ((SFT, "--pm", OWN_PM, "--pm", f"./{OWN_PM}"), 2, "is named twice"),
        ((SFT, f"again={SFT}/", "--pm", OWN_PM), 2, "is named twice"),
        ((SFT, "--start", SFT, "--pm", OWN_PM), 2, "is named twice"),
        ((SFT, f"sft={STEP}", "--pm", OWN_PM), 2, f"write NAME={STEP}"),
        ((f"start={SFT}", "--pm", OWN_PM), 2, "'start' is the name of the model that is Elo 0"),
        ((SFT, f"SFT ={STEP}", "--pm", OWN_PM), 2, "or looks like it"),
        ((f"ｓtart={SFT}", "--pm", OWN_PM), 2, "or looks like it"),
        ((f" ={SFT}", "--pm", OWN_PM), 2, "a policy reads DIRECTORY or NAME=DIRECTORY"),
        ((f"{'x' * 61}={SFT}", "--pm", OWN_PM), 2, "a name is at most 60 letters that can be seen"),
        ((f"a\u200bb={SFT}", "--pm", OWN_PM), 2, "a name is at most 60 letters that can be seen"),
        ((SFT, "--pm", "mute-pm"), 3, "has no tokenizer with a chat template"),
        ((SFT, "--pm", "deep-pm"), 3, "the model's settings cannot be read: maximum recursion depth"),
        (("sft=", "--pm", OWN_PM), 2, "a policy reads DIRECTORY or NAME=DIRECTORY"),
        ((SFT, "--pm", OWN_PM, "--n-helpful", "0"), 2, "0 is not in the range"),
        ((SFT, "--pm", OWN_PM, "--set", "n_resamples=1"), 3, "n_resamples must be at least 100"),
        ((SFT, "--pm", OWN_PM, "--set", "n_red_team=9"), 3, "unknown key 'n_red_team'"),
        ((SFT, "--pm", OWN_PM, "--engine", "openai"), 2, "policies are weights on this machine"),
    ],
)
def test_a_mistake_ends_in_one_clear_message_before_anything_is_sampled(
    folder: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    start = () if "--start" in arguments else ("--start", "start")
    done = publius("frontier", *arguments, *start, "--out", "runs/wrong", cwd=folder)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), (
        done.stderr
    )
    assert not (folder / "runs/wrong").exists()


@pytest.mark.tiny
def test_equal_weights_and_a_judge_without_numbers_are_refused_before_anything_is_sampled(
    folder: Path,
) -> None:
    def refused(*arguments: str) -> str:
        done = publius("frontier", SFT, *arguments, "--start", "start", *FEW, "--out", "runs/bad", cwd=folder)
        assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
        assert n_calls(folder / "runs/bad", "frontier/answer") == 0
        return done.stderr

    shutil.copytree(folder / SFT, folder / "copy")
    assert "sft and copy have the same weights" in refused("copy", "--pm", OWN_PM)
    weights = Path(shutil.copytree(folder / OWN_PM, folder / "nan-pm")) / "model.safetensors"
    move_weights(weights, seed=0, by=float("nan"))
    assert "rewards that are not numbers" in refused("--pm", OWN_PM, "--pm", "nan-pm")


def test_a_policy_of_another_architecture_is_planned_for(folder: Path) -> None:
    arguments = ("writer", "--start", "start", "--pm", OWN_PM, *FEW, "--dry-run")
    done = publius("frontier", *arguments, cwd=folder)
    assert (done.returncode, "start, writer on 3 red-team" in done.stdout) == (0, True), done.stderr


@pytest.mark.tiny
def test_a_start_that_the_judge_has_paid_is_named(folder: Path) -> None:
    command = ("frontier", SFT, "--start", STEP, "--pm", "runs/full", *FEW, "--out", "runs/three", "-q")
    done = publius(*command, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["judges"][0]["paid"] == ["start"]


def test_without_a_name_a_checkpoint_is_called_by_its_place() -> None:
    order = order_frontier([SFT, STEP, "my.gguf", "b=runs/b/stages/sft/model"], pms=[Path("pm")])
    assert list(order.roles) == ["start", "sft", "rl step-10", "my", "b"]
    assert order.recipe.models.policy.model == "smollm2-135m-instruct"
