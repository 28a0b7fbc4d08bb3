"""Fixtures of the engines' tests: real weights, engines on them, and requests to put to them."""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from publius.engines.fetch import fetch_model
from publius.engines.protocol import Engine, GenerateRequest

from .conformance import question

MakeRequest = Callable[..., GenerateRequest]


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct; fetched once into the cache."""
    return fetch_model("smollm2-135m-instruct")


@pytest.fixture(scope="session")
def tiny(tiny_model_dir: Path) -> Generator[Engine]:
    """The transformers engine on a tiny random model, in float32."""
    pytest.importorskip("torch")
    from publius.engines.transformers import open_transformers

    engine = open_transformers(tiny_model_dir, name="tiny", options={"dtype": "float32"})
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def yardstick(smollm2_path: Path) -> Generator[Engine]:
    """What other engines with SmolLM2-135M are held against: transformers in float32."""
    pytest.importorskip("torch")
    from publius.engines.transformers import open_transformers

    engine = open_transformers(smollm2_path, name="smollm2", options={"dtype": "float32"})
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def ask() -> MakeRequest:
    """Make a request: `ask("1", "Hello", max_tokens=8, seed=3)`; greedy unless told otherwise."""
    return question
