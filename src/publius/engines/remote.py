"""An engine whose model is behind HTTP: what every protocol needs and none should write again.

A `Wire` turns a request into calls and their results into an answer; this engine sends the calls, brings
the answers home, and ends the run when no further call makes sense: after a refused key, or when the
server answers nothing at all any more. What was answered until then is returned first.

Paper: none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, Protocol

from publius.engines.checks import check_submission
from publius.engines.http_body import shown
from publius.engines.http_pool import HttpPool
from publius.engines.http_refusals import Fatal
from publius.engines.http_retry import HttpCall, HttpResult
from publius.engines.protocol import (
    Answer,
    Capabilities,
    ChooseRequest,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Request,
    ScoreRequest,
)
from publius.errors import EngineError
from publius.records import Conversation, canonical_json


class Wire(Protocol):
    """One protocol to one server, as the probe found it."""

    @property
    def capabilities(self) -> Capabilities:
        """What can be asked."""
        ...

    @property
    def no_choice(self) -> str:
        """What to do so that `choose` becomes possible; only read where it is not."""
        ...

    def count_tokens(self, messages: Conversation) -> int:
        """Return the prompt tokens of `messages`, exactly or about."""
        ...

    def calls(self, request: GenerateRequest | ChooseRequest) -> Sequence[HttpCall] | Failure:
        """Return the calls that answer `request`, one or more, or why it cannot be answered."""
        ...

    def read(self, request: GenerateRequest | ChooseRequest, results: Sequence[HttpResult]) -> Answer | Fatal:
        """Return the answer in the results of these calls, in their order, or why the run must end."""
        ...


@dataclass(slots=True)
class _Pending:
    """A request with the results that came for it so far."""

    request: GenerateRequest | ChooseRequest
    results: list[HttpResult | None] = field(default_factory=list[HttpResult | None])


def remote_identity(model: str, engine: str, options: object, deciding: Sequence[str]) -> ModelIdentity:
    """Return what a server's answers are answers of: the model, and the options that decide them.

    `deciding` names fields of `options` (a dataclass with defaults, one of them `revision`); those that have
    their default are left out, and so is the server's address.
    """
    plain = type(options)()
    values = {name: getattr(options, name) for name in deciding}
    chosen = {name: value for name, value in values.items() if value != getattr(plain, name)}
    revision: str = getattr(options, "revision", "") or f"name:{model}"
    return ModelIdentity(model, revision, engine + (canonical_json(chosen) if chosen else ""))


class RemoteEngine:
    """An `Engine` over a pool. `probe` asks the server once, at the first need, and returns the wire.

    `where` is the base URL, for errors. After `give_up_after` failures of the server in a row, without an
    answer between them, `wait` raises; 0 means never.
    """

    def __init__(
        self,
        model: ModelIdentity,
        pool: HttpPool,
        *,
        probe: Callable[[HttpPool], Wire],
        where: str,
        give_up_after: int = 100,
    ) -> None:
        self._model = model
        self._pool = pool
        self._probe = probe
        self._where = where
        self._give_up_after = give_up_after
        self._wire: Wire | None = None
        self._is_closed = False
        self._ready: list[Answer] = []
        self._pending: dict[str, _Pending] = {}
        self._places: dict[str, tuple[str, int]] = {}  # call id → request id and index of the call
        self._n_calls = 0
        self._n_failed_in_a_row = 0
        self._end: Fatal | None = None
        self._has_answered = False

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer; the server's address is no part of it."""
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        """What can be asked; the first time the server is asked.

        Raises:
            EngineError: The server does not answer as it should, or refuses the key or the model.
        """
        return self.wire().capabilities

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of prompt tokens, exactly where the server counts, else about."""
        return self.wire().count_tokens(messages)

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests to generate and to choose.

        Raises:
            EngineError: The engine is closed, the server cannot do this or fails the first question, or an
                id is in flight already.
        """
        wire = self.wire()
        can = wire.capabilities
        if not can.choose and any(isinstance(request, ChooseRequest) for request in requests):
            self._refuse("this engine cannot choose: the server tells no log-probabilities", wire.no_choice)
        in_flight = self._pending.keys() | {answer.request_id for answer in self._ready}
        check_submission(requests, in_flight, model=self._model, capabilities=can, is_closed=False)
        if self._end is not None:
            return  # the next `wait` tells why
        askable = [request for request in requests if not isinstance(request, ScoreRequest)]
        self._pool.submit([call for request in askable for call in self._calls(wire, request)])

    def wait(self) -> Sequence[Answer]:
        """Return the answers that came, at least one; none if nothing is in flight.

        Raises:
            EngineError: The server refuses every call alike, or answers no more.
        """
        wire = self.wire()
        while not self._ready and self._end is None and self._pool.n_in_flight:
            for result in self._pool.wait():
                self._take(wire, result)
        answers, self._ready = self._ready, []
        if not answers and self._end is not None:
            end, self._end = self._end, None
            raise EngineError(end.what, where=self._where, todo=end.todo)
        return answers

    def cancel(self) -> None:
        """Break off every call in flight and forget what was not fetched."""
        self._pool.cancel()
        self._pending.clear()
        self._places.clear()
        self._ready.clear()
        self._end = None

    def close(self) -> None:
        """Break off everything and close the connections."""
        self.cancel()
        self._pool.close()
        self._is_closed = True

    @property
    def pool(self) -> HttpPool:
        """What makes the calls; its `call` may be used by any thread."""
        return self._pool

    def wire(self) -> Wire:
        """Return the protocol as this server speaks it; the first time it is asked what it can do.

        Raises:
            EngineError: The engine is closed, or the server does not answer as it should.
        """
        if self._is_closed:
            self._refuse("the engine is closed", "open it again")
        if self._wire is None:
            self._wire = self._probe(self._pool)
        return self._wire

    def _calls(self, wire: Wire, request: GenerateRequest | ChooseRequest) -> list[HttpCall]:
        """Return the calls of a request, each under a number of its own; none if it is refused here."""
        calls = wire.calls(request)
        if isinstance(calls, Failure):
            self._ready.append(replace(calls, n_calls=0))  # no call is made
            return []
        numbered: list[HttpCall] = []
        for index, call in enumerate(calls):
            self._n_calls += 1
            numbered.append(replace(call, id=str(self._n_calls)))
            self._places[numbered[-1].id] = (request.id, index)
        self._pending[request.id] = _Pending(request, [None] * len(numbered))
        return numbered

    def _take(self, wire: Wire, result: HttpResult) -> None:
        if self._end is not None:
            return
        request_id, index = self._places.pop(result.id)
        pending = self._pending[request_id]
        pending.results[index] = result
        results = [one for one in pending.results if one is not None]
        if len(results) < len(pending.results):
            return
        try:
            answer = wire.read(pending.request, results)
        except Exception as error:  # whatever a server says is no reason to lose the others' answers
            reason = f"the server's answer cannot be read ({type(error).__name__}: {shown(str(error), 160)})"
            answer = Failure(request_id, "engine", reason, n_calls=len(results))
        self._has_answered = self._has_answered or not isinstance(answer, Failure | Fatal)
        if isinstance(answer, Fatal) and self._has_answered and not answer.holds_for_all:
            answer = Failure(request_id, "engine", answer.what, n_calls=len(results))
        if not isinstance(answer, Fatal):
            del self._pending[request_id]
            self._ready.append(answer)
            answer = self._given_up(answer)
        if isinstance(answer, Fatal):
            self._end = answer
            self._pool.cancel()
            self._pending.clear()
            self._places.clear()

    def _given_up(self, answer: Answer) -> Fatal | None:
        """Return the end of the run if the server has failed too often in a row."""
        failed = isinstance(answer, Failure) and answer.owner == "engine"
        self._n_failed_in_a_row = self._n_failed_in_a_row + 1 if failed else 0
        if not isinstance(answer, Failure) or not 0 < self._give_up_after <= self._n_failed_in_a_row:
            return None
        n_failed, self._n_failed_in_a_row = self._n_failed_in_a_row, 0
        return Fatal(
            f"the server failed {n_failed} requests in a row, the last so: {answer.reason}",
            "run the same command again when the server answers; nothing that was answered is lost",
        )

    def _refuse(self, what: str, todo: str) -> NoReturn:
        raise EngineError(what, where=self._where, todo=todo)
