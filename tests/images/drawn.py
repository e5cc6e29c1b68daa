"""A picture that the decoding tests draw, and its bytes in every format."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH = 48, 64
FORMATS = ["AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP"]


def scene() -> Image.Image:
    """Smooth, without symmetry: dark at the top left, red grows to the right, green downwards."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return Image.fromarray(np.stack([columns * 3, rows * 4, (rows + columns) // 2], -1).astype(np.uint8))


def encode(picture: Image.Image, format: str, **options: object) -> bytes:
    """The bytes of a file of that format; HEIF skips the test where the extra is missing."""
    buffer = io.BytesIO()
    if format == "HEIF":
        heif = pytest.importorskip("pillow_heif", reason="the heif extra is not installed")
        heif.from_pillow(picture).save(buffer, **options)
    else:
        picture.save(buffer, format, **options)
    return buffer.getvalue()
