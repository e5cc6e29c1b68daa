"""Any picture that a person may hand over, from bytes to RGB uint8 [H, W, 3]; what cannot be read is an ImageError.

Only the formats in `_SIGNATURES` reach Pillow, chosen by the file's first bytes, never by its name. Half a picture is
an error, not a picture. Colour profiles are ignored for RGB and grey: a detector reads the samples that the file holds,
and a colour transform would round them again. CMYK has to be transformed anyway: there an embedded profile is used.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from tristream.errors import ImageError, MissingExtraError
from tristream.images.silence import PILLOW_SILENCE

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

BIG_PICTURE = 26_000_000
"""Pixels; cameras of 24 and 26 megapixels stay below. Of pictures with more, one is decoded at a time: the largest need
several copies of 600 MB each."""
_ONE_BIG_PICTURE = threading.Lock()

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

    pixels: npt.NDArray[np.uint8]
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
            rgb = _to_rgb(picture, name)
            return DecodedImage(np.array(rgb if turn is None else rgb.transpose(turn)), format, name)


def read_header(source: Path | bytes, name: str | None = None) -> ImageHeader:
    """Size and format of a picture, without decoding its pixels or limiting their number. Raises ImageError."""
    with opened(source, name or _name(source)) as (picture, format):
        width, height = picture.size
        if _orientation(picture) >= 5:
            width, height = height, width
        return ImageHeader(width, height, format)


def picture_format(head: bytes) -> str | None:
    """Which format a file's first bytes (512 are enough) promise; None where it is no picture that is read here."""
    start = head[: int.from_bytes(head[:4], "big")] if head[4:8] == b"ftyp" else head
    return next((name for name, signature in _SIGNATURES.items() if re.match(signature, start, re.DOTALL)), None)


def _name(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else "picture"


@contextmanager
def opened(source: Path | bytes, name: str) -> Iterator[tuple[ImageFile.ImageFile, str]]:
    """A picture (header read, pixels not) and its format, whatever its size, for the length of a `with` block.

    name: how messages call it. Whatever Pillow raises, also inside the block, becomes an ImageError.
    """
    with _stream(source, name) as stream:
        format = _sniff(stream, name)
        plugin = _plugin(format, name)
        try:
            with PILLOW_SILENCE:
                picture = plugin(stream)
                if isinstance(picture, TiffImagePlugin.TiffImageFile):
                    _refuse_preview(picture, name)
                yield picture, format
        except ImageError:
            raise
        except Exception as error:  # on hostile bytes the plugins raise whatever their parsers trip over
            raise ImageError(f"{name}: {_diagnosis(stream, format, error)}") from error


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
        stream = source.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file; check the path") from None
    except PermissionError:
        raise ImageError(f"{name}: no permission to read it; check the file's access rights") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError(f"{name}: cannot be opened ({error}); check the path") from error
    with stream:
        yield stream


def _sniff(stream: BinaryIO, name: str) -> str:
    """The format by the first bytes; leaves the stream at its start."""
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


def _plugin(format: str, name: str) -> Callable[[BinaryIO], ImageFile.ImageFile]:
    """The class that reads `format`. Called directly: Image.open would add Pillow's own pixel limit, a global."""
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


def _to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Any mode of Pillow to RGB on white. Raises ImageError where the samples do not say what is white."""
    if picture.mode.startswith("I;16"):
        return _grey16_to_rgb(picture)
    if picture.mode == "F":
        samples = np.asarray(picture)
        low, high = float(samples.min()), float(samples.max())
        if not (low >= 0.0 and high <= 1.0):  # also true of NaN
            raise ImageError(f"{name}: samples from {low:g} to {high:g}, expected 0 to 1; convert it to 8 or 16 bits")
        return Image.fromarray(np.rint(samples * 255).astype(np.uint8)).convert("RGB")
    if picture.mode == "I":
        raise ImageError(f"{name}: 32-bit integer samples have no agreed white; convert the picture to 8 or 16 bits")
    if picture.mode == "CMYK":
        return _cmyk_to_rgb(picture)
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return picture.convert("RGB")


def _grey16_to_rgb(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits, which Pillow's convert would clip. A TIFF may hold 12 bits, or 0 as white."""
    samples = np.asarray(picture).astype(np.uint32)
    white, zero_is_white = 65535, False
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        white = 2 ** picture.tag_v2.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1
        zero_is_white = picture.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == 0
    grey = ((samples * 255 + white // 2) // white).astype(np.uint8)
    if zero_is_white:
        grey = 255 - grey
    if isinstance(key := picture.info.get("transparency"), int):
        grey[samples == key] = 255
    return Image.fromarray(grey).convert("RGB")


def _cmyk_to_rgb(picture: Image.Image) -> Image.Image:
    """By the embedded profile where there is a readable one, else by Pillow's plain formula."""
    if profile := picture.info.get("icc_profile"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return picture.convert("RGB")


def _diagnosis(stream: BinaryIO, format: str, error: Exception) -> str:
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
