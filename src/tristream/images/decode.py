"""Any picture that a person may hand over, from bytes to RGB uint8 [H, W, 3]; what cannot be read is an ImageError.

`formats` says what a file is, `colour` makes RGB of its samples. Half a picture is an error, not a picture.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin

from tristream.errors import ImageError
from tristream.images.colour import to_rgb
from tristream.images.formats import diagnosis, plugin_of, sniff
from tristream.images.silence import PILLOW_SILENCE
from tristream.typing import UInt8

BIG_PICTURE = 26_000_000
"""Pixels; cameras of 24 and 26 megapixels stay below. Of pictures with more, one is decoded at a time: the largest need
several copies of 600 MB each."""
_ONE_BIG_PICTURE = threading.Lock()
MAX_BYTES = 1 << 30
"""Of one picture's file: more is not read, so that a device, an endless pipe or a film ends as an error."""

MAX_JPEG_SCANS = 100
"""Encoders write about 10, optimisers of progressive JPEGs a few dozen at most."""
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""Of a segment with a length, or of the end: within the coded data a byte 255 is followed by 0 or a restart marker."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (TIFF 6.0, tag 274) to the turn that shows the picture upright."""


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A picture as a person sees it: first frame, upright, on white."""

    pixels: UInt8
    """uint8[H, W, 3], RGB."""
    format: str
    """Pillow's name of the file format: AVIF, BMP, GIF, HEIF, JPEG, PNG, TIFF or WEBP."""
    name: str


@dataclass(frozen=True)
class ImageHeader:
    """What a file says about its picture, read without decoding it; the size is that of the upright picture."""

    width: int
    height: int
    format: str


def decode(source: Path | bytes, name: str | None = None, *, max_pixels: int = 200_000_000) -> DecodedImage:
    """Read a picture: first frame, EXIF turn applied, transparency flattened on white, 16 bits scaled to 8.

    source: a file or its bytes; name: how messages call it (default: the path). Safe in threads, which decode pictures
    of more than BIG_PICTURE pixels one after the other; Pillow's global settings are not changed. Raises ImageError
    when the file is missing, unreadable, truncated, damaged or no picture, or when its header claims more than
    `max_pixels` pixels.
    """
    name = name or _name(source)
    with opened(source, name) as (picture, format):
        width, height = picture.size
        if width * height > max_pixels:
            raise ImageError(
                f"{name}: the header claims {width} x {height} pixels, more than the limit of {max_pixels:,}; "
                "shrink the picture, or raise max_pixels if you trust the file"
            )
        turn = _TURNS.get(_orientation(picture))
        if format == "JPEG" and picture.fp:
            _refuse_scans(picture.fp, name)
        with _ONE_BIG_PICTURE if width * height > BIG_PICTURE else nullcontext():
            picture.load()
            rgb = to_rgb(picture, name)
            return DecodedImage(np.array(rgb if turn is None else rgb.transpose(turn)), format, name)


def read_header(source: Path | bytes, name: str | None = None) -> ImageHeader:
    """Size and format of a picture, without decoding its pixels or limiting their number. Raises ImageError."""
    with opened(source, name or _name(source)) as (picture, format):
        width, height = picture.size
        if _orientation(picture) >= 5:
            width, height = height, width
        return ImageHeader(width, height, format)


def _name(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else "picture"


@contextmanager
def opened(source: Path | bytes, name: str) -> Iterator[tuple[ImageFile.ImageFile, str]]:
    """A picture (header read, pixels not) and its format, whatever its size, for the length of a `with` block.

    name: how messages call it. Whatever Pillow raises, also inside the block, becomes an ImageError.
    """
    with _stream(source, name) as stream:
        format = sniff(stream, name)
        plugin = plugin_of(format, name)
        try:
            with PILLOW_SILENCE:
                picture = plugin(stream)
                if isinstance(picture, TiffImagePlugin.TiffImageFile):
                    _refuse_preview(picture, name)
                yield picture, format
        except ImageError:
            raise
        except Exception as error:  # on hostile bytes the plugins raise whatever their parsers trip over
            raise ImageError(f"{name}: {diagnosis(stream, format, error)}") from error


@contextmanager
def _stream(source: Path | bytes, name: str) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        if source.is_dir():
            raise ImageError(f"{name}: a folder, not a picture; name the files in it")
        if source.exists() and not source.is_file():
            raise ImageError(f"{name}: a device or pipe, not a file; save the picture to a file first")
        if source.is_file() and source.stat().st_size > MAX_BYTES:
            raise ImageError(f"{name}: larger than {MAX_BYTES >> 20} MiB; not read")
        stream = source.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file; check the path") from None
    except PermissionError:
        raise ImageError(f"{name}: no permission to read it; check the file's access rights") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError(f"{name}: cannot be opened ({error}); check the path") from error
    with stream:
        yield stream


def _refuse_preview(picture: TiffImagePlugin.TiffImageFile, name: str) -> None:
    """DNG, NEF and their like are TIFFs whose first page is a thumbnail (TIFF 6.0, NewSubfileType bit 0)."""
    if picture.tag_v2.get(ExifTags.Base.NewSubfileType, 0) & 1:
        raise ImageError(f"{name}: starts with a thumbnail, as a camera's raw file does; export it as JPEG or TIFF")


def _refuse_scans(stream: IO[bytes], name: str) -> None:
    """Each scan of a JPEG is a pass over all of its coefficients: a few MB of tiny scans would take minutes."""
    stream.seek(0)
    data, place, scans = stream.read(), 0, 0
    while (marker := _JPEG_MARKER.search(data, place)) and marker[0] != b"\xff\xd9":  # the end of the first picture
        scans += marker[0] == b"\xff\xda"
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    if scans > MAX_JPEG_SCANS:
        raise ImageError(f"{name}: a JPEG of {scans} scans, more than the limit of {MAX_JPEG_SCANS}; save it again")


def _orientation(picture: ImageFile.ImageFile) -> int:
    """EXIF orientation 1-8; 1 for TIFF, which Pillow turns itself, and where the EXIF block cannot be read."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return 1
    try:
        # not picture.getexif(): the PNG plugin's override decodes the pixels to find a block that follows them
        value = Image.Image.getexif(picture).get(ExifTags.Base.Orientation, 1)
        return int(value) if value in _TURNS else 1
    except Exception:  # Pillow's EXIF parser raises as its plugins do; a damaged block does not spoil the picture
        return 1
