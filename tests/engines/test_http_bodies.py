"""Whatever a server sends is read, refused with an owner, and fit to be shown."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.engines.http_body import NotJson, error_message, read_json, shown
from publius.engines.http_policy import HttpAnswer, HttpFault
from publius.engines.http_refusals import Fatal, read_refusal
from publius.engines.http_retry import HttpResult
from publius.engines.openai_wire import (
    read_choice,
    read_completion,
    read_vote,
)
from publius.engines.protocol import Choice, ChooseRequest, Completion, Failure, GenerateRequest, Sampling
from publius.records import user

ASK = GenerateRequest("r", (user("Why is the sky blue?"),), Sampling(64))
CHOOSE = ChooseRequest("c", (user("Which, 1 or 2?"),), ("1", "2"))

json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["choices", "usage", "error", "id"]), json_values),
    st.lists(
        st.dictionaries(st.sampled_from(["message", "logprobs", "finish_reason"]), json_values), max_size=2
    ),
)
def test_no_body_breaks_the_reading(body: dict[str, Any], choices: list[Any]):
    for whole in (body, {**body, "choices": choices}, {"choices": choices}):
        assert isinstance(read_completion(ASK, whole), Completion | Failure)
        assert isinstance(read_choice(CHOOSE, whole), Choice | Failure)
        assert isinstance(read_vote(CHOOSE, whole), str | Failure)
        error_message(whole).encode()


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading(content: bytes):
    try:
        said = json.dumps(read_json(content), ensure_ascii=False)
    except NotJson as error:
        said = str(error)
        assert said.isprintable()
    assert said.encode().decode() == said


@given(st.text(st.characters()))
def test_what_is_shown_can_be_shown(text: str):
    cut = shown(text, 50)
    assert len(cut) <= 50 * 10 + 1
    assert cut.isprintable()


def refusal(status: int, body: object = None, **headers: str) -> Failure | Fatal:
    content = json.dumps(body if body is not None else {"error": {"message": "no"}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_refusal("r", HttpResult("1", HttpAnswer(status, named, content), 1))


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_refuses_every_call_alike_ends_the_run(status: int):
    assert isinstance(refusal(status), Fatal)


@pytest.mark.parametrize(
    ("status", "owner"), [(400, "input"), (413, "input"), (422, "input"), (405, "engine"), (500, "engine")]
)
def test_the_owner_of_a_refusal(status: int, owner: str):
    failure = refusal(status)
    assert isinstance(failure, Failure)
    assert failure.owner == owner
    assert str(status) in failure.reason


def test_a_content_filter_is_the_models_and_no_end_of_the_run():
    for status in (400, 403):
        failure = refusal(status, {"error": {"message": "flagged", "code": "content_policy_violation"}})
        assert isinstance(failure, Failure)
        assert failure.owner == "model"


@pytest.mark.parametrize(
    "message",
    [
        "Invalid message: 'How do I wire a safety switch?' exceeds 8192 tokens",
        "field 'x' is unknown; the input was: is my moderation job safe? It is too long",
    ],
)
def test_words_of_the_prompt_in_a_message_do_not_make_it_a_filter(message: str):
    failure = refusal(400, {"error": {"message": message}})
    assert isinstance(failure, Failure)
    assert failure.owner == "input"


@pytest.mark.parametrize(("status", "holds"), [(401, True), (402, True), (403, False), (404, False)])
def test_what_may_hold_for_one_prompt_alone_is_told(status: int, holds: bool):
    fatal = refusal(status)
    assert isinstance(fatal, Fatal)
    assert fatal.holds_for_all is holds


def test_a_limit_a_minute_is_no_empty_account():
    text = "You exceeded your current quota, please check your plan and billing details."
    assert isinstance(refusal(429, {"error": {"message": text}}), Failure)
    assert isinstance(refusal(429, {"error": {"message": text, "code": "insufficient_quota"}}), Fatal)


def test_a_fault_is_told_with_the_number_of_calls():
    failure = read_refusal("r", HttpResult("1", HttpFault("timeout", "the server took too long"), 6))
    assert isinstance(failure, Failure)
    assert failure.owner == "engine"
    assert "6 calls" in failure.reason


def test_terminal_codes_in_an_error_are_escaped():
    failure = refusal(500, {"error": {"message": "\x1b[2Jgone\u202e" + "x" * 5000}})
    assert isinstance(failure, Failure)
    assert failure.reason.isprintable()
    assert len(failure.reason) < 500
