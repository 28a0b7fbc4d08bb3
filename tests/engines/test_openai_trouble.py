"""Keys, addresses, ends of a run and interruptions: the engine `openai` where something is wrong."""

import os
import signal
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from publius.engines.http_policy import HttpPolicy
from publius.engines.http_pool import HttpPool, PoolSettings
from publius.engines.http_retry import HttpCall, HttpResult
from publius.engines.http_send import Endpoint, HttpSender, check_base_url
from publius.engines.openai import OpenAIOptions, open_openai
from publius.engines.protocol import (
    Answer,
    Completion,
    Failure,
    GenerateRequest,
    Sampling,
)
from publius.errors import DataError, EngineError
from publius.records import user

from .fault_server import Body, FaultServer, Reply, completion, http
from .openai_setting import PROBE, SECRET, all_of, asks, came_until_the_end, hanging, open_it, serve

__all__ = ["open_it", "serve"]  # fixtures


def test_the_key_goes_into_one_header_and_nowhere_else(serve, open_it, monkeypatch):
    monkeypatch.setenv("A_KEY", f" {SECRET}\n")
    server = serve(key=SECRET)
    engine = open_it(server, api_key_env="A_KEY")
    assert isinstance(all_of(engine, asks(1))["0"], Completion)
    assert all(call.headers["authorization"] == f"Bearer {SECRET}" for call in server.calls)
    assert SECRET not in repr(engine.__dict__) + repr(OpenAIOptions(api_key_env="A_KEY")) + repr(
        vars(engine._pool)
    )


def test_a_wrong_key_is_told_before_anything_is_asked_and_not_shown(serve, open_it, monkeypatch):
    monkeypatch.setenv("A_KEY", SECRET)
    server = serve(key="another")  # and it sends back what it was sent
    with pytest.raises(EngineError) as caught:
        open_it(server, api_key_env="A_KEY").submit(asks(100))
    assert "A_KEY" in str(caught.value)
    assert "401" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert len(server.calls) == 2


def test_an_answer_that_holds_the_word_that_is_the_key_is_left_as_it_is(serve, open_it, monkeypatch):
    monkeypatch.setenv("A_KEY", "none")
    says_none = Reply(http(200, completion("There is none.")))
    engine = open_it(serve(key="none", faults={"word": lambda *_: says_none}), api_key_env="A_KEY")
    (answer,) = all_of(engine, asks(1, "word")).values()
    assert isinstance(answer, Completion)
    assert answer.text == "There is none."


def test_a_firewall_that_dislikes_one_prompt_does_not_end_the_run(serve, open_it):
    blocked = Reply(http(403, {"error": {"message": "Sorry, you have been blocked"}}))
    engine = open_it(serve(faults={"rude": lambda *_: blocked}), concurrency=1)
    rude = [GenerateRequest("rude", (user("rude|1"),), Sampling(8))]
    answers = all_of(engine, [*asks(3), *rude, *(replace(item, id=f"later{item.id}") for item in asks(3))])
    assert isinstance(answers.pop("rude"), Failure)
    assert len(answers) == 6
    assert all(isinstance(answer, Completion) for answer in answers.values())


def test_the_key_for_openai_is_not_sent_to_others(serve, open_it, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    server = serve()
    all_of(open_it(server), asks(1))
    assert not any("authorization" in call.headers for call in server.calls)


@pytest.mark.parametrize("value", ["", "   ", "sk two words", "sk-\x07", "sk-ключ"])
def test_a_key_that_is_none_is_told_without_showing_it(serve, open_it, monkeypatch, value):
    monkeypatch.setenv("A_KEY", value)
    server = serve()
    with pytest.raises(EngineError, match="A_KEY") as caught:
        _ = open_it(server, api_key_env="A_KEY").capabilities
    assert not value.strip() or value not in str(caught.value)
    assert server.calls == []


def test_no_redirect_is_followed_and_no_cookie_kept(serve, open_it):
    elsewhere = serve()

    def away(body: Body, n_before: int, chance: object) -> Reply:
        return Reply(http(307, b"", location=elsewhere.base_url, set_cookie="session=1; Path=/"))

    server = serve(faults={"away": away})
    answers = all_of(open_it(server), [*asks(1, "away"), *[GenerateRequest("x", (user("x"),), Sampling(8))]])
    failure = answers["0"]
    assert isinstance(failure, Failure)
    assert failure.owner == "engine"
    all_of(open_it(server), asks(3))
    assert elsewhere.calls == []
    assert not any("cookie" in call.headers for call in server.calls)


def test_nobody_at_home(open_it):
    with FaultServer() as server:
        engine = open_it(f"http://127.0.0.1:{server.closed_port}/v1")
        with pytest.raises(EngineError, match="no connection") as caught:
            _ = engine.capabilities
    assert caught.value.where == f"http://127.0.0.1:{server.closed_port}/v1"
    assert caught.value.todo


def test_a_page_instead_of_an_api(open_it, serve):
    page = b"<!doctype html><title>Welcome</title>"
    server = serve(faults={PROBE: lambda *_: Reply(http(200, page, content_type="text/html"))})
    with pytest.raises(EngineError, match="HTML") as caught:
        _ = open_it(server).capabilities
    assert caught.value.todo


def test_a_model_that_is_not_there(open_it, serve):
    gone = http(404, {"error": {"message": "no such model", "code": "model_not_found"}})
    server = serve(models=({"id": "llama"}, {"id": "qwen"}), faults={PROBE: lambda *_: Reply(gone)})
    with pytest.raises(EngineError, match="no model 'mistral'") as caught:
        _ = open_it(server, model="mistral").capabilities
    assert "llama, qwen" in str(caught.value.todo)


def test_a_base_url_without_its_prefix(open_it, serve):
    server = serve()
    with pytest.raises(EngineError, match="404") as caught:
        _ = open_it(server.base_url.removesuffix("/v1")).capabilities
    assert "/v1" in str(caught.value.todo)


def test_a_key_that_expires_ends_the_run_after_the_answers_that_came(open_it, serve):
    def expires(body: Body, n_before: int, chance: object) -> Reply:
        return Reply(http(401, {"error": {"message": "expired"}}))

    server = serve(faults={"late": expires})
    engine = open_it(server, concurrency=4)
    engine.submit(
        [*asks(6), *(GenerateRequest(f"l{i}", (user(f"late|{i}"),), Sampling(8)) for i in range(50))]
    )
    came: list[Answer] = []
    with pytest.raises(EngineError, match="refused the key"):
        came_until_the_end(engine, came)
    found = {answer.request_id for answer in came}
    assert found <= {"0", "1", "2", "3", "4", "5"}
    assert len(found) >= 3  # when the first late one was sent, three others at most were in flight
    assert sum(call.item.startswith("late") for call in server.calls) <= 8  # those in flight
    assert engine.wait() == []
    assert isinstance(all_of(engine, asks(1))["0"], Completion)


def test_a_server_that_fails_everything_ends_the_run(open_it, serve):
    server = serve(faults={"down": lambda *_: Reply(http(500, {"error": "down"}))})
    engine = open_it(server, give_up_after=10, max_retries=1)
    engine.submit(asks(40, "down"))
    came: list[Answer] = []
    with pytest.raises(EngineError, match="10 requests in a row"):
        came_until_the_end(engine, came)
    assert len(came) == 10
    patient = open_it(server, give_up_after=0, max_retries=0)
    assert len(all_of(patient, asks(40, "down"))) == 40


def test_refused_prompts_and_answers_between_them_never_end_the_run(open_it, serve):
    server = serve(
        faults={
            "long": lambda *_: Reply(http(400, {"error": {"message": "too long"}})),
            "down": lambda *_: Reply(http(500, {"error": "down"})),
        }
    )
    engine = open_it(server, give_up_after=5, max_retries=0, concurrency=1)
    answers = all_of(engine, asks(20, "long"))
    assert {answer.owner for answer in answers.values() if isinstance(answer, Failure)} == {"input"}


def test_what_is_refused_here_spends_no_call(open_it, serve):
    engine = open_it(server := serve())
    engine.submit([GenerateRequest("cold", (user("Hi"),), Sampling(max_tokens=1, temperature=-1.0))])
    n_asked = len(server.calls)  # what the server can do
    (refused,) = engine.wait()
    assert isinstance(refused, Failure)
    assert (refused.owner, refused.n_calls, len(server.calls)) == ("input", 0, n_asked)


def test_cancel_forgets_what_is_in_flight(open_it, serve):
    engine = open_it(serve(faults={"hang": hanging}), concurrency=4)
    engine.submit(asks(20, "hang"))
    engine.cancel()
    assert engine.wait() == []
    answers = all_of(engine, asks(8))  # the four connections are free again
    assert all(isinstance(answer, Completion) for answer in answers.values())


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_interrupts_the_wait(open_it, serve):
    engine = open_it(serve(faults={"hang": hanging}), concurrency=4)
    engine.submit([*asks(4, "hang")])
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            engine.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    engine.cancel()
    assert isinstance(all_of(engine, asks(1))["0"], Completion)


def test_close_ends_the_thread_and_the_engine(open_it, serve):
    engine = open_it(serve(faults={"hang": hanging}))
    engine.submit(asks(4, "hang"))
    names = [thread.name for thread in threading.enumerate()]
    assert "publius-http" in names
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 5
    assert [thread.name for thread in threading.enumerate()].count("publius-http") == names.count(
        "publius-http"
    ) - 1
    with pytest.raises(EngineError, match="closed"):
        engine.submit(asks(1))
    engine.close()


def test_a_defect_in_the_sender_is_raised_and_not_lost():
    class Broken:
        async def __call__(self, call: HttpCall) -> Any:
            raise ZeroDivisionError("a defect")

        async def close(self) -> None:
            pass

    pool = HttpPool(Broken, PoolSettings())
    pool.submit([HttpCall("1", "/")])
    with pytest.raises(ZeroDivisionError):
        pool.wait()
    assert pool.wait() == []
    pool.close()


def test_a_pool_makes_single_calls_beside_the_others(serve):
    server = serve(faults={"hang": hanging})
    pool = HttpPool(
        lambda: HttpSender(Endpoint(server.base_url), n_connections=2), PoolSettings(n_connections=2)
    )
    body = {"messages": [{"role": "user", "content": "hang|1"}]}
    pool.submit([HttpCall("1", "/chat/completions", body)])
    result = pool.call(HttpCall("2", "/models", method="GET"), HttpPolicy(max_retries=0))
    assert isinstance(result, HttpResult)
    assert result.n_calls == 1
    assert pool.n_in_flight == 1
    pool.close()


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:8000", "ftp://a/v1", "http://", "http:///v1", "https://a b/v1", "http://a:99999/v1"),
        *("https://me:secret@a/v1", "https://a/v1?key=secret", "https://a/v1#secret", "http://[::1/v1"),
    ],
)
def test_what_is_no_base_url_is_refused_without_showing_a_secret(url: str):
    with pytest.raises(DataError) as caught:
        check_base_url(url)
    assert "secret" not in str(caught.value)
    assert caught.value.todo


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"timeout_s": 0.0},
        {"max_retries": -1},
        {"votes": -1},
        {"requests_per_minute": -1.0},
        {"prefill": "always"},
        {"base_urls": "http://a"},
        {"api_key": "sk-secret"},
        {"extra_body": {"model": "other"}},
        {"extra_body": {"when": float("nan")}},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]):
    with pytest.raises(DataError) as caught:
        open_openai("m", options=options)
    assert "secret" not in str(caught.value)


def test_an_engine_is_opened_by_its_options():
    engine = open_openai("m", options={"base_url": "http://127.0.0.1:9/v1", "extra_body": {"top_k": 0}})
    assert engine.model.name == "m"
    engine.close()
