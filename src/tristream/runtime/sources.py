"""What is to be scored: arguments (files, folders, globs, `-`) and pictures in memory become Sources."""

from __future__ import annotations

import glob
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from tristream.errors import ImageError, UsageError
from tristream.images.decode import MAX_BYTES, decode
from tristream.images.formats import PICTURE_SUFFIXES
from tristream.images.video import HEAD, VIDEO_SUFFIXES, is_video
from tristream.typing import UInt8

Scorable = str | os.PathLike[str] | bytes | Image.Image | UInt8
"""What Python callers may hand over: a path, a file's bytes, a Pillow picture, or uint8[H, W, 3] RGB."""

_SUFFIXES = PICTURE_SUFFIXES | VIDEO_SUFFIXES


@dataclass(frozen=True)
class Source:
    """One thing to score, or the ImageError that already tells why it cannot be."""

    name: str | None
    """The path as it was given, `-` for a pipe, None for a picture in memory."""
    content: Path | bytes | Image.Image | UInt8 | ImageError

    @classmethod
    def of(cls, picture: Scorable | Source) -> Source:
        """Wrap what a Python caller hands over. Raises TypeError for anything that is not Scorable."""
        match picture:
            case Source():
                return picture
            case str() | os.PathLike():
                return cls(os.fspath(picture), Path(picture))
            case bytes() | Image.Image() | np.ndarray():
                return cls(None, picture)
        raise TypeError(f"expected a path, bytes, a Pillow picture or uint8[H, W, 3], got {type(picture).__name__}")

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.name if self.name is not None else "picture in memory"

    @property
    def is_clip(self) -> bool:
        """Whether it is a video, by the file's first bytes, and where these say nothing by its suffix."""
        match self.content:
            case bytes() as data:
                return is_video(data[:HEAD], "")
            case Path() as path:
                return is_video(_head(path), path.suffix)
            case _:
                return False

    def read(self) -> bytes | Image.Image | UInt8:
        """The file's bytes, or the picture in memory. Raises ImageError when there is nothing to read."""
        match self.content:
            case ImageError():
                raise self.content
            case Path():
                return _read(self.content, self.label)
            case content:
                return content


def sha256(content: Path | bytes | Image.Image | UInt8) -> str | None:
    """SHA-256 of a file or its bytes in hexadecimal digits; None for pixels in memory, and a file that is not there."""
    if isinstance(content, Path):
        try:
            with content.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except (OSError, ValueError):  # ValueError: a null byte in the path
            return None
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else None


def fingerprint(pixels: UInt8) -> str:
    """SHA-256 of a picture's size and pixels, uint8[H, W, 3], in hexadecimal digits: what stands for a file's."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def rgb(content: bytes | Image.Image | UInt8, label: str) -> UInt8:
    """Pixels uint8[H, W, 3] of what `Source.read` returned. Raises ImageError."""
    if isinstance(content, np.ndarray):
        if content.dtype != np.uint8 or content.ndim != 3 or content.shape[2] != 3 or 0 in content.shape:
            raise ImageError(f"{label}: expected uint8[H, W, 3] in RGB order, got {content.dtype}{list(content.shape)}")
        return content
    return decode(content if isinstance(content, bytes) else _as_file(content, label), label).pixels


@dataclass
class Collection:
    """What the arguments of a command stand for."""

    sources: list[Source] = field(default_factory=list)
    """In the order of the arguments; in a folder by name, its files before its subfolders. No file twice."""
    skipped: int = 0
    """Left out of folders: files of another suffix, that are hidden, not regular, or links out of the folder; and
    hidden or linked folders, each as one, since nobody looks into them."""
    empty_folders: list[str] = field(default_factory=list)
    """Folders that were named and hold neither picture nor video."""


def collect(arguments: Sequence[str], stdin: BinaryIO | None = None) -> Collection:
    """Expand the PATH arguments of a command.

    A file that is named is always tried, whatever its suffix; a folder is searched for files with a picture's or a
    video's suffix, hidden ones, links that lead out of it and linked folders left aside; a pattern (`*`, `?`, `[...]`,
    `**`) that no file bears as its name stands for its matches, `-` for the bytes of one picture or video on `stdin`.
    What does not exist becomes a Source that fails when it is read. Raises UsageError when no argument is given, or `-`
    and nothing is piped in.
    """
    if not arguments:
        raise UsageError("name at least one file, folder or pattern, or - for a picture from a pipe")
    found, seen = Collection(), set[str]()

    def add(key: str, source: Source) -> bool:
        """File a source under its real path; False when it is there already."""
        fresh = key not in seen
        if fresh:
            seen.add(key)
            found.sources.append(source)
        return fresh

    for argument in arguments:
        if argument == "-":
            if "-" not in seen:
                add("-", Source("-", _read_pipe(stdin)))
        elif os.path.lexists(argument):
            _expand(argument, found, add)
        elif matches := sorted(glob.glob(argument, recursive=True)):
            for match in matches:
                _expand(match, found, add)
        else:
            add(argument, Source(argument, ImageError(f"{argument or '(empty path)'}: {_why_absent(argument)}")))
    return found


def _why_absent(argument: str) -> str:
    if argument.startswith(("http://", "https://")):
        return (
            "an address, not a file; tristream fetches nothing from the network: save the picture, then name its file"
        )
    if glob.has_magic(argument):
        return "no file matches this pattern"
    return "no such file or folder; check its spelling"


def _expand(path: str, found: Collection, add: Callable[[str, Source], bool]) -> None:
    """Add a file, or the pictures and videos of a folder."""
    if not os.path.isdir(path):
        add(os.path.realpath(path), Source(path, Path(path)))
        return
    anything = False
    root = os.path.realpath(path)
    for file in _walk(path):
        if isinstance(file, OSError):
            folder = os.fspath(file.filename)
            add(folder, Source(folder, ImageError(f"{folder}: cannot list this folder ({file.strerror})")))
            anything = True
            continue
        real = os.path.realpath(file)
        inside = Path(real).is_relative_to(root)  # False also on another drive
        if inside and Path(file).suffix.lower() in _SUFFIXES and _may_be_opened(file):
            add(real, Source(file, Path(file)))
            anything = True
        else:
            found.skipped += 1
    if not anything:
        found.empty_folders.append(path)


def _walk(folder: str) -> Iterator[str | OSError]:
    """Files below a folder in a fixed order, or the error of one that cannot be listed.

    Hidden and linked folders are not entered, but stand among the files of their folder.
    """
    errors: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=errors.append):
        closed = {name for name in folders if name.startswith(".") or os.path.islink(os.path.join(parent, name))}
        folders[:] = sorted(set(folders) - closed)
        yield from (os.path.join(parent, name) for name in sorted([*files, *closed]))
        yield from errors
        errors.clear()
    yield from errors


def _may_be_opened(path: str) -> bool:
    """Whether a file found in a folder is to be opened: not hidden, and a regular file or a link without an end."""
    if os.path.basename(path).startswith("."):
        return False
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:  # a dangling link or a vanished file: reading it says so in a failing record
        return True


def _as_file(picture: Image.Image, label: str) -> bytes:
    """A Pillow picture as a lossless file, so that every picture takes the one way through `decode`."""
    file = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(picture)
        upright.save(file, "TIFF" if upright.mode in ("CMYK", "F", "I") else "PNG", compress_level=1)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on a lazily opened, damaged file
        raise ImageError(f"{label}: this Pillow picture cannot be read ({error}); convert it to RGB") from error
    return file.getvalue()


def _head(path: Path) -> bytes:
    """The file's first bytes; none of what is no regular file, or cannot be read: reading it as a picture says why."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return b""


def _read(path: Path, label: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"{label}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:  # a null byte in the path
        raise ImageError(f"{label}: cannot be opened ({error}); check the path") from None
    if len(data) > MAX_BYTES:
        raise ImageError(f"{label}: larger than {MAX_BYTES >> 20} MiB; not read further")
    return data


def _read_pipe(stdin: BinaryIO | None) -> bytes | ImageError:
    if stdin is None or stdin.isatty():
        raise UsageError(
            "- reads one picture or video from a pipe, and nothing is piped in: try  tristream predict - < photo.jpg"
        )
    data = stdin.read(MAX_BYTES + 1)
    return data if len(data) <= MAX_BYTES else ImageError(f"-: larger than {MAX_BYTES >> 20} MiB; not read further")
