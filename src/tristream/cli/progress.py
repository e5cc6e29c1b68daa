"""Progress on standard error: a bar with ETA on a terminal, a line now and then in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tristream.typing import ProgressInWords

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

LINE_EVERY_S = 30.0
"""How often a log file gets a line."""
SPEED_OVER_S = 600.0
"""Over how long a bar averages the speed, at most: one step can take a minute."""


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressInWords]:
    """A progress display; messages of `logging` appear above it. Nothing goes to standard output."""
    from rich.console import Console  # 30 ms that a command without a bar does not spend
    from rich.logging import RichHandler

    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_level=False)
    logger = logging.getLogger("tristream")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        if sys.stderr.isatty():
            with _bars(console) as progress:
                yield _bar(progress, title)
        else:
            yield _line_writer(title)
    finally:
        logger.removeHandler(handler)


def _bars(console: Console, **options: Any) -> Progress:
    """options: of rich's `Progress`."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    title, words = (TextColumn(f"{{task.{text}}}", markup=False) for text in ("description", "fields[words]"))
    columns = (title, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), words)
    return Progress(*columns, console=console, speed_estimate_period=SPEED_OVER_S, **options)


def _bar(progress: Progress, title: str) -> ProgressInWords:
    task = progress.add_task(title, total=None, words="")
    phase = _Phase()

    def show(done: int, total: int, words: str = "") -> None:
        if phase.begins(done, total):
            (shown,) = progress.tasks
            began = shown.start_time
            progress.reset(task, completed=done, total=total)
            shown.start_time = began
        progress.update(task, completed=done, total=total, words=words)

    return show


def _line_writer(title: str) -> ProgressInWords:
    began = last = time.monotonic()
    phase = _Phase()

    def show(done: int, total: int, words: str = "") -> None:
        nonlocal began, last
        now = time.monotonic()
        if phase.begins(done, total):
            began = now
        if now - last >= LINE_EVERY_S or done == total:
            last, here = now, done - phase.first
            left = f", {(now - began) / here * (total - done) / 60:.1f} min left" if here else ""
            print(f"{title}: {done}/{total}{left}  {words}".rstrip(), file=sys.stderr, flush=True)

    return show


class _Phase:
    """Work of one speed: what was there before it, after a resume, was not done in its time."""

    first = 0
    """What had been done when it began."""
    _last: tuple[int, int] | None = None

    def begins(self, done: int, total: int) -> bool:
        """Whether these numbers are the first of a phase: none came before, or those of other work."""
        is_new = self._last is None or total != self._last[1] or done < self._last[0]
        self._last = done, total
        if is_new:
            self.first = done
        return is_new
