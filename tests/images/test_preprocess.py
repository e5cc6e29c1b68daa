"""Preprocessing: sizes, places of crops, small and long pictures."""

from __future__ import annotations

import numpy as np
import pytest

from tristream.images.preprocess import Preprocessing


def ramp(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green to the bottom: a crop tells where it came from."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / max(1, width - 1), 255 * y / max(1, height - 1), np.zeros((height, width))], -1).astype(
        np.uint8
    )


@pytest.mark.parametrize(
    ("size", "count"),
    [((300, 300), 1), ((4000, 3000), 1), ((300, 601), 3), ((601, 300), 3), ((1, 1), 1), ((2, 9000), 3)],
)
def test_shapes_and_range(size: tuple[int, int], count: int) -> None:
    crops = Preprocessing().crops(ramp(*size))
    assert crops.shape == (count, 3, 256, 256)
    assert crops.dtype == np.float32
    assert crops.min() >= 0
    assert crops.max() <= 1


def test_the_centre_crop_is_centred() -> None:
    crop = Preprocessing().crops(ramp(576, 576))[0]
    assert crop[0].mean() == pytest.approx(0.5, abs=0.01)
    assert crop[1].mean() == pytest.approx(0.5, abs=0.01)
    assert crop[0, 0, 0] == pytest.approx(16 / 288, abs=0.01)


def test_a_long_picture_is_seen_at_both_ends() -> None:
    left, middle, right = Preprocessing().crops(ramp(288, 1000))
    assert left[0].min() == 0
    assert right[0].max() == 1
    assert middle[0].mean() == pytest.approx(0.5, abs=0.01)


def test_pictures_are_enlarged_at_most_twice_and_then_continued() -> None:
    crop = Preprocessing().crops(ramp(60, 60))[0]
    core = crop[0, 68:188, 68:188]
    assert (core.min(), core.max()) == (0, 1), "the whole picture at 2x fills 120 px in the middle"
    assert np.array_equal(crop[:, :, 67], crop[:, :, 68]), "continued by reflection"


def test_shrinking_is_antialiased() -> None:
    checkerboard = np.indices((1152, 1152)).sum(0) % 2 * 255
    crop = Preprocessing().crops(np.repeat(checkerboard[..., None], 3, -1).astype(np.uint8))
    assert crop.std() < 0.02


def test_a_picture_of_the_right_size_is_untouched() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (288, 288, 3), dtype=np.uint8)
    crop = Preprocessing().crops(pixels)[0]
    assert np.array_equal(np.rint(crop * 255).astype(np.uint8), pixels[16:272, 16:272].transpose(2, 0, 1))
