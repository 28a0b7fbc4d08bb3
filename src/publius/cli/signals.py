"""Stop within five seconds on Ctrl-C or SIGTERM, whatever a library is doing.

The first signal raises KeyboardInterrupt (or exits with 143). If a library holds the main thread in
native code, a watchdog ends the process four seconds later: every finished call is in the journal and
every file is whole or absent, so nothing is lost by that.

Paper: none.
"""

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_PATIENCE_S = 4.0


@contextmanager
def stop_politely() -> Generator[None]:
    """Install the handlers for the time of the block (main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    code = 128 + number
    watchdog = threading.Timer(_PATIENCE_S, _leave, args=(code,))
    watchdog.daemon = True
    watchdog.start()
    signal.signal(number, _leave_at_once)  # a second signal does not wait
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(code)


def _leave(code: int) -> None:
    os.write(2, b"\npublius: stopped: what was finished is kept; go on with the same command\n")
    os._exit(code)


def _leave_at_once(number: int, frame: FrameType | None) -> None:
    _leave(128 + number)
