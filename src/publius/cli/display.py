"""What a run shows while it works: a live line on a terminal, plain lines elsewhere; data on stdout.

Everything shown goes through `printable`, since model text and file names may hold control characters.

Paper: none.
"""

import sys
import time
from typing import Any

import click

from publius.cli.text import printable
from publius.pipeline.runner import Listener, StageEvent

_PLAIN_EVERY_S = 15.0


class Display:
    """Shows stages on stderr as they come; use it in a `with`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live: Any = None
        self._task: Any = None
        self._last = 0.0
        self._shown = ("", "")

    def listener(self) -> Listener:
        """Return what the runner talks to."""
        return Listener(on_event=self._event, on_progress=self._progress)

    def __enter__(self) -> "Display":
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            self._live = Progress(
                TextColumn("  {task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def _event(self, event: StageEvent) -> None:
        if self._live is not None and self._task is not None:
            self._live.remove_task(self._task)
            self._task, self._shown = None, ("", "")
        if event.outcome == "started":
            self._say(f"{event.stage} …")
        elif event.manifest is not None:
            rows, seconds = event.manifest.rows, event.manifest.seconds
            word = "kept" if event.outcome == "reused" else "done"
            self._say(f"{event.stage}: {word}, {rows} rows, {seconds:.1f} s")

    def _progress(self, stage: str, step: str, done: int, total: int) -> None:
        if self._quiet:
            return
        now = time.monotonic()
        if self._live is not None:
            if self._shown != (stage, step):
                if self._task is not None:
                    self._live.remove_task(self._task)
                self._task = self._live.add_task(printable(f"{stage}: {step}"), total=total)
                self._shown = (stage, step)
            self._live.update(self._task, completed=done, total=total)
        elif now - self._last >= _PLAIN_EVERY_S or done == total:
            self._last, self._shown = now, (stage, step)
            self._say(f"{stage}: {step} {done}/{total}")

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(printable(text), markup=False, highlight=False)
        else:
            click.echo(printable(text), err=True)
