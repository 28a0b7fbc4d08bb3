"""The engine `ray`: what it promises without a cluster, and on a real one of two workers on this machine."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pyarrow as pa
import pytest

import publius
from publius.engines import EngineSpec, open_engine
from publius.engines.flow import ask
from publius.engines.http_refusals import Fatal
from publius.engines.openai import OpenAIOptions, open_openai
from publius.engines.protocol import (
    Answer,
    Capabilities,
    Choice,
    ChooseRequest,
    Completion,
    Engine,
    Failure,
    GenerateRequest,
    Sampling,
    ScoreRequest,
)
from publius.engines.ray import RayEngine, open_ray
from publius.engines.ray_rows import ANSWERED, outcome_row, read_outcome, read_request, request_row
from publius.engines.ray_stream import Inbox, StreamBroken
from publius.engines.ray_vllm import ERROR_COLUMN, VllmOptions, from_vllm, read_result, to_vllm, vllm_config
from publius.engines.ray_work import UrlWork
from publius.engines.ray_worker import UrlWorker
from publius.errors import DataError, EngineError
from publius.records import Message, user
from publius.store import Journal, JournaledEngine

SOURCE = Path(publius.__file__).parents[1]
MOCK = Path(__file__).parents[2] / "benchmarks" / "mock_server.py"
CONCURRENCY = 8


needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed (extra: ray)")


def questions(n: int, tag: str = "q") -> list[GenerateRequest]:
    return [GenerateRequest(f"{tag}{i}", (user(f"{tag} {i}"),), Sampling(16, seed=i)) for i in range(n)]


def choices(n: int) -> list[ChooseRequest]:
    return [ChooseRequest(f"c{i}", (user(f"Which, {i}?"),), ("1", "2")) for i in range(n)]


@dataclass(frozen=True, slots=True)
class Server:
    """A mock server in a process of its own, which logs every call."""

    base_url: str
    model: str
    log: Path

    def asked(self, kind: str = "chat") -> Counter[str]:
        """Return how often each question came; the probe does not count."""
        lines = [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return Counter(line[2] for line in lines if line[0] == "C" and line[3] == kind)


Start = Callable[..., Server]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a server whose answers take so many seconds (least, most)."""
    running: list[subprocess.Popen[str]] = []

    def begin(least: float = 0.01, most: float = 0.03) -> Server:
        log = tmp_path_factory.mktemp("server") / "calls.log"
        command = [sys.executable, str(MOCK), "--log", str(log), "--seconds", str(least), str(most)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(server)
        assert server.stdout is not None
        return Server(**json.loads(server.stdout.readline()), log=log)

    yield begin
    for server in running:
        server.communicate()  # closes its standard input, at which it ends


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray that the user has started before; it must stay as it is."""
    ray = pytest.importorskip("ray")
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    assert ray.is_initialized()
    ray.shutdown()


def options_for(server: Server, **more: object) -> dict[str, object]:
    return {"base_url": server.base_url, "concurrency": CONCURRENCY, **more}


def answers_of(engine: Engine, requests: Sequence[GenerateRequest | ChooseRequest]) -> dict[str, Answer]:
    found = list(ask(engine, requests))
    assert len(found) == len({answer.request_id for answer in found}) == len(requests)
    return {answer.request_id: answer for answer in found}


def processes_below(pid: int, name: str) -> list[psutil.Process]:
    def is_named(one: psutil.Process) -> bool:
        try:
            return any(part.startswith(name) for part in one.cmdline())
        except psutil.Error:  # it has just ended
            return False

    return [one for one in psutil.Process(pid).children(recursive=True) if is_named(one)]


# Without a cluster


def test_neither_the_package_nor_the_command_line_nor_opening_loads_ray():
    code = (
        "import sys, publius, publius.cli, publius.engines.ray as r\n"
        "r.find_spec = lambda name: True\n"
        "r.open_ray('m', options={'base_url': 'http://127.0.0.1:9/v1'}).close()\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] == 'ray'))"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    from publius.errors import MissingExtra

    monkeypatch.setattr("publius.engines.ray.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"publius\[ray\]"):
        open_engine(EngineSpec("ray", "m", {"base_url": "http://127.0.0.1:9/v1"}))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, object]], RayEngine]:
    """Open the engine as where Ray is installed; nothing is started by that."""
    monkeypatch.setattr("publius.engines.ray.find_spec", lambda name: True)
    return lambda options: open_ray("m", options=options)


@pytest.mark.parametrize("more", [{}, {"revision": "2026-11-01"}])
def test_with_urls_it_is_the_engine_openai_in_the_journal(opened: Any, more: dict[str, object]):
    options = {"base_url": "http://127.0.0.1:9/v1", **more}
    assert opened(options).model == open_openai("m", options=options).model


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"worker": 2}, "worker"),
        ({"workers": 0}, "workers"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "http://a/v1", "base_urls": ["http://b/v1"]}, "both"),
        ({"base_urls": ["http://a/v1", "http://name:secret@b/v1"]}, "base_url"),
        ({"vllm": {"model_source": "m"}}, "max_context"),
        ({"vllm": {"model_source": "m", "max_context": 0}}, "max_context"),
        ({"vllm": {"model_source": "m", "max_context": 9}, "base_url": "http://a/v1"}, "base_url"),
        ({"vllm": {"model_source": "m", "max_context": 9, "processor": {"batch_size": 9}}}, "batch_size"),
        (
            {"vllm": {"model_source": "m", "max_context": 9, "engine_kwargs": {"trust_remote_code": True}}},
            "refused",
        ),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(opened: Any, options: dict[str, object], said: str):
    with pytest.raises(DataError, match=said) as error:
        opened(options)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("text", ["", "Größe 東京 🙂", "a\ud800b", 'q"\\\n\x00', "<|im_end|>"])
def test_rows_carry_any_text_there_and_back(text: str):
    messages = (Message("system", text), user(text))
    request = GenerateRequest(text, messages, Sampling(3, 0.5, 0.9, (text,), 2**40), prefill=text)
    assert read_request(request_row(7, request)) == (7, request)
    for outcome in (
        Completion("r", text, "stop", 1, 2),
        Choice("r", (-0.1, -9.0), 3),
        Failure("r", "model", text),
    ):
        assert read_outcome(outcome_row(8, outcome)) == (8, outcome)
        assert outcome_row(8, outcome).isascii()


# What the engine makes of what a stream brings, with a stream that is no cluster


Reply = Callable[[int, GenerateRequest | ChooseRequest], Sequence[Answer | Fatal | StreamBroken]]


class HereStream:
    """A stream that answers in this process, by `reply(how often the row came, request)`."""

    reply: Reply
    begun: list["HereStream"]

    def __init__(self, transform: object) -> None:
        self.rows: list[str] = []
        self.is_closed = False
        self.begun.append(self)

    def put(self, rows: Sequence[str], *, answered: Sequence[int]) -> None:
        self.rows += rows

    def take(self, *, timeout_s: float) -> list[dict[str, str]]:
        number, request = read_request(self.rows.pop(0))
        assert isinstance(request, GenerateRequest | ChooseRequest)
        found: list[dict[str, str]] = []
        for outcome in self.reply(len(self.begun), request):
            if isinstance(outcome, StreamBroken):
                raise outcome
            found.append({"row": outcome_row(number, outcome)})
        return found

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, opened: Any) -> Callable[..., RayEngine]:
    """Open the engine over a `HereStream` with this `reply`."""

    def begin(reply: Reply, **more: object) -> RayEngine:
        stream = type("Here", (HereStream,), {"reply": staticmethod(reply), "begun": []})
        monkeypatch.setattr("publius.engines.ray.Stream", stream)
        monkeypatch.setattr("publius.engines.ray.connect", lambda address, n_cpus: False)
        can = Capabilities(generate=True, choose=False, score=False, max_context=9)
        monkeypatch.setattr(UrlWork, "capabilities", lambda work: can)
        return opened({"base_url": "http://127.0.0.1:9/v1", **more})

    return begin


def done(request: GenerateRequest | ChooseRequest) -> Completion:
    return Completion(request.id, "yes", "stop", 1, 1)


def test_an_answer_that_comes_twice_is_one_answer(here: Any):
    engine = here(lambda n, request: [done(request), done(request)])
    requests = questions(3)
    assert answers_of(engine, requests) == {request.id: done(request) for request in requests}


def test_a_refused_key_ends_the_run_after_what_was_answered(here: Any):
    def reply(n: int, request: GenerateRequest) -> list[Answer | Fatal]:
        return [done(request)] if request.id == "q0" else [Fatal("the server refused the key", "check it")]

    engine = here(reply)
    engine.submit(questions(3))
    assert engine.wait() == (done(questions(1)[0]),)
    with pytest.raises(EngineError, match="refused the key"):
        engine.wait()
    assert engine.wait() == ()
    engine.submit(questions(1))  # the ids are free again
    assert len(engine.wait()) == 1


def test_a_dataset_that_fails_begins_again_with_what_is_not_answered(here: Any):
    asked: list[str] = []

    def reply(n: int, request: GenerateRequest) -> list[Answer | StreamBroken]:
        asked.append(request.id)
        return [StreamBroken("gone")] if request.id == "q1" and n == 1 else [done(request)]

    requests = questions(3)
    assert set(answers_of(here(reply), requests)) == {request.id for request in requests}
    assert asked == ["q0", "q1", "q1", "q2"]


def test_a_cluster_that_fails_again_and_again_ends_the_run(here: Any):
    engine = here(lambda n, request: [StreamBroken("no node is left")])
    engine.submit(questions(2))
    with pytest.raises(EngineError, match="no node is left"):
        engine.wait()


def test_servers_that_answer_no_more_end_the_run(here: Any):
    engine = here(lambda n, request: [Failure(request.id, "engine", "502")], give_up_after=5)
    engine.submit(questions(9))
    failures = [failure for _ in range(5) for failure in engine.wait()]
    assert [failure.request_id for failure in failures] == [f"q{i}" for i in range(5)]
    with pytest.raises(EngineError, match="502"):
        engine.wait()


def test_ids_in_flight_and_what_the_servers_cannot_do_are_refused(here: Any):
    engine = here(lambda n, request: [done(request)])
    engine.submit(questions(1))
    with pytest.raises(EngineError, match="in flight"):
        engine.submit(questions(1))
    with pytest.raises(EngineError, match="choose"):
        engine.submit(choices(1))
    engine.cancel()
    assert engine.wait() == ()


# The worker and the inbox, in this process


class Here:
    """An actor that is none: what Ray calls `actor.method.remote()` runs here."""

    def __init__(self, actor: object) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(remote=getattr(self._actor, name))


def test_the_inbox_gives_rows_again_in_their_places_and_answered_ones_empty():
    async def use() -> None:
        inbox = Inbox()
        waiting = asyncio.create_task(inbox.take(0))
        await inbox.put(0, ["a", "b"], [])
        assert await waiting == ["a", "b"]
        await inbox.put(2, ["c"], [0])
        assert await inbox.take(0) == [ANSWERED, "b", "c"]
        assert await inbox.take(2) == ["c"]
        last = asyncio.create_task(inbox.take(3))
        await inbox.close()
        await inbox.closed()
        assert await last == []

    asyncio.run(use())


def test_rows_that_overtake_others_wait_for_them():
    async def use() -> None:
        inbox = Inbox()
        await inbox.put(2, ["c"], [])
        early = asyncio.create_task(inbox.take(0))
        await asyncio.sleep(0.01)
        assert not early.done()
        await inbox.put(0, ["a", "b"], [])
        assert await early == ["a", "b", "c"]

    asyncio.run(use())


def worker_for(servers: Sequence[Server], inbox: object) -> UrlWorker:
    urls = [server.base_url for server in servers]
    return UrlWorker(servers[0].model, OpenAIOptions(urls[0], concurrency=CONCURRENCY), urls, Here(inbox))


def table(request: GenerateRequest) -> pa.Table:
    return pa.table({"row": [request_row(5, request)]})


def test_workers_share_out_the_servers(start: Start):
    servers = [start(), start()]

    async def use() -> list[dict[str, list[str]]]:
        inbox = Inbox()
        workers = [worker_for(servers, inbox) for _ in servers]
        found = [await worker(table(request)) for worker, request in zip(workers, questions(2), strict=True)]
        await inbox.close()
        return found

    for found, request, server in zip(asyncio.run(use()), questions(2), servers, strict=True):
        (row,) = found["row"]
        assert isinstance(read_outcome(row).outcome, Completion)
        assert read_outcome(row).outcome.request_id == request.id
        assert sum(server.asked().values()) == 1


def test_a_worker_that_cannot_reach_its_server_says_so_in_the_row():
    async def use() -> dict[str, list[str]]:
        nowhere = Server("http://127.0.0.1:9/v1", "m", Path("none"))
        return await worker_for([nowhere], Inbox())(table(questions(1)[0]))

    outcome = read_outcome(asyncio.run(use())["row"][0]).outcome
    assert isinstance(outcome, Failure)
    assert outcome.owner == "engine"
    assert "127.0.0.1:9" in outcome.reason


class LostInbox(Inbox):
    """An inbox that is lost when it should be closed."""

    async def closed(self) -> None:
        await super().closed()
        raise RuntimeError("the actor died")


@pytest.mark.parametrize("inbox", [Inbox, LostInbox])
def test_a_stopped_worker_leaves_its_row_to_the_driver(start: Start, inbox: type[Inbox]):
    server = start(30.0, 30.0)

    async def use() -> dict[str, list[str]]:
        held = inbox()
        worker = worker_for([server], held)
        # the probe takes its time at this server too: it is stopped in the probe or in the call
        running = asyncio.create_task(worker(table(questions(1)[0])))
        while not server.log.exists() or not server.log.read_text():
            await asyncio.sleep(0.01)
        await held.close()
        return await running

    if inbox is LostInbox:
        with pytest.raises(RuntimeError, match="the inbox is lost"):
            asyncio.run(use())
    else:
        assert asyncio.run(use()) == {"row": [ANSWERED]}


# The vLLM processor, as far as it goes without a GPU


VLLM = VllmOptions("org/model", 2048, revision="abc", engine_kwargs={"tensor_parallel_size": 2})


@needs_ray
def test_the_configuration_is_one_that_ray_takes():
    pytest.importorskip("pydantic")
    pytest.importorskip("aiohttp")
    config = vllm_config(VLLM, replicas=3)
    assert type(config).__name__ == "vLLMEngineProcessorConfig"
    assert config.should_continue_on_error
    assert config.batch_size == 1
    assert config.concurrency == (3, 3)
    assert config.model_source == "org/model"
    expected = {"max_model_len": 2048, "revision": "abc", "tensor_parallel_size": 2, "max_logprobs": 20}
    assert config.engine_kwargs.items() >= expected.items()


def test_a_request_becomes_messages_and_sampling_parameters():
    sampling = Sampling(9, temperature=0.7, top_p=0.9, stop=("\n\n",), seed=5)
    request = GenerateRequest("r", (user("Hi"),), sampling, prefill="Well,")
    made = to_vllm({"row": request_row(1, request)})
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Well,"}]
    assert made["messages"] == turns
    assert made["sampling_params"] == {
        "max_tokens": 9,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop": ["\n\n"],
        "seed": 5,
    }
    choice = to_vllm({"row": request_row(1, choices(1)[0])})["sampling_params"]
    assert choice == {"max_tokens": 1, "temperature": 0.0, "logprobs": 20}


def vllm_row(request: GenerateRequest | ChooseRequest, **more: object) -> dict[str, object]:
    """A row as `vLLMOutputData` makes it, with the columns of the input beside."""
    output = {
        "prompt": "…",
        "num_input_tokens": 7,
        "generated_tokens": [1, 2],
        "generated_text": "Yes.\n\nMore",
        "num_generated_tokens": 2,
        "request_id": 0,
    }
    return {"row": request_row(4, request), **output, **more}


def test_a_row_that_vllm_answered_becomes_the_answer():
    request = GenerateRequest("r", (user("Hi"),), Sampling(2, stop=("\n\n",)))
    result = read_result({**from_vllm(vllm_row(request)), ERROR_COLUMN: ""})
    assert result == (4, Completion("r", "Yes.", "stop", 7, 2))
    uncut = GenerateRequest("r", (user("Hi"),), Sampling(2))
    assert read_result(from_vllm(vllm_row(uncut))) == (4, Completion("r", "Yes.\n\nMore", "length", 7, 2))


def test_options_are_read_off_the_listed_tokens():
    listed = [
        {
            17: {"logprob": -0.2, "rank": 1, "decoded_token": "1"},
            18: {"logprob": -2.0, "rank": 2, "decoded_token": "2"},
        }
    ]
    result = read_result(from_vllm(vllm_row(choices(1)[0], logprobs=listed)))
    assert result == (4, Choice("c0", (-0.2, -2.0), 7))
    bare = read_result(from_vllm(vllm_row(choices(1)[0], logprobs=None)))
    assert bare is not None
    assert isinstance(bare.outcome, Failure)


@pytest.mark.parametrize(
    ("error", "owner"),
    [
        ("ValueError: The decoder prompt (length 9) is longer than the maximum model length of 8.", "input"),
        ("RuntimeError: CUDA out of memory", "engine"),
    ],
)
def test_a_row_that_went_past_our_reading_with_an_error_is_a_failure_of_that_request(error: str, owner: str):
    request = questions(1)[0]
    # as `wrap_postprocess` leaves it: the whole row, with vLLM's own request_id in it
    row = {**vllm_row(request, generated_text="", num_generated_tokens=0, request_id=-1), ERROR_COLUMN: error}
    result = read_result(row)
    assert result is not None
    assert result.number == 4
    assert isinstance(result.outcome, Failure)
    assert (result.outcome.request_id, result.outcome.owner) == ("q0", owner)


def test_a_row_that_was_answered_before_gives_nothing():
    assert to_vllm({"row": ANSWERED})["sampling_params"] == {"max_tokens": 1}
    assert from_vllm({"row": ANSWERED}) == {"row": ANSWERED}
    assert read_result({"row": ANSWERED, ERROR_COLUMN: ""}) is None
    assert read_result({"row": ANSWERED, ERROR_COLUMN: "broken"}) is None


# On a cluster of the user's


@pytest.mark.ray
@needs_ray
def test_the_cluster_answers_as_the_engine_openai_does_and_stops_when_told(cluster: Any, start: Start):
    server = start()
    requests = [*questions(60), *choices(10), GenerateRequest("bad", (user("x"),), Sampling(0))]
    alone = open_openai(server.model, options=options_for(server))
    expected = answers_of(alone, requests)
    alone.close()
    engine = open_ray(server.model, options=options_for(server))
    assert answers_of(engine, requests) == expected
    assert {type(answer) for answer in expected.values()} == {Completion, Choice, Failure}
    with pytest.raises(EngineError, match="score"):
        engine.submit([ScoreRequest("s", (user("a"), Message("assistant", "b")))])
    # what is asked while others are under way joins them, and a single one does not wait for more
    engine.submit(questions(1, "more"))
    first = engine.wait()
    assert [answer.request_id for answer in first] == ["more0"]
    assert engine.wait() == ()
    # cancelling stops the calls, and the engine goes on after
    engine.submit(questions(400, "old"))
    assert engine.wait()
    engine.cancel()
    n_asked = sum(server.asked().values())
    assert engine.wait() == ()
    assert set(answers_of(engine, questions(5, "old"))) == {f"old{i}" for i in range(5)}
    assert sum(server.asked().values()) <= n_asked + 5 + 2 * CONCURRENCY < 400
    engine.close()
    assert cluster.is_initialized()
    with pytest.raises(EngineError, match="closed"):
        engine.submit(questions(1))


@pytest.mark.ray
@needs_ray
def test_a_run_moves_to_the_cluster_and_back_without_asking_anything_twice(
    cluster: Any, start: Start, tmp_path: Path
):
    server, requests = start(), questions(40)
    answered: dict[str, Answer] = {}
    with Journal(tmp_path / "journal.sqlite") as journal:
        for open_it, upto in ((open_openai, 15), (open_ray, 30), (open_openai, 40), (open_ray, 40)):
            engine = open_it(server.model, options=options_for(server))
            answered = dict(JournaledEngine(engine, journal, step="draft").generate(requests[:upto]))
            engine.close()
    assert len(answered) == 40
    asked = server.asked()
    assert len(asked) == 40
    assert set(asked.values()) == {1}


@pytest.mark.ray
@needs_ray
def test_killing_a_worker_the_reader_and_the_inbox_loses_and_doubles_nothing(
    cluster: Any, start: Start, tmp_path: Path
):
    server = start(0.1, 0.2)
    requests = questions(200)
    engine = open_ray(server.model, options=options_for(server))
    victims = {30: "ray::MapWorker", 70: "ray::ReadInboxSource", 110: "ray::Inbox"}
    killed: list[str] = []

    def kill_one(done: int, total: int) -> None:
        if len(killed) < len(victims) and done >= list(victims)[len(killed)]:
            name = list(victims.values())[len(killed)]
            processes_below(os.getpid(), name)[0].send_signal(signal.SIGKILL)
            killed.append(name)

    with Journal(tmp_path / "journal.sqlite") as journal:
        asker = JournaledEngine(engine, journal, step="draft", on_progress=kill_one)
        answered = asker.generate(requests)
        spent = sum(model.n_calls for model in journal.spent())
    engine.close()
    assert killed == list(victims.values())
    assert set(answered) == {request.id for request in requests}
    assert spent == len(requests)
    asked = server.asked()
    assert len(asked) == len(requests)
    # what the worker had in hand, and with the inbox all that was with the workers
    assert sum(asked.values()) - len(requests) <= 2 * CONCURRENCY + 2 * 4 * CONCURRENCY


@pytest.mark.ray
@needs_ray
def test_what_is_wrong_with_a_server_is_told_before_anything_is_asked(cluster: Any, start: Start):
    server = start()
    engine = open_ray("other", options=options_for(server))
    with pytest.raises(EngineError, match="other") as error:
        engine.submit(questions(1))
    assert error.value.where == server.base_url
    engine.close()
    unset = open_ray(server.model, options=options_for(server, api_key_env="PUBLIUS_NO_SUCH_KEY"))
    with pytest.raises(EngineError, match="PUBLIUS_NO_SUCH_KEY"):
        unset.submit(questions(1))
    unset.close()


# On a Ray of its own, in a program of its own

DRIVER = """
import os, sys
from pathlib import Path
from publius.engines.ray import open_ray
from publius.store import Journal, JournaledEngine
from publius.engines.protocol import GenerateRequest, Sampling
from publius.records import user

if __name__ == "__main__":
    url, model, out, n = sys.argv[1:]
    requests = [GenerateRequest(f"q{i}", (user(f"q {i}"),), Sampling(16, seed=i)) for i in range(int(n))]
    options = {"base_url": url, "concurrency": 8, "api_key_env": "PUBLIUS_TEST_KEY"}
    engine, other = open_ray(model, options=options), open_ray(model, options=options)
    assert engine.capabilities == other.capabilities
    with Journal(Path(out)) as journal:
        JournaledEngine(engine, journal, step="draft", on_progress=lambda *n: print(*n, flush=True)).generate(
            requests
        )
    import ray
    print("session", ray._private.worker._global_node.get_session_dir_path(), flush=True)
    engine.close()
    assert ray.is_initialized()
    other.close()
    assert not ray.is_initialized()
    print("closed", flush=True)
    sys.stdin.read()
"""
KEY = "key-7f3a91c2d4"


def drive(server: Server, journal: Path, n: int) -> subprocess.Popen[str]:
    script = journal.with_name("driver.py")
    script.write_text(DRIVER)
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PUBLIUS_TEST_KEY": KEY}
    return subprocess.Popen(
        [sys.executable, str(script), server.base_url, server.model, str(journal), str(n)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def read_until(driver: subprocess.Popen[str], word: str, least: int = 0) -> str:
    assert driver.stdout is not None
    for line in driver.stdout:
        first, *rest = line.split()
        if first == word or (word == "done" and first.isdigit() and int(first) >= least):
            return " ".join(rest)
    raise AssertionError("the driver ended")


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.ray
@needs_ray
def test_a_ray_of_its_own_listens_on_loopback_keeps_the_key_and_ends_with_the_engine(
    start: Start, tmp_path: Path
):
    server = start()
    driver = drive(server, tmp_path / "journal.sqlite", 30)
    try:
        read_until(driver, "done", 1)
        below = psutil.Process(driver.pid).children(recursive=True)
        addresses = {
            connection.laddr.ip
            for one in below
            for connection in one.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        session = Path(read_until(driver, "session"))
        read_until(driver, "closed")
        assert below
        assert all(is_gone(one) for one in below)
        assert addresses
        assert {address.removeprefix("::ffff:") for address in addresses} <= {"127.0.0.1", "::1"}
        logs = [path for path in session.rglob("*") if path.is_file()]
        assert logs
        assert not [path for path in logs if KEY.encode() in path.read_bytes()]
    finally:
        driver.kill()
        driver.communicate()


@pytest.mark.ray
@needs_ray
def test_a_driver_that_is_killed_leaves_nothing_behind_and_repeats_only_what_was_in_flight(
    start: Start, tmp_path: Path
):
    server, journal = start(0.1, 0.2), tmp_path / "journal.sqlite"
    driver = drive(server, journal, 150)
    read_until(driver, "done", 30)
    below = psutil.Process(driver.pid).children(recursive=True)
    # two that look for their Ray a minute longer, and do nothing else
    agents = [one for one in below if one.name() in ("ray::DashboardAgent", "ray::RuntimeEnvAgent")]
    driver.kill()
    driver.communicate()
    for _ in range(150):
        left = [one for one in below if not is_gone(one)]
        if set(left) <= set(agents):
            break
        time.sleep(0.2)
    else:
        pytest.fail(f"these go on: {left}")
    for agent in left:
        agent.kill()
    # the run goes on without a cluster, where it stood
    engine = open_openai(server.model, options=options_for(server))
    with Journal(journal) as kept:
        n_kept = sum(model.n_calls for model in kept.spent())
        assert n_kept >= 30
        answered = JournaledEngine(engine, kept, step="draft").generate(questions(150))
        assert sum(model.n_calls for model in kept.spent()) == 150
    engine.close()
    assert not [
        answer for answer in answered.values() if isinstance(answer, Failure) and answer.owner == "engine"
    ]
    asked = server.asked()
    assert len(asked) == 150
    assert sum(asked.values()) - 150 <= 2 * 4 * CONCURRENCY
