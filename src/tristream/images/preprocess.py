"""Preprocessing: how a decoded picture becomes the square crops that a detector sees; every checkpoint stores it."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from pydantic import Field

from tristream.config import StrictModel
from tristream.typing import Float32, UInt8


class Preprocessing(StrictModel):
    """Shorter side to `short_side` px (antialiased, enlarged at most `max_enlargement` times), then square crops.

    A picture longer than `long_aspect`:1 gives three crops along its long side, whose scores are averaged; any other
    gives the centre crop. A picture that is still smaller than the crop is continued by reflection, not stretched.
    """

    short_side: int = Field(288, ge=16)
    crop: int = Field(256, ge=16)
    max_enlargement: float = Field(2.0, ge=1)
    long_aspect: float = Field(2.0, gt=1)

    @property
    def least_side(self) -> int:
        """px; the least shorter side with which a picture fills a crop without being continued."""
        return math.ceil(self.crop / self.max_enlargement)

    def crops(self, pixels: UInt8) -> Float32:
        """Crops to score. pixels: uint8[H, W, 3]. Returns f32[N, 3, crop, crop] in [0, 1], N = 1 or 3."""
        height, width = pixels.shape[:2]
        long = max(height, width) > self.long_aspect * min(height, width)
        places = (0.0, 0.5, 1.0) if long else (0.5,)
        return np.stack([to_float(self.view(pixels, self.crop, place, place)) for place in places])

    def view(self, pixels: UInt8, size: int, place_y: float, place_x: float) -> UInt8:
        """One square of the resized picture. pixels: uint8[H, W, 3]; places in [0, 1]: 0 top/left, 1 bottom/right.

        Only what lies under the square is resampled, so an extreme shape costs no memory. Returns uint8[size, size, 3].
        """
        height, width = pixels.shape[:2]
        scale = min(self.short_side / min(height, width), self.max_enlargement)
        top, high, bottom = _span(height, scale, size, place_y)
        left, wide, right = _span(width, scale, size, place_x)
        region = pixels[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
        box = (left - int(left), top - int(top), right - int(left), bottom - int(top))
        resized = np.asarray(Image.fromarray(region).resize((wide, high), Image.Resampling.BICUBIC, box=box))
        missing_y, missing_x = size - high, size - wide
        if missing_y or missing_x:
            before_y, before_x = missing_y // 2, missing_x // 2
            sides = ((before_y, missing_y - before_y), (before_x, missing_x - before_x), (0, 0))
            resized = np.pad(resized, sides, mode="symmetric")
        return resized


def to_float(pixels: UInt8) -> Float32:
    """uint8[H, W, 3] to f32[3, H, W] in [0, 1]."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def _span(length: int, scale: float, size: int, place: float) -> tuple[float, int, float]:
    """Start in the source, resized length (at most `size`) and end in the source of a crop along one axis."""
    resized = max(1, round(length * scale))
    taken = min(size, resized)
    start = round(place * (resized - taken)) * length / resized
    return start, taken, min(start + taken * length / resized, float(length))
