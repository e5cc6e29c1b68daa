"""Frames of a video clip, from the file to RGB uint8 [H, W, 3], by PyAV; what cannot be read is an ImageError.

Only the containers in `_CONTAINERS` reach FFmpeg, chosen by the file's first bytes, never by its name, and nothing but
the file itself is opened: a playlist that names other files or addresses is refused. Half a clip is an error, not a
clip. Before anything is decoded, the times of all frames are read, so that a frame rate that varies, or a header that
is wrong about the length, moves no frame. Colours are FFmpeg's default conversion, as in the field's other tools.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from tristream.errors import ImageError, MissingExtraError, UsageError
from tristream.images.formats import picture_format
from tristream.typing import UInt8

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream


VIDEO_SUFFIXES: frozenset[str] = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv"}
)
"""Lower-case suffixes by which a folder is searched for videos; what a file is, its bytes say."""

_CONTAINERS = {
    # crx: a camera's raw file; the other brands are those of pictures, which FFmpeg would decode, too
    "mov": rb".{4}(ftyp(?!crx)|moov|mdat|wide|free|skip|pnot)",  # crx: a camera's raw file
    "matroska": rb"\x1aE\xdf\xa3",
    "avi": rb"RIFF.{4}AVI ",
    "mpegts": rb"(.{4})?G.{187}(.{4})?G.{187}",
    "mpeg": rb"\0\0\x01\xba",
    "flv": rb"FLV\x01",
    "asf": rb"0&\xb2u\x8ef\xcf\x11",
    "ogg": rb"OggS",
}
"""FFmpeg's name of each container, and how its files start."""
_NAMES = {"mov": "MP4 or MOV", "matroska": "MKV or WebM", "avi": "AVI", "mpegts": "MPEG-TS", "mpeg": "MPEG",
          "flv": "FLV", "asf": "WMV", "ogg": "Ogg"}  # fmt: skip
_BRANDS = re.compile(rb"isom|iso\d|mp4\d|avc1|dash|qt  |3g[p2].|M4V.|MSNV|f4v |mmp4")
"""Of a video in an `ftyp` box, where no suffix says so: FFmpeg also opens a HEIC picture whose start is damaged."""
HEAD = 512
"""Bytes from the start of a file that tell what it is."""

MAX_PIXELS = 64_000_000
"""Of one frame; 8K has 33 million."""
MAX_FRAMES = 5_000_000
"""Of one clip: a day at 50 frames a second. The times of all of them are held in memory."""
MAX_WANTED = 10_000
"""Frames that are taken from one clip."""


@dataclass(frozen=True)
class ClipFacts:
    """What a clip is; the size is that of an upright frame."""

    width: int
    height: int
    frames: int
    duration_s: float
    """From the first frame's start to the last one's end; 0 for one frame whose length the file does not say."""
    fps: float | None
    """Frames a second on average; None where the duration is 0."""
    codec: str
    """FFmpeg's name of it, such as h264."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame, upright."""

    time_s: float
    """When it is shown, from the first frame on."""
    pixels: UInt8
    """uint8[H, W, 3], RGB. Pixels that are not square stay as they are stored."""


def container_of(head: bytes) -> str | None:
    """FFmpeg's name of the container that a file's first HEAD bytes promise; None for what is no video, or a picture.

    >>> container_of(bytes.fromhex("00000018") + b"ftypisom"), container_of(bytes.fromhex("00000018") + b"ftypavif")
    ('mov', None)
    """
    if picture_format(head):
        return None
    return next((name for name, signature in _CONTAINERS.items() if re.match(signature, head, re.DOTALL)), None)


def is_video(head: bytes, suffix: str) -> bool:
    """Whether a file is to be read as a video: its first HEAD bytes say so, or they say nothing and its suffix does."""
    if picture_format(head) is not None or suffix.lower() in VIDEO_SUFFIXES:
        return picture_format(head) is None
    if container_of(head) != "mov":
        return container_of(head) is not None
    brands = head[8 : int.from_bytes(head[:4], "big")] if head[4:8] == b"ftyp" else b""
    return any(_BRANDS.match(brands, place) for place in range(0, len(brands), 4))


@contextmanager
def open_clip(source: Path | bytes, name: str | None = None, *, max_pixels: int = MAX_PIXELS) -> Iterator[Clip]:
    """Open a clip for the length of a `with` block.

    source: a file or its bytes; name: how messages call it (default: the path). Raises ImageError, also inside the
    block: a file that is missing, unreadable, truncated, damaged, no video or without pictures, whose frames have more
    than `max_pixels` pixels, or when the `video` extra is missing.
    """
    name = name or (str(source) if isinstance(source, Path) else "video")
    try:
        import av
    except ImportError:
        raise ImageError(f"{name}: {MissingExtraError('reading a video', 'video')}") from None
    with _stream(source, name) as stream:
        with _diagnosed(name):
            kind = _sniff(stream, name)
            _refuse_truncated(stream, kind, name)
            container = av.open(stream, "r", format=kind, metadata_errors="replace", buffer_size=1 << 18)
        with container:
            with _diagnosed(name):
                clip = Clip(container, _NAMES[kind], name, max_pixels)
            yield clip


class Clip:
    """An opened clip. Made by `open_clip`."""

    def __init__(self, container: InputContainer, kind: str, name: str, max_pixels: int) -> None:
        self.name = name
        self._container, self._max_pixels = container, max_pixels
        self._video = self._pictures(kind)
        self._check_size(self._video.codec_context.width, self._video.codec_context.height)
        self._pts, self._keys, length = self._read_times(kind)
        start, end = self._pts[0], self._pts[-1] + length
        unit = self._video.time_base
        self._unit_s = float(unit) if unit else 0.0
        self.times_s: list[float] = [(pts - start) * self._unit_s for pts in self._pts]
        """When each frame is shown, ascending; the first is 0."""
        first = next(self.frames([0])).pixels
        duration_s = (end - start) * self._unit_s
        self.facts = ClipFacts(
            width=first.shape[1],
            height=first.shape[0],
            frames=len(self._pts),
            duration_s=duration_s,
            fps=len(self._pts) / duration_s if duration_s > 0 else None,
            codec=self._video.codec_context.codec.canonical_name,
        )

    def at(self, times_s: Sequence[float]) -> list[int]:
        """Indices of the frames on show at these times, each once, ascending; before the start the first one."""
        found = {max(0, bisect_right(self.times_s, time_s + 1e-9) - 1) for time_s in times_s}
        if len(found) > MAX_WANTED:
            raise UsageError(f"{self.name}: {len(found):,} frames wanted; the limit is {MAX_WANTED:,} of one clip")
        return sorted(found)

    def spread(self, count: int) -> list[int]:
        """Indices of `count` frames spread evenly over the clip: of so many equal parts, the middle of each.

        Of a clip that has no more frames than that, all of them. Raises UsageError for a count outside 1..MAX_WANTED.
        """
        if not 1 <= count <= MAX_WANTED:
            raise UsageError(f"{count} frames: expected 1 to {MAX_WANTED:,}")
        if count >= len(self._pts):
            return list(range(len(self._pts)))
        return self.at([(part + 0.5) * self.facts.duration_s / count for part in range(count)])

    def every(self, seconds: float) -> list[int]:
        """Indices of the frames on show at 0, `seconds`, twice that and so on. Raises UsageError for too many."""
        steps = self.times_s[-1] / seconds if seconds > 0 else float("inf")
        if not steps < MAX_WANTED:
            raise UsageError(f"every {seconds} s: more than {MAX_WANTED:,} frames of {self.name}; take a longer step")
        return self.at([step * seconds for step in range(int(steps + 1e-9) + 1)])

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Decode these frames, indices ascending; jumps to the last key frame before one where that is shorter.

        Raises ImageError when the clip ends before, or a frame is damaged.
        """
        decoded, last = self._decoded(self._pts[indices[0]]), self._pts[0]
        for index in indices:
            wanted = self._pts[index]
            if self._key_before(wanted) > last:
                decoded = self._decoded(wanted)
            with _diagnosed(self.name):
                frame = next((frame for frame in decoded if _stamp(frame) >= wanted), None)
            if frame is None or frame.is_corrupt:
                what = "ends before" if frame is None else "is damaged at"
                raise ImageError(f"{self.name}: {what} its frame at {self.times_s[index]:.2f} s; download it again")
            last = _stamp(frame)
            self._check_size(frame.width, frame.height)
            pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
            yield Frame((last - self._pts[0]) * self._unit_s, np.ascontiguousarray(pixels, dtype=np.uint8))

    def _decoded(self, pts: int) -> Iterator[av.VideoFrame]:
        """Frames from the key frame before `pts` on; from the start where the container cannot jump so precisely."""
        for start in (self._key_before(pts), self._pts[0]):
            self._container.seek(start, stream=self._video, backward=True)
            frames = self._container.decode(self._video)
            first = next(frames, None)
            if first is not None and (_stamp(first) <= pts or start == self._pts[0]):
                yield first
                yield from frames
                return

    def _key_before(self, pts: int) -> int:
        return self._keys[max(0, bisect_right(self._keys, pts) - 1)]

    def _pictures(self, kind: str) -> VideoStream:
        """The stream of moving pictures: not an album's cover."""
        from av.stream import Disposition

        streams = self._container.streams
        for stream in streams.video:
            if stream.codec_context is None:  # whatever PyAV's types say
                raise ImageError(f"{self.name}: an {kind} file of a codec that FFmpeg does not know; save it anew")
            if not stream.disposition & Disposition.attached_pic:
                return stream
        others = ", ".join(sorted({stream.type for stream in streams})) or "nothing"
        raise ImageError(f"{self.name}: an {kind} file without a video track (it holds: {others}); name a video")

    def _read_times(self, kind: str) -> tuple[list[int], list[int], int]:
        """When each frame is shown and which are key frames, in units of the stream; and how long the last one lasts.

        Reads the file once, without decoding. Raises ImageError when there is no frame, or there are too many.
        """
        stamps: dict[int, int] = {}
        keys: list[int] = []
        for packet in self._container.demux(self._video):
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is None or packet.size == 0 or packet.is_discard or packet.is_corrupt:
                continue
            stamps[stamp] = packet.duration or 0
            if packet.is_keyframe:
                keys.append(stamp)
            if len(stamps) > MAX_FRAMES:
                raise ImageError(f"{self.name}: more than {MAX_FRAMES:,} frames; cut the video into shorter ones")
        if not stamps:
            raise ImageError(f"{self.name}: an {kind} file whose video track is empty; download it again")
        pts = sorted(stamps)
        typical = int(np.median(np.diff(pts))) if len(pts) > 1 else 0
        return pts, sorted(keys) or pts[:1], stamps[pts[-1]] or typical

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise ImageError(
                f"{self.name}: frames of {width} x {height} pixels, more than the limit of {self._max_pixels:,}; "
                "make the video smaller"
            )


@contextmanager
def _diagnosed(name: str) -> Iterator[None]:
    """What FFmpeg or the disk raises becomes an ImageError."""
    import av

    try:
        yield
    except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{name}: a damaged or unusual video ({reason}); download it again") from error
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}); check the disk or the connection") from error


def _stamp(frame: av.VideoFrame) -> int:
    """When a frame is shown, in units of its stream."""
    return (frame.dts or 0) if frame.pts is None else frame.pts


@contextmanager
def _stream(source: Path | bytes, name: str) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        if not source.is_file() and source.exists():
            raise ImageError(f"{name}: a folder, device or pipe, not a file; name a video file")
        stream = source.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ImageError(f"{name}: {reason}; check the path and the file's access rights") from None
    with stream:
        yield stream


def _sniff(stream: BinaryIO, name: str) -> str:
    """The container by the first bytes; leaves the stream at its start."""
    head = stream.read(HEAD)
    stream.seek(0)
    if not head:
        raise ImageError(f"{name}: empty file (0 bytes); download it again")
    if kind := container_of(head):
        return kind
    raise ImageError(f"{name}: not a video (it starts with {head[:8]!r}); expected {', '.join(_NAMES.values())}")


def _refuse_truncated(stream: BinaryIO, kind: str, name: str) -> None:
    """Raises ImageError when the container says that it has more bytes than there are; leaves the stream at its start.

    FFmpeg plays what is there and says nothing. MPEG, FLV, WMV and Ogg do not say how long they are.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    declared = _declared_size(stream, kind, size)
    stream.seek(0)
    if declared > size:
        raise ImageError(f"{name}: truncated {_NAMES[kind]} (read {size} of {declared} bytes); download it again")


def _declared_size(stream: BinaryIO, kind: str, size: int) -> int:
    """Bytes that the container says it has, 0 where it does not say."""
    if kind == "avi":
        return 8 + int.from_bytes(stream.read(8)[4:], "little")
    if kind == "matroska":  # the EBML header, then one segment with everything in it
        stream.seek(4)
        stream.seek(_variable_length(stream) or 0, io.SEEK_CUR)
        segment = stream.read(4)
        length = _variable_length(stream)
        return stream.tell() + length if segment == b"\x18\x53\x80\x67" and length is not None else 0
    end = 0
    while kind == "mov" and end < size:  # a row of boxes, each led by its length
        stream.seek(end)
        head = stream.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or not head[4:8].isalnum():  # 0: up to the end of the file; else something appended
            break
        end += length
    return end


def _variable_length(stream: BinaryIO) -> int | None:
    """An EBML size (RFC 8794, section 4); None where it is not known, as in a live recording."""
    first = stream.read(1)
    octets = 9 - first[0].bit_length() if first and first[0] else 1
    value = int.from_bytes(first + stream.read(octets - 1), "big") & ((1 << 7 * octets) - 1)
    return None if value == (1 << 7 * octets) - 1 else value
