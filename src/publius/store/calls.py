"""The one way from a stage to a model: ask what the journal does not know yet, keep every answer.

The key of a call hashes the step, the model's revision and the whole request (messages, sampling,
seed, options, id). So changing one principle changes the keys of exactly the requests that show it,
and nothing else is asked again.

Work comes as flows (`engines.flow`). Thousands are open at a time, each goes on as soon as its answer is
there, results leave in the order of the flows, and an answer is on disk before anything builds on it.
What is held in memory does not grow with the number of flows.

Paper: none.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar

from publius.engines.flow import Flow
from publius.engines.protocol import (
    Answer,
    Choice,
    ChooseRequest,
    Completion,
    Engine,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Request,
    Score,
    ScoreRequest,
)
from publius.errors import EngineError
from publius.records import canonical_json, decode, encode
from publius.store.budget import Budget
from publius.store.journal import Journal, Row

OnProgress: TypeAlias = Callable[[int, int], None]
R = TypeVar("R")

_OPEN_FLOWS = 4096  # started and not yet handed out: one slow answer holds up no more than these
_MOST_FAILURES_IN_A_ROW = 64  # a server that is gone is not asked a hundred thousand times
_ANSWER = {GenerateRequest: Completion, ChooseRequest: Choice, ScoreRequest: Score}


class JournaledEngine:
    """An engine behind the journal for one step of a run: every answer is kept as it comes.

    `on_progress(done, expected)` counts answered calls. A `Failure` owned by the input or the model is
    kept like an answer, since asking again would fail again; one owned by the engine is not kept, and ends
    the step once everything else is answered.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        step: str,
        on_progress: OnProgress | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.engine = engine
        self._journal = journal
        self._step = step
        self._on_progress: OnProgress = on_progress or _silent
        self._budget = budget or Budget()

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer."""
        return self.engine.model

    def run(self, flows: Iterable[Flow[R]], *, expected: int = 0) -> Iterator[R]:
        """Yield the result of every flow, in their order; `expected` calls are shown as the total.

        Raises:
            EngineError: Calls failed on the engine's side; they are asked again by the same command.
            BudgetReached: The run may not spend more; what was in flight is kept.
        """
        return _Drive(self, flows, expected).results()

    def generate(self, requests: Sequence[GenerateRequest]) -> dict[str, Completion | Failure]:
        """Return a completion or failure for every request, by request id."""
        return self._by_id(requests)

    def choose(self, requests: Sequence[ChooseRequest]) -> dict[str, Choice | Failure]:
        """Return the options' log-probabilities or a failure for every request, by request id."""
        return self._by_id(requests)

    def score(self, requests: Sequence[ScoreRequest]) -> dict[str, Score | Failure]:
        """Return the answer's log-likelihood or a failure for every request, by request id."""
        return self._by_id(requests)

    def _by_id(self, requests: Sequence[Request]) -> dict[str, Any]:
        if len({request.id for request in requests}) != len(requests):
            raise EngineError(f"two requests of step {self._step!r} have one id")
        answers = self.run((_single(request) for request in requests), expected=len(requests))
        return {answer.request_id: answer for answer in answers}


def call_key(step: str, model: ModelIdentity, request: Request) -> str:
    """Return the content key of a call: `sha256:` over step, model revision and the whole request."""
    return _key(step, model, request, canonical_json(encode(request)))


@dataclass(slots=True)
class _Open(Generic[R]):
    """A flow that was started; `is_broken` if its call failed on the engine's side."""

    flow: Flow[R]
    result: R | None = None
    is_done: bool = False
    is_broken: bool = False


@dataclass(slots=True)
class _Call:
    """A call that the journal does not know: its key, the request and its JSON, and who waits for it."""

    key: str
    request: Request
    request_json: str
    waiting: list[_Open[Any]] = field(default_factory=list["_Open[Any]"])


class _Drive(Generic[R]):
    """One pass over flows: the state of `JournaledEngine.run`."""

    def __init__(self, asker: JournaledEngine, flows: Iterable[Flow[R]], expected: int) -> None:
        self._engine = asker.engine
        self._journal = asker._journal  # pyright: ignore[reportPrivateUsage] - its other half
        self._step = asker._step  # pyright: ignore[reportPrivateUsage]
        self._budget = asker._budget  # pyright: ignore[reportPrivateUsage]
        self._on_progress = asker._on_progress  # pyright: ignore[reportPrivateUsage]
        self._flows = iter(flows)
        self._expected = expected
        self._n_answered = 0
        self._look_ahead = 0  # asked of the engine when it is first needed: it may have to load for it
        self._open: deque[_Open[R]] = deque()
        self._unsent: deque[_Call] = deque()
        self._calls: dict[str, _Call] = {}  # by key: unsent and in flight
        self._in_flight: dict[str, _Call] = {}  # by request id
        self._failures: list[Failure] = []
        self._n_in_a_row = 0

    def results(self) -> Iterator[R]:
        self._on_progress(0, self._expected)
        try:
            while True:
                self._start_flows()
                while self._open and (self._open[0].is_done or self._open[0].is_broken):
                    first = self._open.popleft()
                    if first.is_done:
                        yield first.result  # type: ignore[misc] - done means that it has its result
                if self._calls:
                    self._send()
                    self._receive()
                elif not self._open and not self._start_flows():
                    break
        finally:
            if self._in_flight:
                self._engine.cancel()
            for left in self._open:
                left.flow.close()
        if self._failures:
            raise self._failed()

    def _start_flows(self) -> int:
        """Open flows while there is room, as long as the engine could be kept waiting."""
        n_started = 0
        while len(self._unsent) < max(self._look_ahead, 1) and len(self._open) < _OPEN_FLOWS:
            n_room = min(_OPEN_FLOWS - len(self._open), max(256, self._look_ahead))
            fresh = [_Open(flow) for flow in islice(self._flows, n_room)]
            if not fresh:
                break
            self._open += fresh
            n_started += len(fresh)
            self._advance([(item, None) for item in fresh])
        return n_started

    def _advance(self, ready: list[tuple[_Open[Any], Any]]) -> None:
        """Send answers to flows; what they ask next is read from the journal or put in line.

        A flow that is under way goes before one that has not begun, so fewer are open at a time.
        """
        has_begun = any(answer is not None for _, answer in ready)
        fresh: list[_Call] = []
        while ready:
            asked: dict[str, _Call] = {}
            for item, answer in ready:
                try:
                    request = item.flow.send(answer)
                except StopIteration as stop:
                    item.result, item.is_done = stop.value, True
                    continue
                request_json = canonical_json(encode(request))
                key = _key(self._step, self._engine.model, request, request_json)
                call = self._calls.get(key) or asked.setdefault(key, _Call(key, request, request_json))
                call.waiting.append(item)
            known = self._journal.get(list(asked))
            ready = []
            for key, call in asked.items():
                if key in known:
                    answer = _read(_ANSWER[type(call.request)], known[key])
                    ready += [(item, answer) for item in call.waiting]
                    self._n_answered += 1
                else:
                    self._calls[key] = call
                    fresh.append(call)
            if known:
                self._show()
        if has_begun:
            self._unsent.extendleft(reversed(fresh))
        else:
            self._unsent.extend(fresh)

    def _send(self) -> None:
        if not self._look_ahead:
            self._look_ahead = max(1, self._engine.capabilities.look_ahead)
        room = min(len(self._unsent), self._look_ahead - len(self._in_flight))
        room = self._budget.room(room, n_in_flight=len(self._in_flight))
        fresh = [self._unsent.popleft() for _ in range(room)]
        for call in fresh:
            if call.request.id in self._in_flight:
                raise EngineError(f"two requests of step {self._step!r} have the id {call.request.id!r}")
            self._in_flight[call.request.id] = call
        if fresh:
            self._engine.submit([call.request for call in fresh])
        elif not self._in_flight:
            raise self._budget.reached()

    def _receive(self) -> None:
        answers = self._engine.wait()
        if not answers:
            raise EngineError(
                f"the engine gave no answer to {len(self._in_flight)} requests of step {self._step!r}",
                todo="run the same command again",
            )
        rows: list[Row] = []
        ready: list[tuple[_Open[Any], Any]] = []
        for answer in answers:
            call = self._in_flight.pop(answer.request_id, None)
            if call is None:
                raise EngineError(f"the engine answered a request it was not asked: {answer.request_id!r}")
            del self._calls[call.key]
            if isinstance(answer, Failure) and answer.owner == "engine":
                self._failures.append(answer)
                self._n_in_a_row += 1
                for item in call.waiting:
                    item.is_broken = True
                    item.flow.close()
                continue
            self._n_in_a_row = 0
            result_json = canonical_json(encode(answer))
            rows.append(
                Row(call.key, self._step, self._engine.model.revision, call.request_json, result_json)
            )
            ready += [(item, answer) for item in call.waiting]
            self._budget.spend(answer, self._engine.model)
        if rows:
            self._journal.put(rows)
        self._n_answered += len(answers)
        self._advance(ready)
        self._show()
        if self._n_in_a_row >= _MOST_FAILURES_IN_A_ROW:
            raise self._failed()

    def _show(self) -> None:
        self._on_progress(self._n_answered, max(self._expected, self._n_answered))

    def _failed(self) -> EngineError:
        return EngineError(
            f"{len(self._failures)} of {self._n_answered} requests failed in {self._step!r}: "
            f"{self._failures[0].reason}",
            where=self._engine.model.name,
            todo="run the same command again: only these are asked anew",
        )


def _single(request: Request) -> Flow[Answer]:
    answer = yield request
    return answer


def _key(step: str, model: ModelIdentity, request: Request, request_json: str) -> str:
    head = canonical_json([step, model.revision, model.engine, type(request).__name__])
    return "sha256:" + hashlib.sha256((head + request_json).encode("utf-8", "surrogatepass")).hexdigest()


def _read(kind: type[Any], value: Any) -> Answer:
    return decode(Failure if "owner" in value else kind, value)


def _silent(done: int, total: int) -> None:
    """Show nothing."""
