"""Perturbations: what happens to a picture on its way to the viewer, on decoded uint8 pixels."""

from __future__ import annotations

from io import BytesIO
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

UInt8 = npt.NDArray[np.uint8]


def jpeg(pixels: UInt8, quality: int, subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0") -> UInt8:
    """Encode as JPEG and decode again. pixels: uint8[H, W, 3]; quality 1-100 as in libjpeg (not a video CRF)."""
    return _through_codec(pixels, format="JPEG", quality=quality, subsampling=subsampling)


def webp(pixels: UInt8, quality: int) -> UInt8:
    """Encode as lossy WebP and decode again. pixels: uint8[H, W, 3], sides at most 16383 px; quality 0-100."""
    return _through_codec(pixels, format="WEBP", quality=quality, method=2)


def rescale(pixels: UInt8, factor: float) -> UInt8:
    """Resize both sides by `factor`, antialiased (bicubic). pixels: uint8[H, W, 3]; factor 1 returns the input."""
    height, width = pixels.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if size == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


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


def _through_codec(pixels: UInt8, **options: object) -> UInt8:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, **options)  # type: ignore[arg-type]
    with Image.open(buffer) as decoded:
        return np.asarray(decoded.convert("RGB"))
