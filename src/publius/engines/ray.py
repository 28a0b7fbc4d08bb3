"""The engine that spreads the work over a Ray cluster: to servers by URL, or to vLLM on the cluster's GPUs.

    ray_rows.py     requests and answers as rows
    ray_stream.py   the endless dataset: rows in and out while it runs
    ray_cluster.py  the connection to Ray
    ray_work.py     where the work goes: the options, and the dataset's one step
    ray_worker.py   the worker that asks a server, by the rules of the engine `openai`
    ray_vllm.py     the configuration and the rows of `ray.data.llm`'s vLLM processor

With URLs this is the engine `openai` in many places at once: the same requests go over the wire, and the
journal's keys are the same, so a run can move from one machine to a cluster and back. Each row comes back
when it is answered. So what is asked again after the driver was killed is what was being asked (`workers` ×
`concurrency` calls) and what was answered in the last tenths of a second; never more than the rows that
are with the workers, `workers` × 4 × `concurrency`. The rows of a worker that is killed are asked again
elsewhere.

Paper: none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import NoReturn

from publius.engines.checks import check_submission
from publius.engines.http_body import shown
from publius.engines.http_refusals import Fatal
from publius.engines.openai import OpenAIOptions
from publius.engines.protocol import (
    Answer,
    Capabilities,
    ChooseRequest,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Request,
)
from publius.engines.ray_cluster import connect, disconnect, load_ray
from publius.engines.ray_rows import Outcome, request_row
from publius.engines.ray_stream import Stream, StreamBroken
from publius.engines.ray_vllm import VllmOptions, read_result
from publius.engines.ray_work import RayOptions, UrlWork, VllmWork, Work
from publius.engines.token_estimate import likely_prompt_tokens
from publius.errors import DataError, EngineError, MissingExtra, require
from publius.records import Conversation, decode

_HEARTBEAT_S = 1.0  # Ctrl-C works between two beats
_MOST_RESTARTS = 3  # of the dataset, without an answer between them


def open_ray(model: str, *, options: Mapping[str, object]) -> "RayEngine":
    """Return the engine for `model`. Nothing is started or sent yet.

    Raises:
        MissingExtra: Ray is not installed.
        DataError: An option is unknown, of the wrong kind, or cannot work.
    """
    if find_spec("ray") is None:
        raise MissingExtra("ray", "ray")
    own = {one.name for one in fields(RayOptions)}
    ours = decode(RayOptions, {name: value for name, value in options.items() if name in own})
    rest = {name: value for name, value in options.items() if name not in own}
    where = "options of the engine ray"
    require(ours, where, workers=1, cpus_per_worker=0.02)
    if ours.vllm:
        if rest or ours.base_urls:
            odd = sorted(rest)[0] if rest else "base_urls"
            raise DataError(
                f"{odd!r} is an option for servers, and vllm is set",
                where=where,
                todo="leave one of them out",
            )
        return RayEngine(VllmWork(model, decode(VllmOptions, ours.vllm), ours), ours)
    if ours.base_urls and "base_url" in rest:
        raise DataError("base_url and base_urls are both set", where=where, todo="leave one of them out")
    return RayEngine(UrlWork(model, decode(OpenAIOptions, rest), ours), ours)


class RayEngine:
    """An `Engine` over a cluster. Ray is started or joined at the first need.

    Token counts before a request is answered are estimates. `cancel` stops the workers; they start again with
    the next request.
    """

    def __init__(self, work: Work, options: RayOptions) -> None:
        self._work = work
        self._options = options
        self._capabilities: Capabilities | None = None
        self._is_connected = self._is_ours = self._is_closed = False
        self._stream: Stream | None = None
        self._first = 0  # the number of the stream's first row
        self._n_numbers = 0
        self._pending: dict[int, Request] = {}
        self._ids: set[str] = set()
        self._answered: list[int] = []  # places in the stream, not told to it yet
        self._ready: list[Answer] = []
        self._end: Fatal | None = None
        self._n_failed_in_a_row = self._n_restarts = 0

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer: with URLs, the identity that the engine `openai` gives them."""
        return self._work.model

    @property
    def capabilities(self) -> Capabilities:
        """What can be asked; the first time every server is asked, from within the cluster.

        Raises:
            EngineError: There is no cluster, or a server does not answer as it should.
        """
        if self._is_closed:
            self._refuse("the engine is closed", "open it again")
        if self._capabilities is None:
            self._connect()
            self._capabilities = self._work.capabilities()
        return self._capabilities

    def count_tokens(self, messages: Conversation) -> int:
        """Return about how many prompt tokens `messages` have."""
        return likely_prompt_tokens(messages)

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests to generate and to choose; they are on their way when this returns.

        Raises:
            EngineError: The engine is closed, cannot do this, or has an id in flight already.
        """
        capabilities = self.capabilities
        check_submission(
            requests, self._ids, model=self.model, capabilities=capabilities, is_closed=self._is_closed
        )
        rows: list[str] = []
        for request in requests:
            assert isinstance(request, GenerateRequest | ChooseRequest)
            self._ids.add(request.id)
            refused = self._work.refuse(request)
            if refused is not None:
                self._ready.append(refused)
                continue
            rows.append(request_row(self._n_numbers, request))
            self._pending[self._n_numbers] = request
            self._n_numbers += 1
        if rows and self._stream is None:
            self._begin()
        elif rows and self._stream is not None:
            self._put(self._stream, rows)

    def wait(self) -> Sequence[Answer]:
        """Return the answers that came, at least one; none if nothing is in flight.

        Raises:
            EngineError: The servers refuse every call alike or answer no more, or the cluster fails again
                and again.
        """
        while not self._ready and self._end is None and self._pending:
            try:
                self._take()
            except StreamBroken as broken:
                self._restart(broken)
        answers, self._ready = self._ready, []
        self._ids.difference_update(answer.request_id for answer in answers)
        if not answers and self._end is not None:
            end, self._end = self._end, None
            self.cancel()
            self._refuse(end.what, end.todo)
        return tuple(answers)

    def cancel(self) -> None:
        """Stop the workers and forget everything in flight."""
        self._stop()
        self._pending.clear()
        self._ids.clear()
        self._ready.clear()
        self._end = None

    def close(self) -> None:
        """Stop the workers, and end Ray if it was started here."""
        self.cancel()
        if self._is_ours:
            disconnect()
        self._is_connected = self._is_ours = False
        self._is_closed = True

    def _connect(self) -> None:
        if not self._is_connected:
            n_cpus = 1 + round(self._options.workers * self._options.cpus_per_worker + 0.5)
            self._is_ours = connect(self._options.address, n_cpus=n_cpus)
            self._is_connected = True

    def _begin(self) -> None:
        """Start a stream with all that is pending."""
        self._connect()
        numbers = sorted(self._pending)
        self._pending = {self._n_numbers + i: self._pending[number] for i, number in enumerate(numbers)}
        self._first = self._n_numbers
        self._n_numbers += len(numbers)
        self._answered = []
        try:
            self._stream = Stream(self._work.transform)
        except (ImportError, OSError, RuntimeError, ValueError, load_ray().exceptions.RayError) as error:
            self._refuse(f"the work cannot begin: {shown(str(error))}", "check the options of the engine ray")
        self._put(self._stream, [request_row(number, request) for number, request in self._pending.items()])

    def _put(self, stream: Stream, rows: Sequence[str]) -> None:
        stream.put(rows, answered=self._answered)
        self._answered = []

    def _take(self) -> None:
        """Take what came off the stream within a heartbeat."""
        assert self._stream is not None
        for row in self._stream.take(timeout_s=_HEARTBEAT_S):
            found = read_result(row)
            # an answer that came before, of a row that two workers had
            if found is None or found.number not in self._pending:
                continue
            self._receive(found.outcome)
            del self._pending[found.number]
            self._answered.append(found.number - self._first)

    def _receive(self, outcome: Outcome) -> None:
        if isinstance(outcome, Fatal):
            self._end = self._end or outcome
            return
        self._ready.append(outcome)
        failed = isinstance(outcome, Failure) and outcome.owner == "engine"
        self._n_failed_in_a_row = self._n_failed_in_a_row + 1 if failed else 0
        self._n_restarts = self._n_restarts if failed else 0
        if isinstance(outcome, Failure) and 0 < self._work.give_up_after <= self._n_failed_in_a_row:
            self._end = Fatal(
                f"{self._n_failed_in_a_row} requests failed in a row, the last so: {outcome.reason}",
                "run the same command again when they answer; nothing that was answered is lost",
            )
            self._n_failed_in_a_row = 0

    def _restart(self, broken: StreamBroken) -> None:
        """Begin again with what is not answered; a cluster that fails again and again ends the run."""
        self._stop()
        self._n_restarts += 1
        if self._n_restarts > _MOST_RESTARTS:
            what = f"the work on the cluster failed {self._n_restarts} times in a row: {shown(str(broken))}"
            self._end = Fatal(what, "look into Ray's logs, then run the same command again")
            return
        self._begin()

    def _stop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _refuse(self, what: str, todo: str) -> NoReturn:
        raise EngineError(what, where=self._work.where, todo=todo)
