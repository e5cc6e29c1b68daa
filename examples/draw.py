"""Draws the two synthetic pictures of this folder: python examples/draw.py [FOLDER] (needs numpy and Pillow).

They are drawn by code: neither photographs nor the output of a generator.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Float64 = npt.NDArray[np.float64]

SEED = 20
HEIGHT, WIDTH = 320, 448
GAIN = 0.96
"""Brightness of every second row and column after the faulty upsampling; 1 would be plain bilinear interpolation."""


def cloud(height: int, width: int, slope: float, rng: np.random.Generator) -> Float64:
    """Noise in [0, 1], f64[height, width], whose amplitude falls as frequency**-slope."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    radius[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) * radius**-slope, s=(height, width))
    return np.asarray((noise - noise.min()) / np.ptp(noise))


def landscape(height: int, width: int, rng: np.random.Generator) -> Float64:
    """Three hazy ridges under a cloudy evening sky, f64[height, width, 3] in [0, 1]."""
    rows = np.linspace(0, 1, height)[:, None, None]
    dusk, glow, white = np.array([0.20, 0.33, 0.58]), np.array([0.98, 0.73, 0.48]), np.ones(3)
    picture = dusk + (glow - dusk) * rows**0.8
    veil = np.clip(cloud(height, width, 1.7, rng) * 2 - 0.9, 0, 1)[..., None] * 0.6
    picture = picture * (1 - veil) + white * veil
    for depth, (top, colour) in enumerate(
        [(0.45, [0.44, 0.44, 0.55]), (0.6, [0.27, 0.32, 0.36]), (0.76, [0.12, 0.17, 0.13])]
    ):
        crest = top + 0.3 * (cloud(height, width, 1.9, rng)[height // 2] - 0.5)
        ground = np.array(colour) * (0.75 + 0.5 * cloud(height, width, 1.1, rng)[..., None])
        edge = np.clip((rows[..., 0] - crest[None, :]) * height / (3 - depth), 0, 1)[..., None]
        picture = picture * (1 - edge) + ground * edge
    return np.asarray(np.clip(picture + rng.normal(0, 0.006, picture.shape), 0, 1))


def upsample_unevenly(picture: Float64) -> Float64:
    """Double both sides as a badly balanced transposed convolution does, f64[H, W, C] to f64[2H, 2W, C].

    Kernel (g/2, 1, g/2) at stride 2: with g = GAIN < 1 every second row and column is darker. This is the artefact of
    Odena et al., "Deconvolution and Checkerboard Artifacts" (Distill, 2016): a peak at the Nyquist frequency.
    """
    for axis in (0, 1):
        following = np.concatenate([np.delete(picture, 0, axis), np.take(picture, [-1], axis)], axis)
        between = GAIN * (picture + following) / 2
        picture = np.stack([picture, between], axis + 1).reshape(
            [side * (2 if i == axis else 1) for i, side in enumerate(picture.shape)]
        )
    return picture


def main(folder: Path) -> None:
    drawn = {
        "drawn-landscape.png": landscape(HEIGHT, WIDTH, np.random.default_rng(SEED)),
        "drawn-upsampled.png": upsample_unevenly(landscape(HEIGHT // 2, WIDTH // 2, np.random.default_rng(SEED))),
    }
    for name, picture in drawn.items():
        Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(folder / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
