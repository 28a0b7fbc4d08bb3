"""Fixtures of the engines' tests: real weights, the engines that ship, and requests to put to them."""

import importlib.util
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from publius.engines.fetch import fetch_model
from publius.engines.protocol import Engine, GenerateRequest, Sampling
from publius.engines.scripted import ScriptedEngine, open_scripted
from publius.records import Conversation, user

MakeRequest = Callable[..., GenerateRequest]


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct; fetched once into the cache."""
    return fetch_model("smollm2-135m-instruct")


@pytest.fixture
def scripted() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture(scope="session")
def tiny(tiny_model_dir: Path) -> Generator[Engine]:
    """The transformers engine on a tiny random model, in float32."""
    pytest.importorskip("torch")
    from publius.engines.transformers import open_transformers

    engine = open_transformers(tiny_model_dir, name="tiny", options={"dtype": "float32"})
    yield engine
    engine.close()


@pytest.fixture(
    scope="session",
    params=[
        "scripted",
        "transformers-tiny",
        pytest.param("transformers", marks=pytest.mark.model),
        pytest.param("openvino", marks=pytest.mark.model),
    ],
)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    """Every engine that ships, in turn."""
    if request.param == "scripted":
        yield open_scripted(tmp_path_factory.mktemp("none"), name="scripted", options={"max_context": 512})
        return
    if request.param == "transformers-tiny":
        yield request.getfixturevalue("tiny")
        return
    opened = _open_real(request.param, request)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def ask() -> MakeRequest:
    """Make a request: `ask("1", "Hello", max_tokens=8, seed=3)`; greedy unless told otherwise."""

    def make(
        id: str, text: str | Conversation, *, prefill: str = "", max_tokens: int = 8, **sampling: object
    ) -> GenerateRequest:
        messages = (user(text),) if isinstance(text, str) else text
        chosen = Sampling(max_tokens, **{"temperature": 0.0, **sampling})
        return GenerateRequest(id, messages, chosen, prefill)

    return make


def _open_real(name: str, request: pytest.FixtureRequest) -> Engine:
    """Open an engine on the real model, computing in float32 so that its answers can be compared."""
    library = {"transformers": "transformers", "openvino": "openvino_genai"}[name]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    path = request.getfixturevalue("smollm2_path")
    if name == "transformers":
        from publius.engines.transformers import open_transformers

        return open_transformers(path, name="smollm2", options={"dtype": "float32"})
    from publius.engines.openvino import open_openvino

    return open_openvino(path, name="smollm2", options={"precision": "f32"})
