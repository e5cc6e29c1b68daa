"""Perturbations: what happens to a picture on its way to the viewer, on decoded uint8 pixels.

A setting that changes nothing (factor 1, sigma 0, share 1, 0 times) returns the input itself. A codec has no such
setting: JPEG of quality 100 rounds, too; a picture that it cannot hold is an ImageError. H.264 is in `images.h264`,
since it needs the video extra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter, JpegImagePlugin

from tristream.errors import ImageError
from tristream.images.decode import decode, read_header
from tristream.typing import UInt8

Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]

SERVICE_LONGER_SIDE = 2048
"""px; social services keep no longer side than about this, whatever is uploaded."""
_INTERFACE = (32, 33, 36)
_SUBSAMPLINGS: tuple[Subsampling, ...] = ("4:4:4", "4:2:2", "4:2:0")


@dataclass(frozen=True)
class Encoding:
    """What of a file has nothing to do with what it shows."""

    shorter_side: int
    """px."""
    tables: Mapping[int, Sequence[int]] | None
    """Quantisation tables of a JPEG, in Pillow's order; None for another format."""
    subsampling: Subsampling = "4:2:0"
    """Of a JPEG."""


def jpeg(pixels: UInt8, quality: int, subsampling: Subsampling = "4:2:0") -> UInt8:
    """Encode as JPEG and decode again. pixels: uint8[H, W, 3]; quality 1-100 as in libjpeg (not a video CRF)."""
    return _through_codec(pixels, format="JPEG", quality=quality, subsampling=subsampling)


def double_jpeg(pixels: UInt8, first: int, second: int, shift_px: int = 4) -> UInt8:
    """JPEG twice, the second time on another grid: `shift_px` rows and columns are cut off at the top and left between.

    pixels: uint8[H, W, 3]; first, second: qualities 1-100, 4:2:0. A side of at most `shift_px` is not cut.
    """
    once = jpeg(pixels, first)
    top, left = (shift_px if side > shift_px else 0 for side in once.shape[:2])
    return jpeg(np.ascontiguousarray(once[top:, left:]), second)


def webp(pixels: UInt8, quality: int) -> UInt8:
    """Encode as lossy WebP and decode again. pixels: uint8[H, W, 3], sides at most 16383 px; quality 0-100."""
    return _through_codec(pixels, format="WEBP", quality=quality, method=2)


def rescale(pixels: UInt8, factor: float) -> UInt8:
    """Resize both sides by `factor`, antialiased (bicubic). pixels: uint8[H, W, 3]; factor 1 returns the input."""
    return _rescaled(pixels, factor, Image.Resampling.BICUBIC)


def gaussian_blur(pixels: UInt8, sigma_px: float) -> UInt8:
    """Gaussian blur with standard deviation `sigma_px`. pixels: uint8[H, W, 3]; 0 returns the input."""
    if sigma_px == 0:
        return pixels
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma_px)))


def gaussian_noise(pixels: UInt8, sigma: float, rng: np.random.Generator) -> UInt8:
    """Independent Gaussian noise of `sigma` grey levels, clipped. pixels: uint8[H, W, 3]; 0 returns the input."""
    if sigma == 0:
        return pixels
    noisy = pixels + rng.normal(0.0, sigma, pixels.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def random_crop(pixels: UInt8, share: float, rng: np.random.Generator) -> UInt8:
    """Keep `share` of both sides, in (0, 1], somewhere in the picture. pixels: uint8[H, W, 3]; 1 returns the input."""
    height, width = pixels.shape[:2]
    high, wide = max(1, round(height * share)), max(1, round(width * share))
    if (high, wide) == (height, width):
        return pixels
    top, left = (int(rng.integers(0, room + 1)) for room in (height - high, width - wide))
    return np.ascontiguousarray(pixels[top : top + high, left : left + wide])


def screenshot(pixels: UInt8, scale: float, margin: float, quality: int) -> UInt8:
    """Photograph of a screen's memory: shown at `scale` (bilinear, as browsers do) between two bars of an interface.

    pixels: uint8[H, W, 3]; margin: height of each bar in heights of the shown picture; quality: of the JPEG that is
    made of it, 0 for a lossless PNG. Scale 1, margin 0 and quality 0 return the input.
    """
    shown = _rescaled(pixels, scale, Image.Resampling.BILINEAR)
    if bar := round(margin * shown.shape[0]):
        rows = np.empty((bar, shown.shape[1], 3), np.uint8)
        rows[:] = _INTERFACE
        shown = np.concatenate([rows, shown, rows])
    return jpeg(shown, quality) if quality else shown


def reshare(pixels: UInt8, times: int, scale: float = 0.85, quality: int = 75, sharpen: float = 0.5) -> UInt8:
    """Passed on `times` times by a social service: shrunk, sharpened and re-encoded each time; 0 returns the input.

    pixels: uint8[H, W, 3]; scale: of both sides, and no longer side above SERVICE_LONGER_SIDE; quality: JPEG, 4:2:0;
    sharpen: strength of an unsharp mask with a radius of 1 px, in [0, 1].
    """
    for _ in range(times):
        smaller = rescale(pixels, min(scale, SERVICE_LONGER_SIDE / max(pixels.shape[:2])))
        mask = ImageFilter.UnsharpMask(radius=1, percent=round(100 * sharpen), threshold=0)
        pixels = jpeg(np.asarray(Image.fromarray(smaller).filter(mask)), quality)
    return pixels


def encoded_like(pixels: UInt8, encoding: Encoding) -> UInt8:
    """Deliver a picture as another one was: no larger than it, and with the same quantisation where that is a JPEG.

    pixels: uint8[H, W, 3]. A smaller picture is not enlarged, which would leave a trace of its own.
    """
    smaller = rescale(pixels, min(1.0, encoding.shorter_side / min(pixels.shape[:2])))
    if encoding.tables is None:
        return smaller
    tables = {number: [min(255, step) for step in table] for number, table in encoding.tables.items()}
    return _through_codec(smaller, format="JPEG", qtables=tables, subsampling=encoding.subsampling)


def read_encoding(path: Path) -> Encoding:
    """How a file is encoded, from its header. Raises ImageError for one that is no picture."""
    header = read_header(path)
    shorter_side = min(header.width, header.height)
    if header.format != "JPEG":
        return Encoding(shorter_side, None)
    with JpegImagePlugin.JpegImageFile(path) as picture:  # Image.open would add Pillow's own pixel limit
        sampling = JpegImagePlugin.get_sampling(picture)  # -1 for grey, and for what Pillow has no name for
        return Encoding(shorter_side, dict(picture.quantization), _SUBSAMPLINGS[sampling if sampling >= 0 else 2])


def _rescaled(pixels: UInt8, factor: float, resampling: Image.Resampling) -> UInt8:
    height, width = pixels.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if size == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, resampling))


def _through_codec(pixels: UInt8, **options: object) -> UInt8:
    buffer, (height, width) = BytesIO(), pixels.shape[:2]
    try:
        Image.fromarray(pixels).save(buffer, **options)  # type: ignore[arg-type]
    except (OSError, ValueError) as error:  # of the longest sides: 16,383 px in WebP, 65,500 in JPEG
        raise ImageError(f"{width} x {height} pixels cannot be encoded as {options['format']}: {error}") from error
    return decode(buffer.getvalue(), max_pixels=height * width).pixels
