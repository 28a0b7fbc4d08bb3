"""The engine for the Messages API against a server of ours that speaks it: bodies, answers, refusals."""

import math
from collections.abc import Generator
from typing import Any

import pytest

from publius.engines.anthropic import AnthropicOptions, open_anthropic, open_with
from publius.engines.anthropic_wire import AnthropicDialect, generate_body, read_message, refuse_message
from publius.engines.protocol import Answer, Choice, Completion, Failure, GenerateRequest, Sampling
from publius.engines.remote import RemoteEngine
from publius.engines.token_estimate import likely_prompt_tokens
from publius.engines.votes import VOTE_TOKENS
from publius.errors import DataError, EngineError
from publius.records import conversation

from .conformance import EngineSuite, Subject, answers_of, choice, completion_of, question
from .fault_run import RushedClock
from .messages_server import KEY, MODEL, MessagesServer, Reply, message

DIALECT = AnthropicDialect(MODEL)
KEY_ENV = "PUBLIUS_TEST_KEY"


@pytest.fixture(scope="module", autouse=True)
def _key() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_ENV, KEY)
        yield


@pytest.fixture
def server() -> Generator[MessagesServer]:
    server = MessagesServer().start()
    yield server
    server.stop()


@pytest.fixture
def engine(server: MessagesServer) -> Generator[RemoteEngine]:
    engine = open_at(server)
    yield engine
    engine.close()


def open_at(server: MessagesServer, model: str = MODEL, **options: Any) -> RemoteEngine:
    """Open the engine with a clock that does not wait."""
    chosen = AnthropicOptions(**{"base_url": server.base_url, "api_key_env": KEY_ENV, **options})
    return open_with(model, options=chosen, clock=RushedClock().clock(), seed=0)


def one(engine: RemoteEngine, request: GenerateRequest) -> Answer:
    return answers_of(engine, [request])[request.id]


class TestAnthropic(EngineSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Generator[Subject]:
        server = MessagesServer(refuses_blank=False).start()
        yield Subject(lambda: open_at(server, votes=3), is_model=False, counts_exactly=False, has_seeds=False)
        server.stop()


# Bodies


def test_the_system_message_is_a_field_and_the_prefill_the_last_message():
    turns = conversation(
        ("system", "One."), ("system", "Two."), ("user", "Hi"), ("assistant", "Ho"), ("user", "!")
    )
    body = generate_body(GenerateRequest("r", turns, Sampling(5, stop=("END",)), "So"), DIALECT)
    assert body == {
        "model": MODEL,
        "max_tokens": 5,
        "system": "One.\n\nTwo.",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Ho"},
            {"role": "user", "content": "!"},
            {"role": "assistant", "content": "So"},
        ],
        "stop_sequences": ["END"],
    }


@pytest.mark.parametrize(
    ("temperature", "top_p", "fields"),
    [
        (1.0, 1.0, {}),
        (0.0, 1.0, {"temperature": 0.0}),
        (1.0, 0.9, {"top_p": 0.9}),
        (0.5, 0.5, {"temperature": 0.5, "top_p": 0.5}),
    ],
)
def test_a_temperature_of_1_is_not_sent_as_new_models_refuse_the_field(
    temperature: float, top_p: float, fields: dict[str, float]
):
    request = question("r", "Hi", temperature=temperature, top_p=top_p)
    body = generate_body(request, DIALECT)
    assert {key: body[key] for key in ("temperature", "top_p") if key in body} == fields
    assert not {"temperature", "top_p"} & generate_body(request, AnthropicDialect(MODEL, "left-out")).keys()


def test_extra_fields_go_along_and_blank_stops_stay_here():
    dialect = AnthropicDialect(MODEL, extra_body={"thinking": {"type": "disabled"}})
    body = generate_body(question("r", "Hi", stop=("\n\n", "a", "b", "c", "d", "e")), dialect)
    assert body["thinking"] == {"type": "disabled"}
    assert body["stop_sequences"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (question("r", conversation(("user", "a"), ("system", "b"), ("user", "c"))), "system"),
        (question("r", conversation(("user", "a"), ("assistant", "b"))), "assistant's"),
        (question("r", conversation(("system", "a"))), "no turn"),
        (question("r", "a", prefill="so "), "white space"),
        (question("r", "a", temperature=1.2), "1.2"),
        (question("r", "a", max_tokens=0), "max_tokens"),
        (question("r", "a" * 4000, max_tokens=1), "500 tokens or more"),
        (choice("r", "a", ("yes", "yes"), prefill=""), "same"),
    ],
)
def test_what_must_fail_is_not_asked(request_: GenerateRequest, word: str):
    refused = refuse_message(request_, DIALECT, max_context=400)
    assert refused is not None
    assert refused.owner == "input"
    assert word in refused.reason


def test_a_model_without_temperatures_is_asked_for_anything_if_it_is_said_so():
    hot = question("r", "a", temperature=1.2)
    assert refuse_message(hot, AnthropicDialect(MODEL, "left-out"), max_context=400) is None


# Answers


def read(body: dict[str, Any], **sampling: object) -> Answer:
    return read_message(question("r", "Hello.", max_tokens=20, **sampling), body, DIALECT)


def test_text_blocks_are_joined_and_thoughts_are_not_the_answer():
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "redacted_thinking", "data": "y"},
        {"type": "text", "text": "One "},
        {"type": "text", "text": "two."},
    ]
    assert read(message("", content=blocks)) == Completion("r", "One two.", "stop", 11, 3)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        (None, "stop"),
    ],
)
def test_how_an_answer_ended(reason: str | None, finish: str):
    answer = read(message("Yes.", reason))
    assert isinstance(answer, Completion)
    assert (answer.text, answer.finish) == ("Yes.", finish)


def test_stops_are_cut_here_too():
    answer = read(message("One.\n\nTwo. END", "max_tokens"), stop=("END", "\n\n"))
    assert isinstance(answer, Completion)
    assert (answer.text, answer.finish) == ("One.", "stop")


@pytest.mark.parametrize(
    ("fate", "text"),
    [("continued", "The town of Parma."), ("repeated", "ma.")],
    ids=["continued", "repeated"],
)
def test_a_prefill_that_the_server_repeats_is_taken_off(fate: Any, text: str):
    request = question("r", "Name a town.", prefill="The town of Par", max_tokens=20)
    answer = read_message(request, message("The town of Parma."), AnthropicDialect(MODEL, prefill=fate))
    assert isinstance(answer, Completion)
    assert answer.text == text


def test_an_empty_answer_is_an_answer():
    assert read(message("")) == Completion("r", "", "stop", 11, 3)


@pytest.mark.parametrize(
    ("body", "owner", "word"),
    [
        (
            message("I", "refusal", stop_details={"type": "refusal", "category": "bio"}),
            "model",
            "refused: 'bio'",
        ),
        (message("", "refusal", stop_details=None), "model", "refused"),
        (message("", "tool_use"), "model", "tool"),
        (message("so far", "pause_turn"), "engine", "pause_turn"),
        (message("x", "a-new-reason"), "engine", "a-new-reason"),
        (message("", "max_tokens", content=[{"type": "thinking", "thinking": "hm"}]), "model", "thought"),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            "engine",
            "Overloaded",
        ),
        ({"choices": []}, "engine", "no message"),
    ],
)
def test_what_is_no_answer_has_an_owner(body: dict[str, Any], owner: str, word: str):
    failure = read(body)
    assert isinstance(failure, Failure)
    assert failure.owner == owner
    assert word in failure.reason


@pytest.mark.parametrize(
    ("usage", "prompt", "answer"),
    [
        (
            {
                "input_tokens": 4,
                "cache_read_input_tokens": 30,
                "cache_creation_input_tokens": 2,
                "output_tokens": 5,
            },
            36,
            5,
        ),
        ({"input_tokens": 4, "cache_read_input_tokens": None, "output_tokens": 5}, 4, 5),
        ({"input_tokens": 10**9, "output_tokens": 10**9}, 10, 1),
        ({"input_tokens": -3, "output_tokens": True}, 10, 1),
        (None, 10, 1),
    ],
)
def test_usage_is_believed_where_it_is_possible(usage: object, prompt: int, answer: int):
    found = read(message("Yes.", usage=usage))
    assert isinstance(found, Completion)
    assert (found.prompt_tokens, found.completion_tokens) == (prompt, answer)


# The engine


def test_the_key_and_the_version_go_along_and_the_address_is_no_part_of_the_model(
    server: MessagesServer, engine: RemoteEngine
):
    answer = completion_of(engine, question("r", "Tell me of rivers.", max_tokens=40))
    assert "rivers" in answer.text
    assert engine.capabilities.max_context == server.max_context
    assert {call.headers["x-api-key"] for call in server.calls} == {KEY}
    assert {call.headers["anthropic-version"] for call in server.calls} == {"2023-06-01"}
    assert "authorization" not in server.calls[0].headers
    assert (engine.model.name, engine.model.revision, engine.model.engine) == (
        MODEL,
        f"name:{MODEL}",
        "anthropic",
    )


def test_opening_asks_nobody(server: MessagesServer):
    open_at(server).close()
    assert server.calls == []


@pytest.mark.parametrize(
    ("options", "what", "todo"),
    [
        ({"api_key_env": "PUBLIUS_TEST_WRONG_KEY"}, "401", "check the key"),
        ({"api_key_env": ""}, "401", "api_key_env"),
        ({"api_key_env": "PUBLIUS_TEST_NO_KEY"}, "PUBLIUS_TEST_NO_KEY", "export"),
        ({"model": "test-clod"}, "test-clod", "name"),
        ({"extra_body": {"magic": 1}}, "magic", "extra_body"),
    ],
)
def test_what_is_wrong_is_told_when_the_engine_is_first_asked_what_it_can(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], what: str, todo: str
):
    monkeypatch.setenv("PUBLIUS_TEST_WRONG_KEY", "sk-wrong")
    engine = open_at(server, **options)
    with pytest.raises(EngineError) as caught:
        _ = engine.capabilities
    engine.close()
    assert what in caught.value.what
    assert todo in str(caught.value.todo)
    assert caught.value.where == server.base_url
    assert "sk-wrong" not in str(caught.value)


def test_a_server_without_the_list_of_models_is_one_too(server: MessagesServer):
    server.has_models = False
    engine = open_at(server, base_url=server.base_url + "/v1/")
    assert engine.capabilities.max_context == 200_000
    engine.close()


def test_html_is_told(server: MessagesServer):
    server.ahead = [Reply(200, b"<html>hello</html>", {"content-type": "text/html"})]
    engine = open_at(server)
    with pytest.raises(EngineError, match="HTML"):
        _ = engine.capabilities
    engine.close()


def test_an_overloaded_server_is_asked_again(server: MessagesServer, engine: RemoteEngine):
    assert engine.capabilities.generate
    overloaded = Reply(529, "overloaded_error: Overloaded")
    server.ahead = [overloaded, Reply(429, "rate_limit_error: slow down", {"retry-after": "7"}), overloaded]
    assert isinstance(one(engine, question("r", "Hello.")), Completion)
    assert len(server.questions()) == 4


def test_a_server_that_stays_overloaded_is_the_engines_fault(server: MessagesServer, engine: RemoteEngine):
    assert engine.capabilities.generate
    server.ahead = [Reply(529, "overloaded_error: Overloaded")] * 6
    failure = one(engine, question("r", "Hello."))
    assert isinstance(failure, Failure)
    assert (failure.owner, len(server.questions())) == ("engine", 6)
    assert "Overloaded" in failure.reason


def test_a_prompt_that_the_server_refuses_is_ours(server: MessagesServer, engine: RemoteEngine):
    requests = [question("long", "a b " * 500), question("blank", " "), question("fine", "Hello.")]
    found = answers_of(engine, requests)
    assert isinstance(found.pop("fine"), Completion)
    assert [answer.owner for answer in found.values() if isinstance(answer, Failure)] == ["input", "input"]
    assert "too long" in str(found["long"])
    assert len(server.questions()) == 3  # none of them twice


def test_a_model_that_takes_no_temperature(server: MessagesServer):
    server.takes_temperature = False
    engine, loose = open_at(server), open_at(server, sampling="left-out")
    cold, plain = question("cold", "Hello."), question("plain", "Hello.", temperature=1.0)
    found = answers_of(engine, [cold, plain])
    assert isinstance(found["plain"], Completion)
    assert isinstance(found["cold"], Failure)
    assert found["cold"].owner == "input"
    assert "sampling = 'left-out'" in found["cold"].reason
    assert isinstance(one(loose, cold), Completion)
    engine.close()
    loose.close()


def test_a_model_that_continues_no_answer_is_not_asked_to(server: MessagesServer):
    server.takes_prefill = False
    engine = open_at(server)
    found = answers_of(
        engine, [question("opened", "Name a town.", prefill="The"), question("fine", "Hello.")]
    )
    engine.close()
    assert isinstance(found["fine"], Completion)
    assert isinstance(found["opened"], Failure)
    assert found["opened"].owner == "input"
    assert len(server.questions()) == 1


def test_an_empty_account_ends_the_run(server: MessagesServer, engine: RemoteEngine):
    assert engine.capabilities.generate
    server.ahead = [Reply(400, "invalid_request_error: Your credit balance is too low to access the API.")]
    engine.submit([question("r", "Hello.")])
    with pytest.raises(EngineError, match="credit balance"):
        engine.wait()


def test_a_choice_is_the_share_of_the_votes(server: MessagesServer):
    engine = open_at(server, votes=8)
    assert engine.capabilities.choose
    said = ["1", "2", "1", " 1.", "1)", "it is 2", "2", "1"]
    server.ahead = [Reply(200, message(text)) for text in said]
    found = answers_of(engine, [choice("r", "Which?", ("1", "2"), prefill="")])["r"]
    engine.close()
    assert isinstance(found, Choice)
    # five votes for 1, two for 2, one that cannot be read
    assert [math.exp(x) for x in found.logprobs] == pytest.approx([5.5 / 8 * 7 / 8, 2.5 / 8 * 7 / 8])
    bodies = [call.body for call in server.questions()]
    assert len(bodies) == 8
    assert all("temperature" not in body and body["max_tokens"] <= 8 for body in bodies)
    assert (found.prompt_tokens, found.completion_tokens, found.n_calls) == (8 * 11, 8 * 3, 8)


def test_every_vote_counts_for_the_limit_of_tokens_with_all_that_it_may_say(server: MessagesServer):
    engine = open_at(server, votes=2)
    asked = choice("r", "Which?", ("1", "2"), prefill="")
    calls = engine.wire().calls(asked)
    engine.close()
    assert not isinstance(calls, Failure)
    assert [call.n_tokens for call in calls] == [likely_prompt_tokens(asked.messages) + VOTE_TOKENS] * 2


def test_votes_of_refusals_are_the_models_failure(server: MessagesServer):
    engine = open_at(server, votes=3)
    assert engine.capabilities.choose
    server.ahead = [Reply(200, message("", "refusal"))] * 3
    found = answers_of(engine, [choice("r", "Which?", ("1", "2"), prefill="")])["r"]
    engine.close()
    assert isinstance(found, Failure)
    assert found.owner == "model"
    assert "refused" in found.reason


def test_without_votes_it_cannot_choose(engine: RemoteEngine):
    assert not engine.capabilities.choose
    assert not engine.capabilities.score
    with pytest.raises(EngineError, match="votes"):
        engine.submit([choice("r", "Which?", ("1", "2"), prefill="")])


@pytest.mark.parametrize(
    "options",
    [
        {"votes": -1},
        {"concurrency": 0},
        {"extra_body": {"temperature": 0.5}},
        {"base_url": "http://user:secret@127.0.0.1"},
        {"sampling": "sometimes"},
        {"surprise": 1},
        {"api_version": "2023\r\nx: y"},
    ],
)
def test_impossible_options_are_refused_before_anything(options: dict[str, Any]):
    with pytest.raises(DataError) as caught:
        open_anthropic(MODEL, options=options)
    assert "secret" not in str(caught.value)
