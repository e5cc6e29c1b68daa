"""Conditions: what happens to every picture before it is scored. One name, one function on decoded uint8 pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tristream.images import perturb
from tristream.registry import Registry

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Condition:
    """A treatment of decoded pixels, the same for both classes."""

    name: str
    description: str
    apply: Callable[[UInt8], UInt8]
    """uint8[H, W, 3] to uint8[h, w, 3]."""


CONDITIONS: Registry[Condition] = Registry("condition")

ALIKE_SHORT_SIDE = 192
ALIKE_SHRINK = 0.8
"""Every picture is resampled, and whatever is 240 px or more on its shorter side ends at one size."""
ALIKE_QUALITY = 85


def _alike(pixels: UInt8) -> UInt8:
    factor = min(ALIKE_SHRINK, ALIKE_SHORT_SIDE / min(pixels.shape[:2]))
    return perturb.jpeg(perturb.rescale(pixels, factor), ALIKE_QUALITY, "4:2:0")


CONDITIONS.register("delivered")(Condition("delivered", "as delivered: the file's own pixels", lambda pixels: pixels))
CONDITIONS.register("alike")(
    Condition(
        "alike",
        f"everything re-encoded alike: shrunk to a shorter side of {ALIKE_SHORT_SIDE} px, or to {ALIKE_SHRINK:.0%} "
        f"of its size where that is smaller, then JPEG quality {ALIKE_QUALITY} 4:2:0, real and fake the same",
        _alike,
    )
)
