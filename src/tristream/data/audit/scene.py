"""Scene statistics: colour, brightness and bytes per pixel; a thumbnail as content; a perceptual hash."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.fft import dctn

from tristream.data.audit.topics import THUMBNAIL_FEATURES
from tristream.typing import Float64, UInt8

THUMBNAIL_SIDE = 64
HASH_SIDE = 16
HASH_BITS = HASH_SIDE**2


def scene_facts(pixels: UInt8, size_in_bytes: int) -> dict[str, float]:
    """Statistics of the middle square, shrunk to 64 x 64, so that size and aspect play no part.

    pixels: uint8[H, W, 3]. Levels are in [0, 1].
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    square = pixels[(height - side) // 2 :, (width - side) // 2 :][:side, :side]
    rgb = np.asarray(_shrunk(square, THUMBNAIL_SIDE), np.float64) / 255
    red, green, blue = (rgb[..., channel] for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    brightest, darkest = rgb.max(axis=2), rgb.min(axis=2)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    colourfulness = np.hypot(red_green.std(), yellow_blue.std()) + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean())
    statistics = {
        "red": red.mean(),
        "green": green.mean(),
        "blue": blue.mean(),
        "red_spread": red.std(),
        "green_spread": green.std(),
        "blue_spread": blue.std(),
        "saturation": ((brightest - darkest) / np.maximum(brightest, 1e-3)).mean(),
        "colourfulness": colourfulness,  # Hasler & Suesstrunk 2003
        "luma": luma.mean(),
        "luma_spread": luma.std(),
        "dark": np.quantile(luma, 0.05),
        "bright": np.quantile(luma, 0.95),
        "black_share": (luma < 0.02).mean(),
        "white_share": (luma > 0.98).mean(),
        "bytes_per_pixel": size_in_bytes / (height * width),
    }
    content = _thumbnail_content(luma, blue - luma, red - luma)
    return {name: float(value) for name, value in statistics.items()} | {
        f"thumbnail_{i}": float(value) for i, value in enumerate(content)
    }


def _thumbnail_content(luma: Float64, blue_difference: Float64, red_difference: Float64) -> Float64:
    """f64[THUMBNAIL_FEATURES]: low DCT frequencies of luma and chroma, histograms of edge directions in 4 x 4 cells."""
    low = dctn(luma, norm="ortho")[:8, :8].ravel()[1:]
    chroma = [dctn(plane, norm="ortho")[:4, :4].ravel() for plane in (blue_difference, red_difference)]
    down, across = np.gradient(luma)
    strength = np.hypot(down, across)
    direction = ((np.arctan2(down, across) % np.pi) / np.pi * 6).astype(np.int64) % 6
    cell = (np.arange(THUMBNAIL_SIDE) // 16)[:, None] * 4 + (np.arange(THUMBNAIL_SIDE) // 16)[None, :]
    edges = np.bincount((cell * 6 + direction).ravel(), strength.ravel(), minlength=96).reshape(16, 6)
    edges = edges / (np.linalg.norm(edges) + 1e-6)
    content = np.concatenate([low, *chroma, edges.ravel()])
    assert content.size == THUMBNAIL_FEATURES
    return content


def perceptual_hash(pixels: UInt8) -> UInt8:
    """uint8[32], 256 bits: which low DCT frequencies of a 64 x 64 grey thumbnail lie above their median.

    pixels: uint8[H, W, 3]. Re-encoding and rescaling change few bits; a picture without contrast has an arbitrary hash.
    """
    grey = np.asarray(_shrunk(pixels, THUMBNAIL_SIDE).convert("L"), np.float64)
    low = dctn(grey, norm="ortho")[:HASH_SIDE, :HASH_SIDE]
    return np.packbits(low > np.median(low))


def _shrunk(pixels: UInt8, side: int) -> Image.Image:
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
