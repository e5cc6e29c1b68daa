"""What a picture file is, by its bytes: the formats that are read, what passes for one, and what is wrong with one.

Only the formats in `_SIGNATURES` reach Pillow, chosen by the file's first bytes, never by its name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import BinaryIO

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from tristream.errors import ImageError, MissingExtraError

PICTURE_SUFFIXES: frozenset[str] = frozenset(
    {".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"}
    | {".png", ".tif", ".tiff", ".webp"}
)
"""Lower-case suffixes by which a folder is searched for pictures; what a file is, its bytes say."""

_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WEBP": rb"RIFF.{4}WEBP",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II[*+]\0(?!.{4}CR)|MM\0[*+]",  # CR: Canon's raw file, whose first page is a preview
    "BMP": rb"BM.{4}\0{4}",
    "AVIF": rb".{4}ftyp(.{4})*?avi[fs]",
    "HEIF": rb".{4}ftyp(.{4})*?(hei[cxms]|hev[cxms]|mif1|msf1)",
}
"""How a file of each format starts; within `ftyp`, any of its brands."""

_FOREIGN = {
    rb"%PDF": "a PDF document; extract its pictures first",
    rb"version https://git-lfs": "a Git LFS pointer, not the picture itself; run `git lfs pull`",
    rb"\s*<(!doctype html|html|head)": "a web page, not a picture; download the picture itself",
    rb"\s*<(\?xml|svg)": "SVG or XML text, not a photograph; export it as PNG",
    rb"\s*[{\[]\s*[\"{\[\d]": "JSON text, not a picture; download the picture itself",
    rb".{4}ftyp(isom|iso\d|mp4|M4V|qt|avc1|3gp|dash)|\x1a\x45\xdf\xa3|RIFF.{4}AVI ": "a video, not a picture",
    rb".{4}ftypcrx|II\*\0.{4}CR|FUJIFILMCCD-RAW": "a camera's raw file; export it as JPEG or TIFF",
    rb"\0\0\0\x0cJXL |\xff\x0a": "a JPEG XL picture; convert it to PNG or JPEG",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "a JPEG 2000 picture; convert it to PNG or JPEG",
    rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!": "an archive; unpack it first",
    rb"8BPS": "a Photoshop document; export it as PNG or JPEG",
}
"""How files start that often pass for pictures, and what to tell their owner."""


def picture_format(head: bytes) -> str | None:
    """Which format a file's first bytes (512 are enough) promise; None where it is no picture that is read here."""
    start = head[: int.from_bytes(head[:4], "big")] if head[4:8] == b"ftyp" else head
    return next((name for name, signature in _SIGNATURES.items() if re.match(signature, start, re.DOTALL)), None)


def sniff(stream: BinaryIO, name: str) -> str:
    """The format by the first bytes; leaves the stream at its start. Raises ImageError with what it is instead."""
    try:
        head = stream.read(512)
        stream.seek(0)
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}); check the disk or the connection") from error
    if not head:
        raise ImageError(f"{name}: empty file (0 bytes); download it again")
    if format := picture_format(head):
        return format
    for signature, what in _FOREIGN.items():
        if re.match(signature, head, re.DOTALL | re.IGNORECASE):
            raise ImageError(f"{name}: {what}")
    raise ImageError(
        f"{name}: not a picture (it starts with {head[:8]!r}); expected AVIF, BMP, GIF, HEIC, JPEG, PNG, TIFF or WebP; "
        "download or export it again"
    )


def plugin_of(format: str, name: str) -> Callable[[BinaryIO], ImageFile.ImageFile]:
    """The class that reads `format`. Called directly: Image.open would add Pillow's own pixel limit, a global.

    Raises ImageError where this installation cannot read the format.
    """
    if format == "HEIF":
        try:
            from pillow_heif import HeifImageFile
        except ImportError:
            raise ImageError(f"{name}: {MissingExtraError('reading a HEIC picture', 'heif')}") from None
        return HeifImageFile
    if format in ("AVIF", "WEBP") and not features.check(format.lower()):
        raise ImageError(f"{name}: this build of Pillow cannot read {format}; pip install --upgrade pillow")
    return {
        "AVIF": AvifImagePlugin.AvifImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,  # of an MPO or a gain-map JPEG, the first picture
        "PNG": PngImagePlugin.PngImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
    }[format]


def diagnosis(stream: BinaryIO, format: str, error: Exception) -> str:
    """What is wrong with the file and what to do, from Pillow's error and from how the file ends."""
    if isinstance(error, MemoryError):
        return f"not enough memory to decode this {format}; shrink the picture"
    if isinstance(error, Image.DecompressionBombError):
        return f"the {format} header claims more pixels than Pillow accepts; shrink the picture"
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read ({error.strerror}); check the disk or the connection"
    size = stream.seek(0, io.SEEK_END)
    declared = _declared_size(stream, format)
    if declared > size:
        return f"truncated {format} (read {size} of {declared} bytes); download it again"
    stream.seek(max(0, size - 64))
    end = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b"\0;"}.get(format)
    if "truncated" in str(error).lower() or (end and end not in stream.read()):
        return f"truncated {format} (its {size} bytes end before the picture does); download it again"
    return f"damaged or unusual {format} ({error}); download it again, or save it as PNG in a picture editor"


def _declared_size(stream: BinaryIO, format: str) -> int:
    """Bytes that the container says it has, 0 where it does not say."""
    stream.seek(0)
    if format == "WEBP":
        return 8 + int.from_bytes(stream.read(8)[4:], "little")
    if format == "BMP":
        return int.from_bytes(stream.read(6)[2:], "little")
    end = 0
    if format in ("AVIF", "HEIF"):  # a row of boxes, each led by its length
        while (length := int.from_bytes(stream.read(4), "big")) >= 8:
            end += length
            stream.seek(end)
    return end
