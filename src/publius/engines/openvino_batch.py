"""Keep an openvino-genai pipeline full: start jobs as room appears, hand out answers as they finish.

Paper: none.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from publius.engines.prefix import PrefixGate, block_keys
from publius.errors import EngineError

T = TypeVar("T")

_BLOCK_SIZE = 32  # tokens in a block of openvino's KV cache on the CPU
_LOOK_AHEAD = 4  # how many batches of waiting jobs are searched for one that may start
_numbers = itertools.count()


@dataclass(slots=True)
class Job(Generic[T]):
    """One prompt with its generation config; `tag` is whatever the caller needs to know it by."""

    tag: T
    ids: list[int]
    config: Any
    number: int = field(default_factory=lambda: next(_numbers))


@dataclass(frozen=True, slots=True)
class Answer:
    """The ids generated (with the end token), or None if the pipeline gave up; `logprob` is their sum."""

    ids: list[int] | None
    logprob: float
    finish: Literal["stop", "length"]


@dataclass(slots=True)
class _Running(Generic[T]):
    job: Job[T]
    handle: Any
    keys: tuple[int, ...]
    is_computing: bool = True


class Batch:
    """The one place that touches the pipeline's scheduler.

    `make_tensor` builds the pipeline's tensor type from an int64 array of shape (1, n).
    """

    def __init__(self, pipeline: Any, make_tensor: Callable[[Any], Any], *, max_batch: int) -> None:
        self._pipeline: Any = pipeline
        self._make_tensor = make_tensor
        self._max_batch = max_batch
        self._gate = PrefixGate()

    def run(self, queue: deque[Job[T]]) -> Iterator[tuple[Job[T], Answer]]:
        """Yield each job with its answer as it finishes. Jobs put into `queue` meanwhile are run too.

        Raises:
            EngineError: The engine is closed or the pipeline failed; it cannot be used after.
        """
        running: list[_Running[T]] = []
        try:
            while queue or running:
                self._start(queue, running)
                self._step()
                finished = [item for item in running if self._has_finished(item)]
                for item in finished:
                    running.remove(item)
                    yield item.job, _answer(item.handle)
        finally:
            self._drop(running)

    def close(self) -> None:
        """Let go of the pipeline."""
        self._pipeline = None

    def _start(self, queue: deque[Job[T]], running: list[_Running[T]]) -> None:
        held: list[Job[T]] = []
        room = self._max_batch - len(running)
        for _ in range(min(len(queue), _LOOK_AHEAD * self._max_batch)):
            if room == 0:
                break
            job = queue.popleft()
            keys = block_keys(job.ids, block_size=_BLOCK_SIZE)
            if not self._gate.may_start(keys):
                held.append(job)
                continue
            running.append(_Running(job, self._add(job), keys))
            self._gate.start(keys)
            room -= 1
        queue.extendleft(reversed(held))

    def _add(self, job: Job[T]) -> Any:
        if self._pipeline is None:
            raise EngineError("this engine is closed", todo="open it again")
        tensor = self._make_tensor(np.array([job.ids], dtype=np.int64))
        return self._pipeline.add_request(job.number, tensor, job.config)

    def _step(self) -> None:
        try:
            self._pipeline.step()
        except RuntimeError as error:
            self._pipeline = None  # its scheduler is left half-way and answers nothing more
            raise EngineError(
                f"openvino failed: {_last_line(error)}", todo="run the same command again; it goes on"
            ) from error

    def _has_finished(self, item: _Running[T]) -> bool:
        has_finished = item.handle.get_status().name != "RUNNING"
        if item.is_computing and (has_finished or item.handle.can_read()):
            item.is_computing = False
            self._gate.computed(item.keys)
        return has_finished

    def _drop(self, running: Sequence[_Running[T]]) -> None:
        """Cancel what still runs, when the caller has had enough or something failed."""
        for item in running:
            if item.is_computing:
                self._gate.abandoned(item.keys)
            item.handle.cancel()
        if running and self._pipeline is not None:
            while self._pipeline.has_non_finished_requests():
                self._step()


def _answer(handle: Any) -> Answer:
    if handle.get_status().name != "FINISHED":
        return Answer(None, 0.0, "length")
    outputs = handle.read_all()
    if not outputs:  # everything generated was a stop string
        return Answer([], 0.0, "stop")
    [output] = outputs
    finish = "length" if output.finish_reason.name == "LENGTH" else "stop"
    return Answer(list(output.generated_ids), sum(output.generated_log_probs), finish)


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
