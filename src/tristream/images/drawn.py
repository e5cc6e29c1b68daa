"""A picture drawn by code, for self-tests and timings: neither a photograph nor the output of a generator."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tristream.typing import UInt8


def draw_scene(width: int, height: int, seed: int = 0) -> UInt8:
    """Tinted noise with the 1/f spectrum of photographs, a skyline of hard edges, and fine grain.

    It compresses much as a photograph of its size does; what a detector says of it means nothing.
    Returns uint8[height, width, 3].
    """
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    radius[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) / radius, s=(height, width))
    light = 0.5 + 0.16 * noise / (noise.std() or 1.0)
    steps = 16
    skyline = np.repeat(rng.uniform(0.35, 0.85, steps), -(-width // steps))[:width]
    ground = np.arange(height)[:, None] > skyline * height
    colour = np.where(ground[..., None], rng.uniform(0.4, 0.9, 3), rng.uniform(0.8, 1.2, 3))
    picture = 255 * light[..., None] * colour + rng.normal(0, 2, (height, width, 3))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def encode(pixels: UInt8, format: str, **options: int) -> bytes:
    """A file's bytes. pixels: uint8[H, W, 3]; format and options as Pillow's `Image.save` takes them."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()
