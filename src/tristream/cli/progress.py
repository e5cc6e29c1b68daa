"""Progress on standard error: a bar with ETA on a terminal, a line now and then in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LINE_EVERY_S = 30.0
"""How often a log file gets a line."""


class Show(Protocol):
    """Called with what is done, what there is to do, and a few words on the state."""

    def __call__(self, done: int, total: int, words: str = "") -> None: ...


@contextmanager
def progress_bar(title: str) -> Iterator[Show]:
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
            with Progress(*columns, console=console) as progress:
                task = progress.add_task(title, total=None, words="")

                def show(done: int, total: int, words: str = "") -> None:
                    progress.update(task, completed=done, total=total, words=words)

                yield show
        else:
            yield _line_writer(title)
    finally:
        logger.removeHandler(handler)


def _line_writer(title: str) -> Show:
    began = last = time.monotonic()
    first: int | None = None

    def show(done: int, total: int, words: str = "") -> None:
        nonlocal last, first
        first = done - 1 if first is None else first
        now = time.monotonic()
        if now - last >= LINE_EVERY_S or done == total:
            last = now
            left_s = (now - began) / max(1, done - first) * (total - done)
            print(f"{title}: {done}/{total}, {left_s / 60:.1f} min left  {words}", file=sys.stderr, flush=True)

    return show
