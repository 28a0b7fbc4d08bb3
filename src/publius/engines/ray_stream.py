"""One endless Ray dataset: rows go in while it runs, rows come out as they are done, in any order.

A dataset knows its input before it starts, and starting its workers takes seconds (minutes where they
load a model). So here one dataset lives as long as the engine: its only read task takes rows from an actor,
the inbox, as the driver puts them there. Each row is a block of its own, so none waits for another.

Ray makes a lost block again by reading once more from the start, and takes for granted that the same
blocks come in the same order. So the inbox numbers its rows, and one that was answered comes again as an
empty row. Should the inbox itself be lost, the dataset fails, and the engine begins a new one with what is
not answered.

Paper: none.
"""

import asyncio
import importlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import pyarrow as pa

from publius.engines.ray_cluster import load_ray
from publius.engines.ray_rows import ANSWERED

COLUMN = "row"
OutRow: TypeAlias = Mapping[str, Any]

_TAKEN_AT_ONCE = 256
_CLOSING_S = 10.0
# Not what any other operator asks for: Ray runs two operators as one task where they ask for the same,
# and the endless read task as one with a worker would never let a row out.
_READER_CPUS = 0.01


class StreamBroken(Exception):
    """The dataset failed or ended by itself; its cause is the exception's."""


class Inbox:
    """An actor that holds the rows which the driver has put and nobody has answered."""

    def __init__(self) -> None:
        self._rows: dict[int, str] = {}
        self._n_put = 0  # places below are all there
        self._ahead: dict[int, int] = {}  # rows that came before those in front of them: start → how many
        self._n_workers = 0
        self._changed = asyncio.Condition()
        self._is_closed = False

    async def put(self, start: int, rows: Sequence[str], answered: Sequence[int]) -> None:
        """Take rows for the places from `start` on, and forget those at the places `answered`.

        Calls of an actor may overtake each other.
        """
        async with self._changed:
            for place in answered:
                self._rows.pop(place, None)
            self._rows |= dict(enumerate(rows, start=start))
            self._ahead[start] = len(rows)
            while n := self._ahead.pop(self._n_put, 0):
                self._n_put += n
            self._changed.notify_all()

    async def take(self, start: int) -> list[str]:
        """Return rows from the place `start` on, as soon as there is one; none once this is closed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._n_put > start or self._is_closed)
            if self._is_closed:
                return []
            end = min(self._n_put, start + _TAKEN_AT_ONCE)
            return [self._rows.get(place, ANSWERED) for place in range(start, end)]

    async def enrol(self) -> int:
        """Return a number for a worker: 0 for the first, 1 for the next."""
        self._n_workers += 1
        return self._n_workers - 1

    async def close(self) -> None:
        """End the rows; what is in work need not be finished."""
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    async def closed(self) -> None:
        """Return when this is closed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_closed)


def _source(inbox: Any) -> Any:
    """Return a source of rows with one read task, which ends when the inbox is closed."""
    block = importlib.import_module("ray.data.block")
    datasource = importlib.import_module("ray.data.datasource")

    class InboxSource(datasource.Datasource):  # pyright: ignore[reportUntypedBaseClass] - ray may be absent
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, *args: Any, **kwargs: Any) -> list[Any]:
            unknown = block.BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [datasource.ReadTask(partial(_blocks_of, inbox), unknown)]

    return InboxSource()


def _blocks_of(inbox: Any) -> Iterator[Any]:
    ray, place = load_ray(), 0
    while rows := ray.get(inbox.take.remote(place)):
        for row in rows:
            yield pa.table({COLUMN: [row]})
        place += len(rows)


class Stream:
    """A running dataset. `transform` gets the dataset of rows and the inbox, and returns that of results.

    Its rows have one text in the column `row`. Used by one thread.
    """

    def __init__(self, transform: Callable[[Any, Any], Any]) -> None:
        self._n_put = 0
        ray = load_ray()
        self._inbox: Any = ray.remote(num_cpus=0)(Inbox).remote()
        rows: Any = ray.data.read_datasource(
            _source(self._inbox), override_num_blocks=1, num_cpus=_READER_CPUS
        )
        context = rows.context  # of this dataset alone: that of the process is the user's
        context.target_max_block_size = 1  # bytes, so a block has one row
        # the executor looks every 0.1 s, and would take two blocks of the endless task each time
        context._max_num_blocks_in_streaming_gen_buffer = None
        context.execution_no_progress_timeout_s = -1  # waiting for the driver is no fault
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        try:
            self._results: Any = transform(rows, self._inbox)
        except BaseException:
            ray.kill(self._inbox)
            raise
        self._queue: SimpleQueue[OutRow | BaseException] = SimpleQueue()
        self._thread = threading.Thread(target=self._consume, name="publius-ray", daemon=True)
        self._thread.start()

    def put(self, rows: Sequence[str], *, answered: Sequence[int]) -> None:
        """Append rows; those at the places `answered` (counted from 0) are not needed any more."""
        self._inbox.put.remote(self._n_put, list(rows), list(answered))
        self._n_put += len(rows)

    def take(self, *, timeout_s: float) -> list[OutRow]:
        """Return the results that came, none if none came within `timeout_s` seconds.

        Raises:
            StreamBroken: The dataset has ended, and what was not returned will never come.
        """
        results: list[OutRow] = []
        try:
            results.append(self._next(timeout_s))
            while True:
                results.append(self._next(0))
        except Empty:
            return results
        except StreamBroken:
            if not results:
                raise
            return results

    def close(self) -> None:
        """Stop the workers; what they have in hand is dropped."""
        self._inbox.close.remote()
        self._thread.join(_CLOSING_S)
        load_ray().kill(self._inbox)

    def _next(self, timeout_s: float) -> OutRow:
        item = self._queue.get(block=timeout_s > 0, timeout=timeout_s or None)
        if isinstance(item, BaseException):
            self._queue.put(item)  # for the next call too
            raise StreamBroken(str(item)) from item
        return item

    def _consume(self) -> None:
        try:
            # without prefetching: the last answer must not wait for one after it
            for table in self._results.iter_batches(
                batch_size=None, prefetch_batches=0, batch_format="pyarrow"
            ):
                for row in table.to_pylist():
                    self._queue.put(row)
        except Exception as error:  # whatever ends the dataset, `take` raises it in the driver's thread
            self._queue.put(error)
        else:
            self._queue.put(StreamBroken("the dataset ended"))
