"""One command in several processes, as `accelerate launch` starts it: the first leads, the others follow.

What they tell each other beside training (which stage begins, that all is over, who has failed) goes through
the launcher's own store. Waiting there costs nothing and has no end, however long the first process is busy
with what needs no company; a collective call would give up after half an hour.

Paper: none.
"""

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from publius.errors import UsageError

if TYPE_CHECKING:
    from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage]

_POLL_S = 0.1


class Processes(NamedTuple):
    """How many processes were started together, and which of them this is (0 is the first)."""

    n: int
    rank: int

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes, asks models and shows what goes on."""
        return self.rank == 0


class Failed(NamedTuple):
    """A process that could not go on: its number, the exit code of its error, and the error."""

    rank: int
    exit_code: int
    message: str


def processes() -> Processes:
    """Return what `accelerate launch` or torchrun says in the environment: one process without them."""
    return Processes(int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0")))


def require_one_process(what: str) -> None:
    """Refuse to do in several processes what knows no sharing of the work.

    Raises:
        UsageError: This is one of several.
    """
    if processes().n > 1:
        raise UsageError(f"{what} runs in one process", todo="start it without accelerate launch or torchrun")


def open_channel() -> "Channel":
    """Return this process's end of the launch's channel."""
    from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage]
    from torch.distributed.rendezvous import rendezvous

    store, rank, n = next(rendezvous("env://"))
    return Channel(PrefixStore("publius", store), Processes(n, rank))


class Channel:
    """Messages of the first process to the others, each heard by all of them, and failures to everyone."""

    def __init__(self, store: "Store", started: Processes) -> None:
        self._store = store
        self._started = started
        self._n_messages = 0

    def say(self, message: str) -> None:
        """Tell the others; for the first process."""
        with suppress(RuntimeError):  # the launcher is gone, and takes them with it
            self._store.set(f"message/{self._n_messages}", message)
        self._n_messages += 1

    def hear(self, *, patience_s: float = float("inf")) -> str | None:
        """Return the first process's next message, or None if none comes in time."""
        key = f"message/{self._n_messages}"
        if not self._comes([key], patience_s):
            return None
        self._n_messages += 1
        return self._store.get(key).decode()

    def fail(self, exit_code: int, message: str) -> None:
        """Tell everyone why this process cannot go on."""
        with suppress(RuntimeError):
            self._store.set(f"failed/{self._started.rank}", f"{exit_code} {message}")

    def failure(self, *, patience_s: float) -> Failed | None:
        """Return which of the other processes has failed, if one says so in time."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            for rank in range(self._started.n):
                if rank != self._started.rank and self._comes([f"failed/{rank}"], 0.0):
                    code, message = self._store.get(f"failed/{rank}").decode().split(" ", 1)
                    return Failed(rank, int(code), message)
            time.sleep(_POLL_S)
        return None

    def _comes(self, keys: list[str], patience_s: float) -> bool:
        """Return whether the keys are there in time; short looks, so that a signal is heard."""
        until = time.monotonic() + patience_s
        while not self._store.check(keys):
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)
        return True
