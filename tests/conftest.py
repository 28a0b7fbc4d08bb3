"""Fixtures that several rooms share: a tiny real model with a real chat template."""

import gc
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# no test may depend on how busy the machine is
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers and about 60,000 random weights, with a byte-level BPE tokenizer and ChatML."""
    for library in ("torch", "transformers", "tokenizers"):
        pytest.importorskip(library)
    from tiny_model import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tiny_base_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama as a model that knows no turns: without its chat template."""
    directory = Path(shutil.copytree(tiny_model_dir, tmp_path_factory.mktemp("tiny-base") / "model"))
    (directory / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((directory / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


@pytest.fixture(scope="session")
def tiny_pm_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preference model on the tiny Llama's body with a random head, and a scale with a temperature."""
    torch = pytest.importorskip("torch")
    from publius.preference.model import build_pm
    from publius.preference.scale import RewardScale, write_scale
    from publius.training.weights import load_causal_lm, save_model

    loaded = load_causal_lm(tiny_model_dir)
    pm = build_pm(loaded)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        pm.score.weight.copy_(torch.randn(pm.score.weight.shape, generator=generator))
    directory = save_model(pm, loaded.tokenizer, tmp_path_factory.mktemp("tiny-pm") / "model")
    write_scale(directory, RewardScale(mean=0.25, std=2.0, n=64, temperature=1.5, n_temperature=40))
    return directory


@pytest.fixture(autouse=True, scope="module")
def _ends_without_a_walk_over_imports() -> None:
    """Every end of a run collects garbage: torch's half a million objects need not be looked at each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _one_thread_for_tiny_models(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run tiny models on one thread: two spend most of their time waiting for each other."""
    if request.node.get_closest_marker("tiny") is None:
        yield
        return
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
