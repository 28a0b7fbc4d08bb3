"""The one way from a stage to a model: ask what the journal does not know yet, keep every answer.

The key of a call hashes the step, the model's revision and the whole request (messages, sampling,
seed, options, id). So changing one principle changes the keys of exactly the requests that show it,
and nothing else is asked again.

Paper: none.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from publius.engines.protocol import (
    Choice,
    ChooseRequest,
    Completion,
    Engine,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Score,
    ScoreRequest,
)
from publius.errors import EngineError
from publius.records import content_hash, decode, encode
from publius.store.journal import Journal, Row

Request: TypeAlias = GenerateRequest | ChooseRequest | ScoreRequest
OnProgress: TypeAlias = Callable[[int, int], None]
A = TypeVar("A", Completion, Choice, Score)
Q = TypeVar("Q", GenerateRequest, ChooseRequest, ScoreRequest)


class JournaledEngine:
    """An engine behind the journal for one step of a run: every answer is kept as it comes.

    `on_progress(done, total)` counts the requests of the present call. A `Failure` owned by the input
    is kept like an answer, since asking again would fail again; one owned by the engine is not kept and
    ends the step once everything else is answered.
    """

    def __init__(
        self, engine: Engine, journal: Journal, *, step: str, on_progress: OnProgress | None = None
    ) -> None:
        self.engine = engine
        self._journal = journal
        self._step = step
        self._on_progress: OnProgress = on_progress or _silent

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer."""
        return self.engine.model

    def generate(self, requests: Sequence[GenerateRequest]) -> dict[str, Completion | Failure]:
        """Return a completion or failure for every request, by request id."""
        return self._answers(requests, self.engine.generate, Completion)

    def choose(self, requests: Sequence[ChooseRequest]) -> dict[str, Choice | Failure]:
        """Return the options' log-probabilities or a failure for every request, by request id."""
        return self._answers(requests, self.engine.choose, Choice)

    def score(self, requests: Sequence[ScoreRequest]) -> dict[str, Score | Failure]:
        """Return the answer's log-likelihood or a failure for every request, by request id."""
        return self._answers(requests, self.engine.score, Score)

    def _answers(
        self,
        requests: Sequence[Q],
        ask: Callable[[Sequence[Q]], Iterable[A | Failure]],
        kind: type[A],
    ) -> dict[str, A | Failure]:
        by_id = {request.id: request for request in requests}
        if len(by_id) != len(requests):
            raise EngineError(f"two requests of step {self._step!r} have one id")
        keys = {id: call_key(self._step, self.model, request) for id, request in by_id.items()}
        known = self._journal.get(list(keys.values()))
        answers = {id: _read(kind, known[key]) for id, key in keys.items() if key in known}
        self._on_progress(len(answers), len(requests))
        missing = [request for request in requests if request.id not in answers]
        for answer in ask(missing) if missing else ():
            id = answer.request_id
            if id not in by_id or id in answers:
                raise EngineError(f"the engine answered a request it was not asked: {id!r}")
            if not (isinstance(answer, Failure) and answer.owner == "engine"):
                row = Row(keys[id], self._step, self.model.revision, encode(by_id[id]), encode(answer))
                self._journal.put([row])
            answers[id] = answer
            self._on_progress(len(answers), len(requests))
        broken = [
            answer for answer in answers.values() if isinstance(answer, Failure) and answer.owner == "engine"
        ]
        if broken:
            raise EngineError(
                f"{len(broken)} of {len(requests)} requests failed in {self._step!r}: {broken[0].reason}",
                where=self.model.name,
                todo="run the same command again: only these are asked anew",
            )
        lost = [request.id for request in missing if request.id not in answers]
        if lost:
            raise EngineError(
                f"the engine gave no answer to {len(lost)} of {len(missing)} requests of step {self._step!r}",
                todo="run the same command again",
            )
        return answers


def call_key(step: str, model: ModelIdentity, request: Request) -> str:
    """Return the content key of a call: `sha256:` over step, model revision and the whole request."""
    kind = type(request).__name__
    weights = [model.revision, model.engine]
    return content_hash({"step": step, "model": weights, "kind": kind, "request": encode(request)})


def _read(kind: type[A], value: Any) -> A | Failure:
    return decode(Failure if "owner" in value else kind, value)


def _silent(done: int, total: int) -> None:
    """Show nothing."""
