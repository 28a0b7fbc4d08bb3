"""Keep an openvino-genai pipeline full: start jobs as room appears, hand out answers as they finish.

Paper: none.
"""

import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np

from publius.engines.prefix import Blocks, GroupedQueue, PrefixGate
from publius.errors import EngineError

T = TypeVar("T")

LOOK_AHEAD = 4  # how many batches of waiting jobs are searched for one that may start
_BLOCK_SIZE = 32  # tokens in a block of openvino's KV cache on the CPU
_numbers = itertools.count()


@dataclass(eq=False)
class Job(Generic[T]):
    """One prompt with its generation config; `tag` is whatever the caller needs to know it by."""

    tag: T
    ids: list[int]
    config: Any
    number: int = field(default_factory=lambda: next(_numbers))

    @cached_property
    def blocks(self) -> Blocks:
        """The blocks of the prompt in the KV cache."""
        return Blocks.of(self.ids, size=_BLOCK_SIZE)


@dataclass(frozen=True, slots=True)
class Output:
    """The ids generated (with the end token), or None if the pipeline gave up; `logprob` is their sum.

    `first_logprobs` has the first token of every sequence that came: of as many as there are beams.
    """

    ids: list[int] | None
    logprob: float
    finish: Literal["stop", "length"]
    first_logprobs: Mapping[int, float] = field(default_factory=dict[int, float])


class Finished(NamedTuple, Generic[T]):
    """A job and what it gave."""

    job: Job[T]
    output: Output


@dataclass(eq=False, slots=True)
class _Running(Generic[T]):
    job: Job[T]
    handle: Any
    is_computing: bool = True
    has_finished: bool = False


class Batch(Generic[T]):
    """The one place that touches the pipeline's scheduler.

    `make_tensor` builds the pipeline's tensor type from an int64 array of shape (1, n). Without a prefix
    cache (`shares_prefixes`) prompts do not wait for each other.
    """

    def __init__(
        self,
        pipeline: Any,
        make_tensor: Callable[[Any], Any],
        *,
        max_batch: int,
        shares_prefixes: bool = True,
    ) -> None:
        self._pipeline: Any = pipeline
        self._make_tensor = make_tensor
        self._max_batch = max_batch
        self._gate = PrefixGate() if shares_prefixes else None
        self._queue: GroupedQueue[Job[T]] = GroupedQueue(lambda job: job.ids)
        self._running: list[_Running[T]] = []

    @property
    def is_closed(self) -> bool:
        """Whether the pipeline was let go of, or failed."""
        return self._pipeline is None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._running and not self._queue

    def put(self, job: Job[T]) -> None:
        """Add a job; jobs with prompts of a common beginning run one after the other."""
        self._queue.put(job)

    def put_first(self, job: Job[T]) -> None:
        """Add a job that starts before all others."""
        self._queue.put_first(job)

    def step(self) -> list[Finished[T]]:
        """Start what has room, compute a token of every running job, and return those that finished.

        Raises:
            EngineError: The batch is closed or the pipeline failed; it cannot be used after.
        """
        if self._pipeline is None:
            raise EngineError("this engine is closed", todo="open it again")
        room = self._max_batch - len(self._running)
        self._queue.start(self._try_start, room=room, n_tried=LOOK_AHEAD * self._max_batch)
        self._step()
        for item in self._running:
            self._look_at(item)
        finished = [Finished(item.job, _output(item.handle)) for item in self._running if item.has_finished]
        self._running = [item for item in self._running if not item.has_finished]
        for job, output in finished:
            self._note_answer(job, output)
        return finished

    def cancel(self) -> None:
        """Drop everything that runs or waits.

        Raises:
            EngineError: The pipeline failed; the batch cannot be used after.
        """
        self._queue.clear()
        dropped, self._running = self._running, []
        for item in dropped:
            if item.is_computing and self._gate:
                self._gate.abandoned(item.job.blocks)
            item.handle.cancel()
        while self._pipeline is not None and self._pipeline.has_non_finished_requests():
            self._step()

    def close(self) -> None:
        """Drop everything and let go of the pipeline."""
        with suppress(EngineError):  # it is given up anyway
            self.cancel()
        self._pipeline = None

    def _try_start(self, job: Job[T]) -> bool:
        if self._gate and not self._gate.may_start(job.blocks):
            return False
        tensor = self._make_tensor(np.array([job.ids], dtype=np.int64))
        self._running.append(_Running(job, self._pipeline.add_request(job.number, tensor, job.config)))
        if self._gate:
            self._gate.start(job.blocks)
        return True

    def _step(self) -> None:
        try:
            self._pipeline.step()
        except RuntimeError as error:
            self._pipeline = None  # its scheduler is left half-way and answers nothing more
            raise EngineError(
                f"openvino failed: {_last_line(error)}", todo="run the same command again; it goes on"
            ) from error

    def _look_at(self, item: _Running[T]) -> None:
        item.has_finished = item.handle.get_status().name != "RUNNING"
        if item.is_computing and (item.has_finished or item.handle.can_read()):
            item.is_computing = False
            if self._gate:
                self._gate.computed(item.job.blocks)

    def _note_answer(self, job: Job[T], output: Output) -> None:
        if self._gate and output.ids and len(output.ids) > 1:  # the last token was not read any more
            self._gate.answered(Blocks.of([*job.ids, *output.ids[:-1]], size=_BLOCK_SIZE))


def _output(handle: Any) -> Output:
    if handle.get_status().name != "FINISHED":
        return Output(None, 0.0, "length")
    outputs = handle.read_all()
    if not outputs:  # everything generated was a stop string
        return Output([], 0.0, "stop")
    sequences = [(list(each.generated_ids), list(each.generated_log_probs)) for each in outputs]
    firsts = {ids[0]: logprobs[0] for ids, logprobs in sequences if ids and logprobs}
    ids, logprobs = sequences[0]
    finish = "length" if outputs[0].finish_reason.name == "LENGTH" else "stop"
    return Output(ids, sum(logprobs), finish, firsts)


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
