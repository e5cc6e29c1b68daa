"""Progress on standard error: a bar with ETA on a terminal, a line now and then in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tristream.typing import ProgressInWords

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_S = 30.0
"""How often a log file gets a line."""
SPEED_OVER_S = 600.0
"""Over how long a bar averages the speed: one step can take a minute."""


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressInWords]:
    """A progress display; messages of `logging` appear above it. Nothing goes to standard output."""
    from rich.console import Console  # 30 ms that a command without a bar does not spend
    from rich.logging import RichHandler
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_level=False)
    logger = logging.getLogger("tristream")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                       TimeElapsedColumn(), TimeRemainingColumn(),
                       TextColumn("{task.fields[words]}", markup=False))  # fmt: skip
            with Progress(*columns, console=console, speed_estimate_period=SPEED_OVER_S) as progress:
                yield _bar(progress, title)
        else:
            yield _line_writer(title)
    finally:
        logger.removeHandler(handler)


def _bar(progress: Progress, title: str) -> ProgressInWords:
    task = progress.add_task(title, total=None, words="")
    begun = False

    def show(done: int, total: int, words: str = "") -> None:
        nonlocal begun
        if not begun:  # what was there before, after a resume, was not done in this time
            progress.reset(task, completed=done, total=total)
            begun = True
        progress.update(task, completed=done, total=total, words=words)

    return show


def _line_writer(title: str) -> ProgressInWords:
    began = last = time.monotonic()
    first: int | None = None

    def show(done: int, total: int, words: str = "") -> None:
        nonlocal began, last, first
        now = time.monotonic()
        if first is None:
            began, first = now, done
        if now - last >= LINE_EVERY_S or done == total:
            last = now
            left = f", {(now - began) / (done - first) * (total - done) / 60:.1f} min left" if done > first else ""
            print(f"{title}: {done}/{total}{left}  {words}".rstrip(), file=sys.stderr, flush=True)

    return show
