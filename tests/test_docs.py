"""What the documents say is so: commands run, paths exist, tables name every stage."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from publius.pipeline.experiment.recipe import load_experiment
from publius.pipeline.recipe import load_recipe
from publius.pipeline.stage_table import STAGES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
INDEX = (ROOT / "docs" / "README.md").read_text()
COMMANDS = dict.fromkeys(re.findall(r"^    publius (.+?)(?:\s+#.*)?$", README + INDEX, re.MULTILINE))


def test_the_readme_and_the_index_show_commands() -> None:
    assert len(COMMANDS) >= 15


def test_the_index_names_every_document_and_no_other() -> None:
    named = re.findall(r"`([a-z-]+\.md)`", INDEX)
    assert sorted(named) == sorted(page.name for page in (ROOT / "docs").glob("[a-z]*.md"))


@pytest.mark.parametrize("command", [text for text in COMMANDS if not text.startswith("status")])
def test_a_command_of_the_readme_or_the_index_runs(command: str, tmp_path: Path) -> None:
    (tmp_path / "my-rules.md").write_text(
        "# Ours\n\n- The assistant should be kind to the person it talks to.\n"
    )
    games = [{"prompt_id": id, "a": "new", "b": "old", "prob_a": p} for id, p in (("x", 0.7), ("y", 0.4))]
    (tmp_path / "games.jsonl").write_text("".join(json.dumps(game) + "\n" for game in games))
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    arguments = command.split()
    if arguments[0] == "run" and "--dry-run" not in arguments:
        arguments.append("--dry-run")
    done = subprocess.run(
        [sys.executable, "-m", "publius.cli", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_the_recipe_parts_of_a_page_are_recipes(page: Path, tmp_path: Path) -> None:
    for i, part in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)):
        path = tmp_path / f"part{i}.toml"
        path.write_text(part)
        if "[experiment]" in part:
            assert load_experiment(str(path), environment={}) is not None
        else:
            assert load_recipe(str(path), environment={}).stages


def test_the_paper_index_points_at_files() -> None:
    text = (ROOT / "docs" / "papers.md").read_text()
    paths = list(re.findall(r"`([a-z_]+/[a-z_/.]*)`", text))
    assert len(paths) > 20
    missing = [
        path for path in paths if not ((ROOT / path).exists() or (ROOT / "src" / "publius" / path).exists())
    ]
    assert missing == []


def test_the_readme_fits_on_a_screen_and_its_table_names_real_stages() -> None:
    assert len(README.splitlines()) <= 60
    names = {stage.name for stage in STAGES}
    in_module_text = (ROOT / "src/publius/pipeline/stages.py").read_text().split('"""')[1]
    assert all(re.search(rf"^    {name} ", in_module_text, re.MULTILINE) for name in names)
