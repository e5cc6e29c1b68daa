"""What a score alone says at two thresholds, of many pictures at once; `runtime.verdict` gives one its reasons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tristream.typing import Int64

# N pictures


def answers(
    logit_N: npt.ArrayLike, fake_threshold: float, real_threshold: float, far_N: npt.ArrayLike | None = None
) -> Int64:
    """i64[N]: 1 called fake, 0 called real, -1 unsure.

    Fake lies strictly above its threshold, real strictly below its own, and what both or neither hold for is unsure,
    as are the pictures that are too far from the training pictures: far_N, bool[N].

    >>> answers([-3.0, 0.0, 3.0], fake_threshold=1.0, real_threshold=-1.0).tolist()
    [0, -1, 1]
    """
    logit = np.asarray(logit_N, np.float64)
    fake_N, real_N = logit > fake_threshold, logit < real_threshold
    unsure_N = (fake_N == real_N) | (False if far_N is None else np.asarray(far_N, np.bool_))
    return np.where(unsure_N, -1, fake_N).astype(np.int64)
