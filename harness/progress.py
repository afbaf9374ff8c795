"""What is being done and how far it is, on stderr."""

import os
import sys
import time
from typing import Any

import click


class Progress:
    """Shows what is being done on stderr: a bar on a terminal, now and then a line otherwise."""

    SECONDS = 10.0  # between lines where stderr is no terminal

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._what = ""
        self._began = self._printed = 0.0
        self._first = 0

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty() and not os.environ.get("NO_PROGRESS"):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Notes that `done` of `total` steps of `what` are done."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._began, self._printed, self._first = what, now, 0.0, done
            if self._bar is not None and self._task is not None:
                self._bar.remove_task(self._task)
            if self._bar is not None:
                self._task = self._bar.add_task(what, total=total, rate="")
        gone, steps = now - self._began, done - self._first
        rate = f"{steps / gone:.1f}/s" if steps and gone > 0 else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, rate=rate)
        elif now - self._printed >= self.SECONDS or done == total:
            self._printed = now
            left = f", {gone / steps * (total - done):.0f} s left" if steps else ""
            tail = f" ({rate}{left})" if rate else ""
            click.echo(f"{what}: {done}/{total}{tail}", err=True)
