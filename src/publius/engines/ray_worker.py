"""What runs in a worker of the cluster: the OpenAI engine's own pool, wire and rules, one row at a time.

Why not `HttpRequestProcessorConfig` of `ray.data.llm`, as of Ray 2.60 (`http_request_stage.py`): its calls
of a batch are coroutines that are awaited one after the other, so a worker has one connection (the loop
over `pending_requests`); statuses other than 408, 429, 502, 503 and 504 are not looked at, so the JSON body
of a 400 counts as an answer and a 500 is not tried again; `Retry-After` is not read; anything that is not
JSON, or a row out of retries, raises, and that ends the job with the whole prompt in the message;
`should_continue_on_error` belongs to engines with weights (`OfflineProcessorConfig`); and `headers` are
constructor arguments, so a key would lie in the object store. Here the key's variable is named and the
worker reads it.

Paper: none.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

from publius.engines.http_body import shown
from publius.engines.http_retry import Clock
from publius.engines.openai import OpenAIOptions, open_with
from publius.engines.protocol import Capabilities, ChooseRequest, Failure, GenerateRequest
from publius.engines.ray_rows import ANSWERED, Outcome, outcome_row, read_request
from publius.engines.ray_stream import COLUMN
from publius.engines.remote import RemoteEngine
from publius.errors import PubliusError


def probe_url(model: str, options: OpenAIOptions) -> Capabilities | tuple[str, str | None, str | None]:
    """Return what the server can do, or what, where and todo of the error; runs in the cluster."""
    engine = open_with(model, options=options, clock=Clock(), seed=None)
    try:
        return engine.capabilities
    except PubliusError as error:
        return error.what, error.where, error.todo
    finally:
        engine.close()


class UrlWorker:
    """Answers rows over HTTP, many at a time, in the event loop that Ray gives the actor.

    `urls` are shared out among the workers in turn. What goes wrong with a row is its answer; only a lost
    inbox raises.
    """

    def __init__(self, model: str, options: OpenAIOptions, urls: Sequence[str], inbox: Any) -> None:
        self._model = model
        self._options = options
        self._urls = urls
        self._inbox = inbox
        self._engine: RemoteEngine | None = None
        self._is_probed = self._is_stopped = False
        self._lost: Exception | None = None
        self._opening = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        # as many as may be between their attempts too, where a call waits without a connection
        self._threads = ThreadPoolExecutor(2 * options.concurrency, "publius-call")

    async def __call__(self, rows: Any) -> dict[str, list[str]]:
        """Return the outcome of every row of an Arrow table in its place."""
        texts = cast(list[str], rows.column(COLUMN).to_pylist())
        return {COLUMN: await asyncio.gather(*(self._outcome_row(text) for text in texts))}

    async def _outcome_row(self, text: str) -> str:
        if text == ANSWERED:
            return ANSWERED
        number, request = read_request(text)
        assert isinstance(request, GenerateRequest | ChooseRequest)
        try:
            return outcome_row(number, await self._outcome(request))
        except asyncio.CancelledError:
            if not self._is_stopped:
                raise
            return self._unanswered()
        except Exception as error:  # of this row alone: a server out of reach, or a defect
            if self._is_stopped:
                return self._unanswered()
            is_ours = isinstance(error, PubliusError)
            said = str(error) if is_ours else f"{type(error).__name__}: {shown(str(error))}"
            return outcome_row(number, Failure(request.id, "engine", f"in a worker: {said}"))

    async def _outcome(self, request: GenerateRequest | ChooseRequest) -> Outcome:
        engine = await self._opened()
        wire, pool = engine.wire(), engine.pool
        run = asyncio.get_running_loop().run_in_executor
        calls = await run(self._threads, wire.calls, request)
        if isinstance(calls, Failure):
            return replace(calls, n_calls=0)  # no call is made
        if self._is_stopped:
            raise asyncio.CancelledError
        results = await asyncio.gather(*(run(self._threads, pool.call, call) for call in calls))
        return await run(self._threads, wire.read, request, results)

    def _unanswered(self) -> str:
        """Return the row of a stopped worker, which says nothing; the driver still has the request.

        Raises:
            RuntimeError: The inbox was not closed but lost, and the driver must begin a new dataset.
        """
        if self._lost is not None:
            raise RuntimeError("the inbox is lost") from self._lost
        return ANSWERED

    async def _opened(self) -> RemoteEngine:
        """Return the engine, probed; a probe that fails is made again for the next row."""
        async with self._opening:
            if self._watching is None:
                self._watching = asyncio.create_task(self._stop_in_time())
            if self._engine is None:
                number = await self._enrolled()
                options = replace(self._options, base_url=self._urls[number % len(self._urls)])
                self._engine = open_with(self._model, options=options, clock=Clock(), seed=None)
            engine = self._engine
            if not self._is_probed:
                await asyncio.to_thread(lambda: engine.capabilities)
                self._is_probed = True
            return engine

    async def _enrolled(self) -> int:
        try:
            return cast(int, await self._inbox.enrol.remote())
        except Exception as error:
            self._lost, self._is_stopped = error, True
            raise

    async def _stop_in_time(self) -> None:
        """Break off the calls in flight when the driver closes the inbox, so that none is paid in vain."""
        try:
            await self._inbox.closed.remote()
        except Exception as error:  # whatever Ray raises, there is no inbox any more
            self._lost = error
        self._is_stopped = True
        if self._engine is not None:
            await asyncio.to_thread(self._engine.close)
