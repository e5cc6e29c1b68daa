"""The median of resamples: NumPy's, on repeated values."""

from __future__ import annotations

import numpy as np
import pytest

from tristream.metrics import resampled


@pytest.mark.parametrize("size", [1, 2, 7, 10])
def test_the_median_is_that_of_the_repeated_values(size: int) -> None:
    rng = np.random.default_rng(size)
    value_N = np.round(rng.normal(size=size), 1)
    counts_RN = np.vstack([np.ones(size), rng.multinomial(size, np.full(size, 1 / size), size=50)])
    expected = [np.median(np.repeat(value_N, counts.astype(int))) for counts in counts_RN]
    np.testing.assert_allclose(resampled.median(counts_RN, value_N), expected)
