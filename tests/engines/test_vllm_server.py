"""The engine `openai` against vLLM's real server, CPU build: marked `vllm`, skipped where it is missing.

Here option log-probabilities are asked for by the tokens' numbers, so they are exact, likely or not.
"""

import importlib.util
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from publius.engines import EngineSpec, open_engine
from publius.engines.protocol import Engine
from publius.errors import EngineError
from publius.training.weights import model_directory

from .conformance import EngineSuite, Subject, choice, choices_of
from .vllm_server import KEY, NAME, vllm_server

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed"),
]
KEY_ENV = "PUBLIUS_TEST_VLLM_KEY"


@pytest.fixture(scope="module")
def address(smollm2_path: Path) -> Generator[str]:
    with pytest.MonkeyPatch.context() as patch, vllm_server(model_directory(smollm2_path)) as address:
        patch.setenv(KEY_ENV, KEY)
        yield address


def opened(address: str, model: str = NAME, **options: Any) -> Engine:
    base = {"base_url": f"{address}/v1", "api_key_env": KEY_ENV, "concurrency": 8}
    return open_engine(EngineSpec("openai", model, base | options))


class TestOpenAIOnVLLM(EngineSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, address: str) -> Subject:
        return Subject(lambda: opened(address), counts_exactly=False, yardstick_slack=0.02)

    def test_unlikely_options_have_their_own_log_probabilities(self, engine: Engine, yardstick: Engine):
        options = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        asked = [choice("r", "Is a river (A) good or (B) bad?", options)]
        found = choices_of(engine, asked)["r"].logprobs
        assert found == pytest.approx(choices_of(yardstick, asked)["r"].logprobs, abs=0.02)
        assert min(found) < -8  # far below the twenty likeliest

    def test_tokens_are_counted_by_the_server(self, engine: Engine, yardstick: Engine):
        for text in ("Hello.", "Größe 東京 🙂", "word " * 50):
            messages = choice("r", text).messages
            assert engine.count_tokens(messages) == yardstick.count_tokens(messages)


def test_a_wrong_key_and_an_unknown_model_are_told(address: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(EngineError, match="smollm3"):
        _ = opened(address, "smollm3").capabilities
    monkeypatch.setenv(KEY_ENV, "sk-wrong")
    with pytest.raises(EngineError, match="401"):
        _ = opened(address).capabilities
