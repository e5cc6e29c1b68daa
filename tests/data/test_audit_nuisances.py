"""What is measured of one picture: planted in a file, found again."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.data.leaky import noise_picture
from tristream.data.audit.examine import examine
from tristream.data.audit.nuisances import block_grid, double_compression, estimated_quality, resampling
from tristream.data.audit.scene import HASH_BITS, perceptual_hash
from tristream.data.audit.topics import FEATURES
from tristream.errors import ImageError


def _facts(picture: Image.Image, format: str, **options: Any) -> dict[str, float]:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return dict(zip(FEATURES, examine(buffer.getvalue(), "picture")[0].tolist(), strict=True))


@pytest.fixture
def noise() -> Image.Image:
    return noise_picture(np.random.default_rng(0), 160, 128)


def test_a_jpeg_declares_its_quality_subsampling_and_metadata(noise: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    facts = _facts(noise, "JPEG", quality=83, subsampling="4:4:4", exif=exif, icc_profile=profile, progressive=True)
    assert (facts["is_jpeg"], facts["is_png"], facts["jpeg_quality"]) == (1, 0, 83)
    assert (facts["table_is_standard"], facts["is_444"], facts["is_420"], facts["is_progressive"]) == (1, 1, 0, 1)
    assert (facts["has_exif"], facts["exif_tags"], facts["has_icc"]) == (1, 1, 1)
    plain = _facts(noise, "JPEG", quality=60)
    assert (plain["jpeg_quality"], plain["is_420"], plain["has_exif"], plain["has_icc"]) == (60, 1, 0, 0)


def test_a_png_has_no_jpeg_facts_and_keeps_its_mode_and_size(noise: Image.Image) -> None:
    facts = _facts(noise.convert("LA"), "PNG")
    assert (facts["is_png"], facts["is_grey"], facts["has_alpha"]) == (1, 1, 1)
    assert np.isnan([facts["jpeg_quality"], facts["is_420"], facts["luma_table"]]).all()
    assert (facts["short_side"], facts["long_side"], facts["aspect"], facts["is_portrait"]) == (128, 160, 1.25, 0)


def test_a_tiff_has_metadata_only_where_somebody_put_some(noise: Image.Image) -> None:
    for mode, compression in (("RGB", "jpeg"), ("RGBA", "tiff_lzw"), ("P", None)):
        plain = _facts(noise.convert(mode), "TIFF", compression=compression, dpi=(72, 72))
        assert (plain["is_other"], plain["has_exif"], plain["exif_tags"], plain["has_text"]) == (1, 0, 0, 0), mode
    named = _facts(noise, "TIFF", tiffinfo={0x0110: "a camera"})
    assert (named["has_exif"], named["exif_tags"]) == (1, 1)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_pillow_s_own_pixel_limit_does_not_apply(
    noise: Image.Image, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert _facts(noise, format)["long_side"] == 160


def test_a_foreign_table_is_near_a_quality_but_not_standard() -> None:
    quality, difference = estimated_quality(np.full(64, 16.0))
    assert 1 <= quality <= 100
    assert difference > 0


@pytest.mark.parametrize(("left", "top"), [(0, 0), (3, 5), (7, 1)])
def test_the_block_grid_of_an_earlier_jpeg_is_found_in_a_crop(noise: Image.Image, left: int, top: int) -> None:
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG", quality=50)
    facts = _facts(Image.open(buffer).crop((left, top, 152, 120)), "PNG")
    assert (facts["grid_x"], facts["grid_y"]) == (-left % 8, -top % 8)
    assert facts["grid_aligned"] == (left == top == 0)
    assert facts["grid_strength_x"] > 4 * block_grid(np.asarray(noise.convert("L"), np.float64))[1]


def test_a_second_compression_leaves_periods_in_the_histograms(noise: Image.Image) -> None:
    once, twice = io.BytesIO(), io.BytesIO()
    noise.save(once, "JPEG", quality=90)
    table = np.asarray(Image.open(once).quantization[0], np.float64).reshape(8, 8)  # type: ignore[attr-defined]
    first = io.BytesIO()
    noise.save(first, "JPEG", quality=60)
    Image.open(first).save(twice, "JPEG", quality=90)
    single, double = (
        double_compression(np.asarray(Image.open(file).convert("L"), np.float64), table) for file in (once, twice)
    )
    assert double["histogram_period"] > 1.5 * single["histogram_period"]


def test_interpolation_leaves_a_peak_and_takes_the_highest_frequencies() -> None:
    luma = np.random.default_rng(0).normal(128, 30, (128, 128))
    larger = Image.fromarray(luma.astype(np.float32)).resize((192, 192), Image.Resampling.BILINEAR)
    before, after = resampling(luma), resampling(np.asarray(larger, np.float64))
    assert after["resampling_peak"] > before["resampling_peak"] + 1
    assert after["high_band"] < before["high_band"] - 1


def test_the_perceptual_hash_survives_reencoding_and_rescaling_only_of_the_same_picture(noise: Image.Image) -> None:
    buffer = io.BytesIO()
    noise.resize((240, 192)).save(buffer, "JPEG", quality=50)
    other = noise_picture(np.random.default_rng(1), 160, 128)
    same, again, different = (perceptual_hash(np.asarray(p)) for p in (noise, Image.open(buffer), other))
    assert np.unpackbits(same ^ again).sum() <= 10
    assert np.unpackbits(same ^ different).sum() > HASH_BITS / 4


def test_half_a_picture_is_an_error_and_a_tiny_one_has_no_traces(noise: Image.Image) -> None:
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG")
    with pytest.raises(ImageError, match="picture"):
        examine(buffer.getvalue()[:900], "picture")
    tiny = _facts(noise.resize((40, 40)), "PNG")
    assert np.isnan([tiny["grid_x"], tiny["resampling_peak"], tiny["benford"]]).all()
    assert tiny["luma"] > 0
