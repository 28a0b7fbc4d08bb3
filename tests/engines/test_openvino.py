"""What is particular to the openvino engine: options, prefixes, being interrupted, long texts."""

import importlib.util
import math
from collections.abc import Generator
from pathlib import Path

import pytest

from publius.engines.openvino import open_openvino
from publius.engines.protocol import Choice, ChooseRequest, Completion, Engine, Failure, ScoreRequest
from publius.errors import DataError, EngineError
from publius.records import conversation, user

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino_genai") is None, reason="openvino-genai is not installed"
)

RULES = "You judge answers by these rules. " + "Be fair, be brief, and say what you know. " * 12


@pytest.fixture(scope="module")
def exact(smollm2_path: Path) -> Generator[Engine]:
    """The engine in float32."""
    engine = open_openvino(smollm2_path, name="smollm2", options={"precision": "f32"})
    yield engine
    engine.close()


def test_options_are_checked(tmp_path: Path):
    with pytest.raises(DataError, match="unknown field 'speed'"):
        open_openvino(tmp_path / "m.gguf", name="m", options={"speed": 1})
    with pytest.raises(DataError, match="'f32'"):
        open_openvino(tmp_path / "m.gguf", name="m", options={"precision": "f64"})


def test_a_directory_and_a_file_that_is_no_gguf_are_refused(tmp_path: Path):
    with pytest.raises(EngineError, match="transformers"):
        open_openvino(tmp_path, name="m", options={})
    (tmp_path / "m.gguf").write_bytes(b"nothing")
    with pytest.raises(DataError):
        open_openvino(tmp_path / "m.gguf", name="m", options={})


@pytest.mark.model
def test_sampled_answers_depend_on_their_seed_alone(exact: Engine, ask):
    requests = [
        ask(str(i), f"{RULES}\nTell me about {topic}.", max_tokens=12, temperature=1.0, seed=i % 2)
        for i, topic in enumerate(("rivers", "rivers", "rivers", "trees"))
    ]
    together = {answer.request_id: answer for answer in exact.generate(requests)}
    assert all(isinstance(answer, Completion) for answer in together.values())
    assert together["0"].text == together["2"].text != together["1"].text
    assert [answer.text for answer in exact.generate(requests[3:])] == [together["3"].text]


@pytest.mark.model
def test_a_caller_who_stops_early_leaves_the_engine_usable(exact: Engine, ask):
    requests = [ask(str(i), f"Count to {i + 20}.", max_tokens=4 + 40 * (i > 0)) for i in range(4)]
    results = exact.generate(requests)
    next(results)
    results.close()
    again = list(exact.generate(requests[:1]))
    assert [answer.request_id for answer in again] == ["0"]


@pytest.mark.model
def test_a_long_text_is_counted_whole(exact: Engine, ask):
    n_short = exact.count_tokens((user("word " * 10),))
    n_long = exact.count_tokens((user("word " * 20_010),))
    assert n_long == n_short + 20_000
    (refused,) = exact.generate([ask("long", "word " * 20_000)])
    assert isinstance(refused, Failure)
    assert refused.owner == "input"


@pytest.mark.model
def test_options_are_probabilities_of_the_whole_vocabulary_and_one_token_each(exact: Engine):
    messages = conversation(("system", RULES), ("user", "(A) yes or (B) no?"))
    good = ChooseRequest("good", messages, ("A", "B", "Q"), "(")
    bad = ChooseRequest("bad", messages, ("A", "incomprehensibilities"), "(")
    results = {result.request_id: result for result in exact.choose([good, bad])}
    choice = results["good"]
    assert isinstance(choice, Choice)
    assert sum(map(math.exp, choice.logprobs)) < 1
    assert choice.logprobs[2] < min(choice.logprobs[:2]) - 1
    assert isinstance(results["bad"], Failure)
    assert results["bad"].owner == "input"


@pytest.mark.model
def test_awkward_options_do_not_break_the_grammar(exact: Engine):
    options = ('"', "\\", "-", "[", "\n")
    (choice,) = exact.choose([ChooseRequest("c", (user("Say a sign."),), options, "Here: ")])
    assert isinstance(choice, Choice), choice
    assert all(logprob < 0 for logprob in choice.logprobs)


@pytest.mark.model
def test_it_says_that_it_does_not_score(exact: Engine):
    assert not exact.capabilities.score
    with pytest.raises(EngineError, match="score"):
        exact.score([ScoreRequest("s", conversation(("user", "q"), ("assistant", "a")))])
