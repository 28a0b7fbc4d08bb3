"""Change a word, a setting or a seed: what it touches is asked again, nothing else is, and nothing is stale.

The measure is a run in an empty directory. Over what an earlier run left, the changed run must end with the
same files, and must have asked for exactly those of its calls that the earlier run had not made.
"""

import random
import re
import shutil
from importlib import resources
from pathlib import Path

import pytest

from publius.pipeline.recipe import Recipe
from publius.records import RevisionChain
from publius.revise import prompts
from publius.store import read_records

from .small_run import attempt, calls_of, files_of, make_recipe

_BASE = ("revise.n_red_team=4", "revise.n_helpful=2", "revise.rounds=2", "revise.n_exemplars=1")
_FORMS = ("statement", "critique", "revision", "comparison")


def constitution(path: Path, *, n: int, **changed: str) -> str:
    """Write a constitution of n principles, some forms changed ("p2_critique"), and name it as a setting."""
    blocks: list[str] = []
    for i in range(n):
        forms = {form: f"The {form} number {i} should be kind, honest and brief." for form in _FORMS}
        forms |= {form: changed[f"p{i}_{form}"] for form in _FORMS if f"p{i}_{form}" in changed}
        blocks.append(f'[[principle]]\nid = "p{i}"\n' + "".join(f'{k} = "{v}"\n' for k, v in forms.items()))
    path.write_text('name = "mine"\nversion = "1.0.0"\n' + "".join(blocks))
    return f"constitution={path}"


def mutated(folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Recipe, bool]:
    """Return a recipe with one thing changed, and whether that thing is the code's own templates."""
    draw = random.Random(seed)
    path = folder / "mine.toml"
    kinds = ("principle", "principle", "setting", "setting", "template", "seed", "prompt", "model")
    kind = kinds[seed % len(kinds)]
    words = constitution(path, n=4)
    extra: list[str] = []
    if kind == "principle":
        key = f"p{draw.randrange(4)}_{draw.choice(_FORMS)}"
        words = constitution(path, n=4, **{key: f"Be careful, says {seed}."})
    elif kind == "setting":
        extra.append(
            draw.choice(
                [
                    f"revise.temperature={draw.uniform(0.1, 0.9):.3f}",
                    f"revise.critic_temperature={draw.uniform(0.1, 0.9):.3f}",
                    f"revise.top_p={draw.uniform(0.5, 0.9):.3f}",
                    f"revise.draft_tokens={draw.randint(5, 90)}",
                    f"revise.critique_tokens={draw.randint(5, 60)}",
                    f"revise.revision_tokens={draw.randint(5, 90)}",
                    f"revise.n_red_team={draw.choice([1, 2, 3, 5, 6])}",
                    f"revise.n_helpful={draw.choice([0, 1, 3, 4])}",
                    f"revise.rounds={draw.choice([1, 3])}",
                    f"revise.n_exemplars={draw.choice([0, 2])}",
                    f"revise.helpful_samples={draw.choice([2, 3])}",
                    "revise.show_answer=false",
                    'revise.mode="direct"',
                    'revise.learn_from="last"',
                ]
            )
        )
    elif kind == "seed":
        extra.append(f"seed={draw.randint(1, 10**6)}")
    elif kind == "model":
        role = draw.choice(["policy", "critic"])
        extra.append(f'models.{role}.options={{ look_ahead = 64, prefer = "word{seed}" }}')
    elif kind == "template":
        name = draw.choice(["CRITIC_SYSTEM", "REVISION_SYSTEM", "_ASK", "_CONVERSATION", "_CRITIQUE"])
        monkeypatch.setattr(prompts, name, f"{getattr(prompts, name)} Please, {seed}.")
    recipe = make_recipe(folder, words, *_BASE, *extra)
    if kind == "prompt":
        red = folder / "red.jsonl"
        i = draw.randrange(12)
        red.write_text(red.read_text().replace(f"What is red number {i}?", f"Who was red number {i} {seed}?"))
    return recipe, kind == "template"


@pytest.mark.parametrize("part", range(4))
def test_what_a_change_touches_is_asked_again_and_nothing_else(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    base = quick_path / "base"
    words = constitution(quick_path / "mine.toml", n=4)
    assert attempt(make_recipe(quick_path, words, *_BASE), base) == "done"
    known = calls_of(base)
    n_touched = n_untouched = 0
    for seed in range(part * 26, (part + 1) * 26):
        with monkeypatch.context() as patch:
            recipe, is_template = mutated(quick_path, seed, patch)
            fresh, over = quick_path / "fresh", quick_path / "over"
            for run in (fresh, over):
                shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(base, over)
            if is_template:  # templates are part of the version, which is part of a stage's inputs
                shutil.rmtree(over / "stages")
            assert attempt(recipe, fresh) == "done"
            assert attempt(recipe, over) == "done"
        wanted, found = calls_of(fresh), calls_of(over)
        assert _data(over) == _data(fresh), seed
        assert found == known | wanted, seed
        n_touched += len(wanted.keys() - known.keys()) > 0
        n_untouched += len(wanted.keys() & known.keys())
    assert n_touched >= 15  # the changes are real
    assert n_untouched >= 100  # and so is what is kept


def _data(run: Path) -> dict[str, str]:
    """Return the hashes of all but the manifest, which counts the calls of earlier settings too."""
    return {name: value for name, value in files_of(run).items() if not name.endswith("manifest.json")}


def test_one_principle_of_sixteen_in_2000_rows(quick_path: Path) -> None:
    shipped = resources.files("publius.constitution").joinpath("library/harmlessness.toml").read_text("utf-8")
    path = quick_path / "mine.toml"
    path.write_text(shipped)
    recipe = make_recipe(
        quick_path,
        f"constitution={path}",
        "revise.n_red_team=2000",
        "revise.n_helpful=0",
        n_prompts=2800,
    )
    run = quick_path / "run"
    assert attempt(recipe, run) == "done"
    before = calls_of(run)
    chains = read_records(run / "stages/revise/chains.jsonl", RevisionChain)
    assert len(chains) == 2000
    drawn = {chain.prompt.id for chain in chains if chain.revisions[0].principle_id == "better-direction"}
    assert 80 < len(drawn) < 180  # about one in sixteen

    edited = shipped.replace("Say what in the assistant's last response", "State what in that last response")
    assert edited.count("State what") == 1 == shipped.count("Say what in the assistant's last response")
    path.write_text(edited)
    assert attempt(recipe, run) == "done"
    new = calls_of(run).keys() - before.keys()
    asked = [re.search(r'"id":"([^/"]+)/1/(critique|revision)', calls_of(run)[key][0]) for key in new]
    found = [(match[1], match[2]) for match in asked if match]
    assert len(found) == len(new) == 2 * len(drawn)
    assert {id for id, _ in found} == drawn
    again = read_records(run / "stages/revise/chains.jsonl", RevisionChain)
    changed = {chain.prompt.id for chain, old in zip(again, chains, strict=True) if chain != old}
    assert changed == drawn
