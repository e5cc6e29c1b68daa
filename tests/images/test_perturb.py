"""Perturbations: neutral settings change nothing, each setting does what it says, and files are imitated exactly."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from tests.pictures import natural_noise
from tristream.errors import ImageError, MissingExtraError, UsageError
from tristream.images import perturb
from tristream.images.h264 import encode_again, encode_clip, h264
from tristream.images.video import Frame


def photo(seed: int = 0) -> np.ndarray:
    """uint8[64, 64, 3] with the spectrum of photographs."""
    return np.clip(natural_noise(np.random.default_rng(seed)), 0, 255).astype(np.uint8)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def test_neutral_settings_return_the_input_itself() -> None:
    pixels, rng = photo(), np.random.default_rng(0)
    for same in (
        perturb.rescale(pixels, 1),
        perturb.gaussian_blur(pixels, 0),
        perturb.gaussian_noise(pixels, 0, rng),
        perturb.random_crop(pixels, 1, rng),
        perturb.screenshot(pixels, 1, 0, 0),
        perturb.reshare(pixels, 0),
        perturb.encoded_like(pixels, perturb.Encoding(64, None)),
    ):
        assert same is pixels


def test_lower_qualities_lose_more() -> None:
    pixels = photo()
    for encode, rising in (
        (perturb.jpeg, (95, 70, 30)), (perturb.webp, (90, 50, 5)), (h264, (0, 23, 40, 51)),
    ):  # fmt: skip
        losses = [error(encode(pixels, setting), pixels) for setting in rising]
        assert losses == sorted(losses), encode.__name__
        assert losses[-1] > 1.3 * losses[0], "colours are halved at any quality, which costs as much in noise"


def test_the_second_jpeg_lies_on_another_grid() -> None:
    pixels = photo()
    twice = perturb.double_jpeg(pixels, 30, 100)
    assert twice.shape == (60, 60, 3)
    once = perturb.jpeg(pixels, 30)
    assert error(twice, once[4:, 4:]) < 2, "quality 100 hardly changes what quality 30 left"
    assert grid_strength(twice, offset=4) > 1.3, "the first grid now starts 4 px further"
    assert grid_strength(twice, offset=0) < 1.1
    assert perturb.double_jpeg(pixels[:4, :4], 50, 50).shape == (4, 4, 3)


def grid_strength(pixels: np.ndarray, offset: int) -> float:
    """Mean step across the borders of 8 x 8 blocks, whose first begins at `offset`, over the mean of all steps."""
    steps = np.abs(np.diff(pixels.astype(float).mean(2), axis=1)).mean(0)
    return float(steps[np.arange(steps.size) % 8 == (offset - 1) % 8].mean() / steps.mean())


def test_blur_is_that_of_scipy() -> None:
    blurred = perturb.gaussian_blur(photo(), 2)[8:-8, 8:-8]
    expected = gaussian_filter(photo().astype(float), (2, 2, 0))[8:-8, 8:-8]
    assert error(blurred, expected) < 1, "Pillow approximates the Gaussian by boxes"


def test_noise_has_its_deviation_and_is_clipped() -> None:
    grey, black = np.full((200, 200, 3), 128, np.uint8), np.zeros((200, 200, 3), np.uint8)
    noisy = perturb.gaussian_noise(grey, 10, np.random.default_rng(0)).astype(float)
    assert noisy.std() == pytest.approx(10, rel=0.02)
    dark = perturb.gaussian_noise(black, 10, np.random.default_rng(0))
    assert (dark == 0).mean() == pytest.approx(0.52, abs=0.02), "half of the noise would be negative"


def test_a_crop_is_a_part_of_the_picture() -> None:
    pixels = photo()
    for seed in range(5):
        part = perturb.random_crop(pixels, 0.4, np.random.default_rng(seed))
        assert part.shape == (26, 26, 3)
        places = np.argwhere((pixels[:39, :39] == part[0, 0]).all(2))
        assert any(np.array_equal(pixels[y : y + 26, x : x + 26], part) for y, x in places)


def test_a_screenshot_has_bars_and_a_reshared_picture_shrinks_each_time() -> None:
    shown = perturb.screenshot(photo(), 0.5, 0.125, 0)
    assert shown.shape == (40, 32, 3)
    assert len(np.unique(shown[[0, 3, 36, 39]].reshape(-1, 3), axis=0)) == 1
    assert error(shown[4:-4], perturb.rescale(photo(), 0.5)) < 6, "bilinear and bicubic are close"
    assert perturb.reshare(photo(), 2, scale=0.5).shape == (16, 16, 3)
    assert max(perturb.reshare(np.zeros((8, 4000, 3), np.uint8), 1, scale=0.9).shape) == perturb.SERVICE_LONGER_SIDE


def test_h264_keeps_frames_apart_and_odd_sizes() -> None:
    frames = [np.full((33, 47, 3), 40 * index, np.uint8) for index in range(5)]
    decoded = encode_clip(frames, 23)
    assert [frame.shape for frame in decoded] == [(33, 47, 3)] * 5
    assert [round(float(frame.mean()) / 40) for frame in decoded] == [0, 1, 2, 3, 4]
    assert np.array_equal(h264(photo(), 40), h264(photo(), 40))
    with pytest.raises(UsageError, match="CRF 52"):
        h264(photo(), 52)


class _Still:
    """A clip of so many frames, each with its number as its level."""

    def __init__(self, frames: int) -> None:
        self.times_s = [index / 25 for index in range(frames)]

    def frames(self, indices):  # type: ignore[no-untyped-def]
        assert list(indices) == sorted(set(indices)), "ascending, each once"
        yield from (Frame(self.times_s[n], np.full((16, 16, 3), 20 * n, np.uint8)) for n in indices)


@pytest.mark.parametrize(("frames", "indices"), [(12, [0, 1, 5, 6, 11]), (3, [0, 2]), (1, [0]), (9, [4])])
def test_a_frame_is_encoded_again_in_its_own_clip(frames: int, indices: list[int]) -> None:
    found = list(encode_again(_Still(frames), indices, 23))  # type: ignore[arg-type]
    assert [round(float(frame.pixels.mean()) / 20) for frame in found] == indices
    assert [frame.time_s for frame in found] == [index / 25 for index in indices]


@pytest.mark.parametrize(
    ("encode", "width"),
    [
        (lambda pixels: perturb.webp(pixels, 80), 16384),
        (lambda pixels: perturb.jpeg(pixels, 80), 65501),
        (lambda pixels: h264(pixels, 23), 16386),
    ],
)
def test_a_picture_too_wide_for_a_codec_is_an_image_error(
    encode: Callable[[np.ndarray], np.ndarray], width: int
) -> None:
    with pytest.raises(ImageError, match=f"{width} x 8 pixels cannot be encoded as"):
        encode(np.zeros((8, width, 3), np.uint8))


def test_without_the_extra_h264_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"tristream\[video\]"):
        h264(photo(), 23)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_a_picture_is_encoded_as_another_file_was(tmp_path: Path, subsampling: str) -> None:
    other = tmp_path / "other.jpg"
    Image.fromarray(photo(1)[:40]).save(other, quality=37, subsampling=subsampling)
    encoding = perturb.read_encoding(other)
    assert (encoding.shorter_side, encoding.subsampling) == (40, subsampling)
    treated = perturb.encoded_like(photo(), encoding)
    buffer = BytesIO()
    Image.fromarray(perturb.rescale(photo(), 40 / 64)).save(buffer, "JPEG", quality=37, subsampling=subsampling)
    assert np.array_equal(treated, np.asarray(Image.open(buffer)))


def test_the_limit_of_pixels_is_not_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(photo()).save(tmp_path / "large.jpg", quality=50)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    treated = perturb.encoded_like(photo(), perturb.read_encoding(tmp_path / "large.jpg"))
    assert np.array_equal(treated, perturb.jpeg(photo(), 50))


def test_a_smaller_picture_is_not_enlarged_and_a_png_has_no_tables(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((500, 400, 3), np.uint8)).save(tmp_path / "large.png")
    encoding = perturb.read_encoding(tmp_path / "large.png")
    assert encoding == perturb.Encoding(400, None)
    assert perturb.encoded_like(photo(), encoding) is not None
    assert np.array_equal(perturb.encoded_like(photo(), encoding), photo())
    Image.fromarray(photo()[..., 0]).save(tmp_path / "grey.jpg", quality=20)
    assert perturb.encoded_like(photo(), perturb.read_encoding(tmp_path / "grey.jpg")).shape == (64, 64, 3)
