"""The engine for OpenAI-compatible servers, over real loopback connections: what it asks and answers."""

import math
import threading
from typing import Any

import pytest

from publius.engines.protocol import (
    Choice,
    Completion,
    Engine,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Sampling,
    ScoreRequest,
)
from publius.engines.token_estimate import likely_prompt_tokens
from publius.engines.votes import VOTE_TOKENS
from publius.errors import EngineError
from publius.records import user

from .fault_server import Body, FaultServer, Reply, completion, good, http, logprobs, question_of
from .openai_setting import PROBE, all_of, asks, choose, open_it, serve

__all__ = ["open_it", "serve"]  # fixtures


def test_many_requests_are_answered_each_under_its_id(serve, open_it):
    server = serve()
    answers = all_of(open_it(server), asks(300))
    for id, answer in answers.items():
        assert isinstance(answer, Completion)
        assert answer.text == f"You said: item|{id}"
    assert all(len(server.calls_of(f"item|{id}")) == 1 for id in answers)


def test_opening_sends_nothing_and_the_probe_is_made_once(serve, open_it):
    server = serve()
    engine = open_it(server, max_context=5000, concurrency=7)
    assert engine.model == ModelIdentity("test-model", "name:test-model", "openai")
    assert server.calls == []
    capabilities = engine.capabilities
    assert (capabilities.generate, capabilities.choose, capabilities.score) == (True, True, False)
    assert (capabilities.max_context, capabilities.look_ahead) == (5000, 14)
    n_calls = len(server.calls)
    assert n_calls == 3
    assert engine.capabilities == capabilities
    assert engine.count_tokens((user("Why is the sky blue?"),)) == 13
    assert len(server.calls) == n_calls
    assert isinstance(engine, Engine)


def test_the_identity_moves_with_the_model_not_with_the_server(serve, open_it):
    first, second = open_it(serve()), open_it(serve())
    assert first.model == second.model
    assert open_it(serve(), revision="2026-11-01").model.revision == "2026-11-01"


def test_no_more_connections_than_asked_for(serve, open_it):
    busy, most = [0], [0]
    lock = threading.Lock()

    class Counting(FaultServer):
        async def _serve(self, reader, writer):
            with lock:
                busy[0] += 1
                most[0] = max(most[0], busy[0])
            try:
                await super()._serve(reader, writer)
            finally:
                with lock:
                    busy[0] -= 1

    with Counting() as server:
        all_of(open_it(server, concurrency=3), asks(60))
    assert most[0] <= 3


def test_options_are_chosen_by_log_probabilities(serve, open_it):
    answer = all_of(open_it(serve()), [choose()])["c"]
    assert answer == Choice("c", (-0.2, -2.0), 11)


def test_a_host_that_lists_five_at_most_and_names_its_limit_otherwise(serve, open_it):
    def refuse(body: Body, n_before: int, chance: object) -> Reply:
        if "max_tokens" in body:
            return Reply(http(400, {"error": {"message": "use max_completion_tokens"}}))
        if body.get("top_logprobs", 0) > 5:
            return Reply(http(400, {"error": {"message": "top_logprobs is 5 at most"}}))
        return Reply(http(200, good(body)))

    engine = open_it(serve(faults={PROBE: refuse, "Which?": refuse, "item": refuse}))
    assert engine.capabilities.choose
    answers = all_of(engine, [choose(), *asks(2)])
    assert isinstance(answers["c"], Choice)
    assert isinstance(answers["0"], Completion)


def silent_on_logprobs(body: Body) -> Body:
    """Answer as a server that overlooks `logprobs`; a vote is now and then a chat."""
    if body.get("temperature") == 1.0 and question_of(body) == "Which?":
        return completion(("1", "2", " 1.", "I think 1")[body["seed"] % 4])
    return completion("Fine.")


def test_without_log_probabilities_choosing_is_refused_and_the_way_out_is_told(serve, open_it):
    engine = open_it(serve(answer=silent_on_logprobs))
    assert not engine.capabilities.choose
    with pytest.raises(EngineError, match="votes"):
        engine.submit([choose()])
    assert isinstance(all_of(engine, asks(1))["0"], Completion)


def test_a_list_of_one_token_is_no_list(serve, open_it):
    def lone(body: Body) -> Body:
        answer = good(body)
        if body.get("logprobs"):
            answer["choices"][0]["logprobs"] = logprobs({"1": -0.2})
        return answer

    assert not open_it(serve(answer=lone)).capabilities.choose


def test_trouble_while_probing_is_told_and_not_taken_for_a_lack(serve, open_it):
    def overloaded(body: Body, n_before: int, chance: object) -> Reply:
        is_listing = bool(body.get("logprobs"))
        return Reply(http(503, {"error": "overloaded"}) if is_listing else http(200, good(body)))

    engine = open_it(serve(faults={PROBE: overloaded}), votes=5)
    with pytest.raises(EngineError, match="overloaded"):
        _ = engine.capabilities


def test_votes_stand_for_log_probabilities(serve, open_it):
    server = serve(answer=silent_on_logprobs)
    engine = open_it(server, votes=40)
    assert engine.capabilities.choose
    answers = all_of(engine, [choose("c"), choose("d")])
    votes = server.calls_of("Which?")
    assert len(votes) == 80
    assert len({call.body["seed"] for call in votes}) > 70
    for answer in answers.values():
        assert isinstance(answer, Choice)
        assert 0.5 < sum(map(math.exp, answer.logprobs)) < 0.98  # about a quarter is not readable
        assert answer.logprobs[0] > answer.logprobs[1]
        assert (answer.prompt_tokens, answer.completion_tokens, answer.n_calls) == (40 * 11, 40 * 3, 40)
    again = all_of(open_it(server, votes=40), [choose("c"), choose("d")])
    assert again == answers


def test_scoring_is_refused(serve, open_it):
    with pytest.raises(EngineError, match="score"):
        open_it(serve()).submit([ScoreRequest("s", (user("x"),))])


def vllm_tokenize(body: Body) -> Body:
    """Answer as vLLM's `/tokenize`, with a token for every character."""
    if "prompt" in body:
        tokens = [ord(char) for char in body["prompt"]]
    else:
        tokens = [1] + [ord(char) for message in body["messages"] for char in message["content"]]
    return {"tokens": tokens, "count": len(tokens), "max_model_len": 2048}


def vllm_answer(body: Body) -> Body:
    """Answer as vLLM does, which lists tokens asked for by number."""
    answer = good(body)
    if ids := body.get("logprob_token_ids"):
        top = [{"token": f"token_id:{id}", "logprob": -float(id) / 10} for id in ids]
        answer["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return answer


VLLM: dict[str, Any] = {
    "models": ({"id": "test-model", "owned_by": "vllm", "max_model_len": 2048},),
    "answer": vllm_answer,
    "routes": {"/tokenize": vllm_tokenize},
}


def test_vllm_is_found_and_asked_for_tokens_by_number(serve, open_it):
    server = serve(**VLLM)
    engine = open_it(server)
    assert engine.capabilities.max_context == 2048
    assert engine.count_tokens((user("abc"),)) == 4
    answers = all_of(engine, [choose("c"), choose("p", prefill="("), choose("w", ("1", "12"))])
    assert answers["c"] == Choice("c", (-4.9, -5.0), 11)  # ord("1") and ord("2")
    assert answers["p"] == Choice("p", (-4.9, -5.0), 11)
    refused = answers["w"]
    assert isinstance(refused, Failure)
    assert refused.owner == "input"
    n_tokenized = sum(call.path == "/tokenize" for call in server.calls)
    all_of(engine, [choose(str(index)) for index in range(20)])
    assert sum(call.path == "/tokenize" for call in server.calls) == n_tokenized


def test_llamacpp_is_found_and_made_to_say_an_option(serve, open_it):
    settings = {"default_generation_settings": {"n_ctx": 1024}}
    card = {"id": "test-model", "owned_by": "llamacpp"}
    server = serve(models=(card,), routes={"/props": lambda body: settings})
    engine = open_it(server)
    assert engine.capabilities.max_context == 1024
    assert all_of(engine, [choose("p", prefill="(")])["p"] == Choice("p", (-0.2, -2.0), 11)
    sent = server.calls[-1].body
    assert sent["logit_bias"] == {"1": 100, "2": 100}
    assert sent["messages"][-1] == {"role": "assistant", "content": "("}
    assert "continue_final_message" not in sent


def test_a_prefill_is_sent_to_vllm_and_refused_elsewhere(serve, open_it):
    request = GenerateRequest("r", (user("Name a town."),), Sampling(8), "The town of Par")
    found = serve(**VLLM)
    assert isinstance(all_of(open_it(found), [request])["r"], Completion)
    sent = found.calls[-1].body
    assert sent["messages"][-1] == {"role": "assistant", "content": "The town of Par"}
    assert sent["continue_final_message"] is True
    refused = all_of(open_it(serve()), [request])["r"]
    assert isinstance(refused, Failure)
    assert refused.owner == "input"
    assert isinstance(all_of(open_it(serve(), prefill="vllm"), [request])["r"], Completion)


def test_every_vote_counts_for_the_limit_of_tokens_with_all_that_it_may_say(serve, open_it):
    wire = open_it(serve(answer=silent_on_logprobs), votes=3).wire()
    calls = wire.calls(choose())
    n_prompt = likely_prompt_tokens(choose().messages)
    assert [call.n_tokens for call in calls] == [n_prompt + VOTE_TOKENS] * 3
    assert {call.body["max_tokens"] for call in calls} == {VOTE_TOKENS}
