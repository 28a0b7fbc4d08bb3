"""A card beside every trained model: completed by later stages, and costing no stage."""

from collections.abc import Callable
from pathlib import Path

import pytest

from publius.engines.fetch import fetch_model
from publius.pipeline.recipe import load_recipe
from publius.pipeline.runner import Listener, StageEvent, run_recipe
from publius.store import read_manifest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.tiny
Write = Callable[..., str]
SETTINGS = tuple(f"{stage}.lora.{one}" for stage in ("pm", "rl") for one in ("rank=2", "keep_adapter=true"))


def run(recipe: str, out: Path, only: list[str] | None = None) -> dict[str, str]:
    told: dict[str, str] = {}

    def keep(event: StageEvent) -> None:
        told[event.stage] = event.outcome

    loaded = load_recipe(recipe, settings=SETTINGS, environment={})
    run_recipe(loaded, out, Listener(keep, lambda *_: None), only=only)
    return told


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, write_tiny_recipe: Write) -> tuple[str, Path, str]:
    """The recipe, the run, and the card of the finetuned policy before it was evaluated."""
    folder = tmp_path_factory.mktemp("cards")
    recipe = write_tiny_recipe(folder, "revise", "sft", "label", "pm", "rl", "evaluate")
    run(recipe, folder / "run", ["revise"])
    run(recipe, folder / "run", ["sft"])
    early = (folder / "run/stages/sft/model/README.md").read_text()
    run(recipe, folder / "run")
    return recipe, folder / "run", early


def test_a_card_is_completed_and_makes_nothing_run_again(out: tuple[str, Path, str]) -> None:
    recipe, path, early = out
    late = (path / "stages/sft/model/README.md").read_text()
    assert "Elo: not measured." in early
    assert "| harmlessness |" in late
    rl = (path / "stages/rl/model/README.md").read_text()
    assert "GRPO, 3 steps" in rl
    assert "The audit's finding: " in rl
    manifest = read_manifest(path / "stages/rl")
    assert manifest is not None
    assert f"`{manifest.figures['weights_hash']}`" in rl
    assert not any(name.endswith("README.md") for name in manifest.files)
    (path / "stages/rl/model/README.md").unlink()
    assert set(run(recipe, path).values()) == {"reused"}
    assert (path / "stages/rl/model/README.md").read_text() == rl


def test_models_and_adapter_load_unchanged_beside_their_cards(out: tuple[str, Path, str]) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    stages = out[1] / "stages"
    tokenizer = AutoTokenizer.from_pretrained(stages / "rl/model")
    turns = [{"role": "user", "content": "Why?"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    for name in ("sft", "rl"):
        policy = AutoModelForCausalLM.from_pretrained(stages / name / "model")
        assert policy(input_ids=ids).logits.isfinite().all()
    whole = AutoModelForSequenceClassification.from_pretrained(stages / "pm/model").eval()
    start = load_recipe(out[0], environment={}).models.policy.model
    body = AutoModelForSequenceClassification.from_pretrained(fetch_model(start), num_labels=1)
    body.config.pad_token_id = whole.config.pad_token_id
    adapted = PeftModel.from_pretrained(body, stages / "pm/model/adapter").eval()
    torch.testing.assert_close(
        adapted(input_ids=ids).logits, whole(input_ids=ids).logits, rtol=1e-3, atol=1e-5
    )
    before = AutoModelForCausalLM.from_pretrained(stages / "sft/model").eval()
    adapted = PeftModel.from_pretrained(before, stages / "rl/model/adapter").eval()
    torch.testing.assert_close(adapted(input_ids=ids).logits, policy.eval()(input_ids=ids).logits)
    for stage in ("pm", "rl"):
        card = (stages / stage / "model/adapter/README.md").read_text()
        assert "library_name: peft" in card
        assert "More Information Needed" not in card
        assert ("model of the stage sft" in card) is (stage == "rl")


def test_a_later_round_counts_all_rounds_and_names_who_paid(
    tmp_path: Path, write_tiny_recipe: Write, out: tuple[str, Path, str]
) -> None:
    stages = ("revise", "sft", "label", "pm", "rl", "label-2", "pm-2", "rl-2")
    recipe = write_tiny_recipe(tmp_path, *stages)
    other = out[1] / "stages/pm/model"
    pms = f'rl.pms=[{{ name = "own" }}, {{ name = "an|other", pm = "{other}", weight = 0.25 }}]'
    loaded = load_recipe(recipe, settings=[pms, "rl.algorithm=rloo", "rl.lora.rank=2"], environment={})
    run_recipe(loaded, tmp_path / "run", Listener(lambda _: None, lambda *_: None))
    found = {name: read_manifest(tmp_path / f"run/stages/{name}") for name in stages}
    n_asked = sum(
        manifest.figures["origins"].get("asked", 0)
        for name, manifest in found.items()
        if name.startswith("label") and manifest
    )
    card = (tmp_path / "run/stages/rl-2/model/README.md").read_text()
    assert f"| labelled comparisons, asked | {n_asked} |" in card
    assert "RLOO, 6 steps" in card
    assert "| `an¦other` | 0.25 | `sha256:" in card
    assert "Right on held-out comparisons: " in card or "not measured" in card


def test_a_policy_paid_by_another_run_alone_says_so(
    tmp_path: Path, write_tiny_recipe: Write, out: tuple[str, Path, str]
) -> None:
    recipe = write_tiny_recipe(tmp_path, "revise", "sft", "rl", "evaluate")
    other = out[1] / "stages/pm/model"
    settings = [f'rl.pms=[{{ name = "people", pm = "{other}" }}]', f'evaluate.judges=[{{ pm = "{other}" }}]']
    loaded = load_recipe(recipe, settings=settings, environment={})
    run_recipe(loaded, tmp_path / "run", Listener(lambda _: None, lambda *_: None))
    card = (tmp_path / "run/stages/rl/model/README.md").read_text()
    assert "| `people` | 1 | `sha256:" in card
    assert "No preference model had a part" not in card
    assert "No label of an AI had a part" not in card
    sft = (tmp_path / "run/stages/sft/model/README.md").read_text()
    assert "No preference model had a part in this model." in sft
    manifest = read_manifest(tmp_path / "run/stages/evaluate")
    assert manifest is not None
    assert [judge["tie"] for judge in manifest.figures["judges"]] == [None, "reward"]
