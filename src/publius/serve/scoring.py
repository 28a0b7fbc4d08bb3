"""One thread that owns the model; requests that wait while it works are computed together after it.

Rewards of conversations computed together differ from those computed apart by rounding (less than 1e-5 in
float32). Where every bit must be that of offline scoring, requests are not merged.

Paper: none.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from publius.preference.score import Unscored
from publius.records import Conversation
from publius.serve.refusal import Refusal

Rewards = list[float | Unscored]

_MOST_WAITING = 20_000  # conversations; more would only wait longer than clients do
_MOST_TOGETHER = 256  # conversations: with few, a request that came late waits less


class _Job(NamedTuple):
    conversations: Sequence[Conversation]
    rewards: "Future[Rewards]"


class Scoring:
    """Scores requests in the order in which they came; a daemon thread, so that leaving never waits for it.

    `score` is called with one request's conversations, or, where `merges`, with those of several.
    """

    def __init__(self, score: Callable[[Sequence[Conversation]], Rewards], *, merges: bool) -> None:
        self._score = score
        self._merges = merges
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._n_waiting = 0  # touched by the event loop's thread alone
        threading.Thread(target=self._work, name="scoring", daemon=True).start()

    async def rewards(self, conversations: Sequence[Conversation]) -> Rewards:
        """Return the rewards of a request's conversations, in order.

        Raises:
            Refusal: Too much is waiting already.
            DataError: The model gives rewards that are not numbers.
        """
        if self._n_waiting + len(conversations) > _MOST_WAITING:
            raise Refusal(503, "busy", f"{self._n_waiting} conversations are waiting; try again later")
        job = _Job(conversations, Future())
        self._n_waiting += len(conversations)
        self._jobs.put(job)
        try:
            return await asyncio.wrap_future(job.rewards)
        finally:
            self._n_waiting -= len(conversations)

    def _work(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            while self._merges and sum(len(job.conversations) for job in jobs) < _MOST_TOGETHER:
                try:
                    jobs.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            # a client that has gone away is not worked for
            self._answer([job for job in jobs if job.rewards.set_running_or_notify_cancel()])

    def _answer(self, jobs: Sequence[_Job]) -> None:
        try:
            rewards = self._score([one for job in jobs for one in job.conversations])
        except Exception as error:  # the boundary of the thread: whose request it was gets to know
            if len(jobs) == 1:
                jobs[0].rewards.set_exception(error)
                return
            for job in jobs:  # one request's trouble is not the others'
                self._answer([job])
            return
        start = 0
        for job in jobs:
            end = start + len(job.conversations)
            job.rewards.set_result(rewards[start:end])
            start = end
