"""A picture's scores are the means over its crops, whichever batches these came in."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import BrightnessSession
from tristream.runtime.session import score_pictures


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_logits_weights_and_tokens_are_means_over_a_pictures_crops(batch_size: int) -> None:
    random = np.random.default_rng(0)
    pictures = [random.random((count, 3, 8, 8), np.float32) ** (count + 1) for count in (1, 3, 2)]
    scores = score_pictures(BrightnessSession(), pictures, batch_size)
    assert scores.tokens_BSD is not None
    assert scores.stream_weights_BS is not None
    assert (scores.tokens_BSD.shape, scores.tokens_BSD.dtype) == ((3, 2, 1), np.float32)
    for row, crops in enumerate(pictures):
        alone = BrightnessSession().run(crops)
        assert scores.logits_B[row] == pytest.approx(alone.logits_B.mean(), rel=1e-5)
        np.testing.assert_allclose(scores.stream_weights_BS[row], alone.stream_weights_BS.mean(0), rtol=1e-5)  # type: ignore[union-attr]
        np.testing.assert_allclose(scores.tokens_BSD[row], alone.tokens_BSD.mean(0), rtol=1e-5)  # type: ignore[union-attr]


def test_no_pictures_have_no_scores() -> None:
    assert score_pictures(BrightnessSession(), []).logits_B.shape == (0,)
