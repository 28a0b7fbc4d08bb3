"""A run of a dozen scripted calls, for tests that break it hundreds of times."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from publius.errors import PubliusError
from publius.pipeline.recipe import Recipe, load_recipe
from publius.pipeline.runner import Listener, StageEvent, run_recipe
from publius.store import Budget


def make_recipe(folder: Path, *settings: str, look_ahead: int = 64, n_prompts: int = 12) -> Recipe:
    """Write a recipe of a few scripted calls into a folder and return it, with settings over it."""
    (folder / "rules.gguf").write_bytes(b"a scripted engine reads no weights")
    for name in ("red", "help"):
        rows = [{"id": f"{name}{i}", "prompt": f"What is {name} number {i}?"} for i in range(n_prompts)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pair = {"prompt": "What is it?", "chosen": "This.", "rejected": "That."}
    (folder / "audit.jsonl").write_text(json.dumps(pair) + "\n")
    role = f'model = "{folder}/rules.gguf", engine = "scripted", options = {{ look_ahead = {look_ahead} }}'
    price = "price = { input = 1e5, output = 3e5 }"
    roles = "".join(f"{name} = {{ {role}, {price} }}\n" for name in ("policy", "critic", "feedback", "judge"))
    path = folder / "small.toml"
    path.write_text(
        f'stages = ["revise"]\nconstitution = "hhh"\naudit = "{folder}/audit.jsonl"\n'
        f'[models]\ntrained_engine = "scripted"\n{roles}'
        f'[prompts]\nred_team = ["{folder}/red.jsonl"]\nhelpful = ["{folder}/help.jsonl"]\ntrait = []\n'
        "[revise]\nn_red_team = 2\nn_helpful = 1\nrounds = 1\nn_exemplars = 0\n"
    )
    return load_recipe(str(path), settings=settings, environment={})


def attempt(
    recipe: Recipe,
    run: Path,
    on_event: Callable[[StageEvent], None] = lambda event: None,
    *,
    budget: Budget | None = None,
) -> str:
    """Run the recipe and return how it ended: "done", the name of our error, or what went wrong."""
    try:
        run_recipe(recipe, run, Listener(on_event, lambda stage, step, done, total: None), budget=budget)
    except PubliusError as error:
        return type(error).__name__ if error.where or error.todo else f"says too little: {error}"
    except Exception as error:  # what a user would see as a crash is what this looks for
        return f"crash: {type(error).__name__}: {error}"
    return "done"


def files_of(run: Path, *, uncounted: Sequence[str] = ()) -> dict[str, str]:
    """Return the hash of every file that the stages wrote; of a manifest, without times and `uncounted`."""
    found: dict[str, str] = {}
    for path in sorted((run / "stages").rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "manifest.json":
                kept = json.loads(data)
                for name in ("seconds", "peak_memory", "finished_at", "check", *uncounted):
                    kept.pop(name)
                data = json.dumps(kept, sort_keys=True).encode()
            found[str(path.relative_to(run))] = hashlib.sha256(data).hexdigest()
    return found


def calls_of(run: Path) -> dict[str, tuple[str, str]]:
    """Return the request and the result of every call in the journal, by key."""
    connection = sqlite3.connect(run / "journal.sqlite")
    connection.text_factory = lambda text: text.decode("utf-8", "replace")  # it may be damaged
    try:
        rows = connection.execute("SELECT key, request, result FROM calls").fetchall()
    finally:
        connection.close()
    return {key: (request, result) for key, request, result in rows}
