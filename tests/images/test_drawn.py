"""The drawn picture: the size that was asked for, the same each time, and as hard to compress as a photograph."""

from __future__ import annotations

import numpy as np
import pytest

from tristream.images.decode import decode
from tristream.images.drawn import draw_scene, encode


@pytest.mark.parametrize("size", [(64, 48), (333, 90), (1, 1)])
def test_size_and_seed(size: tuple[int, int]) -> None:
    picture = draw_scene(*size, seed=1)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, draw_scene(*size, seed=1))
    if size != (1, 1):
        assert (picture != draw_scene(*size, seed=2)).any()


def test_it_compresses_as_photographs_do() -> None:
    file = encode(draw_scene(640, 480), "JPEG", quality=90)
    assert 0.5 < 8 * len(file) / (640 * 480) < 6  # bits per pixel
    assert decode(file).pixels.shape == (480, 640, 3)
