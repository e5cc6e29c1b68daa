"""Augmentation: both classes go through the same random steps, then a random crop and flip.

What a picture gets depends on (seed, epoch, picture id) alone, never on workers, batches or the order of files.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from tristream.config import StrictModel
from tristream.images import perturb
from tristream.images.preprocess import Preprocessing, to_float
from tristream.typing import Float32, UInt8


class Augmentation(StrictModel):
    """Ranges are inclusive. The defaults treat every picture as one that has been passed on before."""

    steps: tuple[Literal["scale", "resize", "encode", "blur", "noise"], ...] = ("scale", "encode", "blur", "noise")
    """What happens before crop and flip, in this order. `resize`: the shorter side becomes that of the preprocessing,
    so that later steps act on what is cropped, not on the file's own pixels; CNNDetect resizes, blurs, encodes."""
    scale: tuple[float, float] = (0.25, 1.0)
    """Factor on both sides before re-encoding; drawn with a density that rises towards the upper end."""
    encode: float = Field(1.0, ge=0, le=1)
    """Probability of re-encoding. At 1 no picture keeps its own compression history untouched."""
    webp_share: float = Field(0.25, ge=0, le=1)
    """Share of re-encodings that are WebP; the rest is JPEG."""
    full_colour_share: float = Field(1 / 3, ge=0, le=1)
    """Share of the JPEGs without chroma subsampling (4:4:4); the rest is 4:2:0."""
    quality: tuple[int, int] = (50, 98)
    blur: float = Field(0.1, ge=0, le=1)
    blur_sigma_px: tuple[float, float] = (0.2, 1.5)
    noise: float = Field(0.1, ge=0, le=1)
    noise_sigma: tuple[float, float] = (1.0, 6.0)
    """Standard deviation in grey levels of 255."""
    flip: float = Field(0.5, ge=0, le=1)

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        is_late = {"scale", "resize"} <= set(steps) and steps.index("scale") > steps.index("resize")
        if is_late or len(set(steps)) != len(steps):
            raise ValueError("expected every step once at most, and `scale` before `resize`")
        return steps

    def apply(self, pixels: UInt8, preprocessing: Preprocessing, size: int, rng: np.random.Generator) -> Float32:
        """A training crop. pixels: uint8[H, W, 3]. Returns f32[3, size, size] in [0, 1]."""
        for step in self.steps:
            pixels = self._after(step, pixels, preprocessing, rng)
        if "resize" in self.steps:  # is done: a picture that stayed small for `max_enlargement` is not enlarged again
            preprocessing = preprocessing.model_copy(update={"max_enlargement": 1.0})
        pixels = preprocessing.view(pixels, size, rng.random(), rng.random())
        if rng.random() < self.flip:
            pixels = pixels[:, ::-1]
        return to_float(pixels)

    def _after(self, step: str, pixels: UInt8, preprocessing: Preprocessing, rng: np.random.Generator) -> UInt8:
        if step == "scale":
            low, high = self.scale
            return perturb.rescale(pixels, low + (high - low) * float(np.sqrt(rng.random())))
        if step == "resize":
            factor = preprocessing.short_side / min(pixels.shape[:2])
            return perturb.rescale(pixels, min(factor, preprocessing.max_enlargement))
        if step == "encode":
            return self._encoded(pixels, rng)
        if step == "blur" and rng.random() < self.blur:
            return perturb.gaussian_blur(pixels, rng.uniform(*self.blur_sigma_px))
        if step == "noise" and rng.random() < self.noise:
            return perturb.gaussian_noise(pixels, rng.uniform(*self.noise_sigma), rng)
        return pixels

    def _encoded(self, pixels: UInt8, rng: np.random.Generator) -> UInt8:
        if rng.random() >= self.encode:
            return pixels
        quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
        if rng.random() < self.webp_share and max(pixels.shape) <= 16383:
            return perturb.webp(pixels, quality)
        return perturb.jpeg(pixels, quality, "4:4:4" if rng.random() < self.full_colour_share else "4:2:0")


def sample_generator(seed: int, epoch: int, picture_id: str) -> np.random.Generator:
    """The random generator of one picture in one epoch. picture_id: the SHA-256 of the file in hexadecimal."""
    return np.random.default_rng([seed, epoch, int(picture_id[:16], 16)])
