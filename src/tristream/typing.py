"""Types that many files write: arrays by what they hold, and the one way to be told how far long work has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.object_]
"""As pandas holds them."""

Progress = Callable[[int, int], None]
"""Called with how many are done, and of how many."""


class ProgressInWords(Protocol):
    """As `Progress`, with a few words on the state."""

    def __call__(self, done: int, total: int, words: str = "", /) -> None: ...
