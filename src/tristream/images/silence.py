"""Pillow's warnings, silenced while a picture is decoded, in threads as well."""

from __future__ import annotations

import re
import threading
import warnings


class _PillowSilence:
    """Ignores the warnings of Pillow's modules while at least one thread is inside.

    warnings.catch_warnings would be shorter, but it swaps the filters of the whole process, and overlapping threads
    restore them in the wrong order. This adds one narrow filter with the first thread and removes it with the last.
    """

    _MODULES = r"(PIL|pillow_heif)\b"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._filter() not in warnings.filters:
                warnings.filterwarnings("ignore", module=self._MODULES)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._filter() in warnings.filters:
                warnings.filters.remove(self._filter())  # type: ignore[attr-defined]

    def _filter(self) -> tuple[str, None, type[Warning], re.Pattern[str], int]:
        return ("ignore", None, Warning, re.compile(self._MODULES), 0)


PILLOW_SILENCE = _PillowSilence()
