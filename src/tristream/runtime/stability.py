"""Delivery stability: would the same picture get the same verdict, had it come re-encoded or smaller?

A picture on its way to a reader is shrunk and re-encoded by every service that it passes. A few such copies are made of
the decoded pixels and scored beside it. What is drawn for each copy follows from the picture's SHA-256 alone, so the
same file gets the same answer every time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from PIL import features

from tristream.config import StrictModel
from tristream.images import perturb
from tristream.runtime.verdict import Thresholds, Verdict, decide
from tristream.typing import UInt8

MAX_COPIES = 32
"""Each costs as much to score as the picture itself, and as much memory."""
QUALITY = (60, 95)
"""Of JPEG (4:2:0) and WebP: from what messengers send to what cameras and editors write."""
SCALE = (0.6, 1.0)
MAX_SHORTER_SIDE = 1080
"""px. A larger picture is first shrunk to it, as services do; it bounds the time that a copy takes."""
MAX_LONGER_SIDE = 16383
"""px. What WebP can hold."""


class ReEncoding(NamedTuple):
    """What is done to one copy: first both sides times `scale`, then the codec."""

    codec: Literal["jpeg", "webp"]
    quality: int
    scale: float
    """In SCALE; relative to the picture, or to MAX_SHORTER_SIDE where that is smaller."""


class Delivery(StrictModel):
    """What was done to the picture in the end: its size, then its codec."""

    codec: Literal["jpeg", "webp"]
    quality: int
    width: int
    height: int
    """px."""


class Copy(Delivery):
    """One re-encoded copy and what it is called by its score alone."""

    logit: float
    verdict: Verdict


class Stability(StrictModel):
    """How the score moves when the picture is delivered otherwise. `logit` and `probability_fake` stay its own."""

    copies: tuple[Copy, ...]
    spread: float
    """Largest minus smallest logit, that of the picture as delivered included."""
    flips: int
    """Copies whose verdict is not that of the picture as delivered, both by the score alone."""


def draw(seed: str, count: int) -> list[ReEncoding]:
    """Settings of `count` copies. seed: SHA-256 of the picture; the first copies are the same for a larger count.

    >>> draw("ab", 2) == draw("ab", 3)[:2]
    True
    """
    generator = random.Random(seed)  # of its methods, only random() promises the same numbers in every release

    def between(low: float, high: float) -> float:
        return low + (high - low) * generator.random()

    return [
        ReEncoding("webp" if generator.random() < 0.5 else "jpeg", round(between(*QUALITY)), round(between(*SCALE), 3))
        for _ in range(count)
    ]


def re_encoded(pixels: UInt8, settings: Sequence[ReEncoding], least_side: int) -> Iterator[tuple[Delivery, UInt8]]:
    """The copies one by one, uint8[h, w, 3], each with what was done to it.

    pixels: uint8[H, W, 3]. least_side: px under which no shorter side is shrunk, lest the copy no longer fills a crop
    and differs for that reason; a picture that is smaller is re-encoded only. Without WebP in Pillow it is JPEG.
    """
    shorter, longer = min(pixels.shape[:2]), max(pixels.shape[:2])
    base = perturb.rescale(pixels, min(1.0, MAX_SHORTER_SIDE / shorter, MAX_LONGER_SIDE / longer))
    floor = min(1.0, least_side / min(base.shape[:2]))
    for wanted in settings:
        smaller = perturb.rescale(base, max(wanted.scale, floor))
        codec = wanted.codec if features.check("webp") else "jpeg"
        encode = perturb.webp if codec == "webp" else perturb.jpeg
        height, width = smaller.shape[:2]
        yield (
            Delivery(codec=codec, quality=wanted.quality, width=width, height=height),
            encode(smaller, wanted.quality),
        )


def compare(
    logit: float, thresholds: Thresholds | None, deliveries: Sequence[Delivery], copy_logits: Sequence[float]
) -> Stability:
    """Set the scores of the copies, of which there is at least one, beside that of the picture as delivered."""
    copies = tuple(
        Copy(**delivery.model_dump(), logit=score, verdict=decide(score, thresholds).verdict)
        for delivery, score in zip(deliveries, copy_logits, strict=True)
    )
    delivered = decide(logit, thresholds).verdict
    return Stability(
        copies=copies,
        spread=max(logit, *copy_logits) - min(logit, *copy_logits),
        flips=sum(copy.verdict != delivered for copy in copies),
    )
