"""The remote engines against a real server: llama.cpp's, with SmolLM2-135M, over HTTP on loopback.

It computes with the same 4-bit weights as the yardstick, but rounds activations to 8 bits and the cache
to 16, so its log-probabilities are a little off.
"""

import importlib.util
import json
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from publius.engines import EngineSpec, open_engine
from publius.engines.protocol import Engine
from publius.errors import EngineError

from .conformance import TOPICS, EngineSuite, Subject, completions_of, question
from .llama_server import KEY, NAME, llama_server

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed"),
]
KEY_ENV = "PUBLIUS_TEST_LLAMA_KEY"
SLACK = 0.3


@pytest.fixture(scope="module")
def address(smollm2_path: Path) -> Generator[str]:
    with pytest.MonkeyPatch.context() as patch, llama_server(smollm2_path) as address:
        patch.setenv(KEY_ENV, KEY)
        yield address


def opened(engine: str, address: str, model: str = NAME, **options: Any) -> Engine:
    base = {"base_url": f"{address}/v1", "api_key_env": KEY_ENV, "concurrency": 8}
    return open_engine(EngineSpec(engine, model, base | options))


class TestOpenAI(EngineSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, address: str) -> Subject:
        return Subject(
            lambda: opened("openai", address),
            counts_exactly=False,
            is_exact=False,
            logprob_slack=SLACK,
            yardstick_slack=SLACK,
        )


class TestAnthropic(EngineSuite):
    """The same server speaks this protocol too."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, address: str) -> Subject:
        return Subject(
            lambda: opened("anthropic", address), counts_exactly=False, has_seeds=False, is_exact=False
        )


@pytest.mark.parametrize("engine", ["openai", "anthropic"])
def test_a_wrong_key_is_told(address: str, engine: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEY_ENV, "sk-wrong")
    with pytest.raises(EngineError, match="401") as caught:
        _ = opened(engine, address).capabilities
    assert "sk-wrong" not in str(caught.value)


def test_a_model_that_the_server_does_not_have_is_told(address: str):
    """llama.cpp answers whatever the model is called, so only the probe can tell."""
    with pytest.raises(EngineError, match="smollm3"):
        _ = opened("openai", address, "smollm3").capabilities


def test_the_server_tells_the_context_that_one_request_can_have(address: str):
    assert opened("openai", address).capabilities.max_context == 1024


def test_the_text_is_what_the_yardstick_writes(address: str, yardstick: Engine):
    """Greedy, and short, as one token that is decided otherwise changes everything after it."""
    requests = [question(topic, f"What is {topic}?", max_tokens=1) for topic in TOPICS]
    engine = opened("openai", address)
    ours, theirs = completions_of(engine, requests), completions_of(yardstick, requests)
    engine.close()
    assert sum(ours[topic].text == theirs[topic].text for topic in TOPICS) >= len(TOPICS) - 1


def test_breaking_off_frees_the_server(address: str):
    engine = opened("openai", address)
    engine.submit([question(str(i), f"Tell me {i} long stories.", max_tokens=900) for i in range(8)])
    assert becomes(address, is_busy=True)
    engine.cancel()
    # the eight stories would go on for about a minute
    assert becomes(address, is_busy=False)
    engine.close()


def becomes(address: str, *, is_busy: bool) -> bool:
    """Return whether the server becomes busy, or idle, before long."""
    asked = urllib.request.Request(f"{address}/slots", headers={"authorization": f"Bearer {KEY}"})
    for _ in range(300):
        with urllib.request.urlopen(asked, timeout=30) as answer:
            if any(place["is_processing"] for place in json.load(answer)) == is_busy:
                return True
        time.sleep(0.05)
    return False
