"""Clips and a face that tests draw: H.264 by PyAV, and a cartoon that the face detector takes for a face."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

UInt8 = np.ndarray
FPS = 10


def grey(*values: int, size: tuple[int, int] = (96, 64)) -> list[UInt8]:
    """Frames of one grey value each, uint8[H, W, 3]. size: width and height."""
    return [np.full((size[1], size[0], 3), value, np.uint8) for value in values]


def write_clip(
    path: Path,
    frames: Iterable[UInt8],
    times: Sequence[int] | None = None,
    rotation: int = 0,
    tone: bool = False,
    **options: str,
) -> Path:
    """Write frames as H.264. times: of each frame in 1/FPS s, by default 0, 1, 2 …; rotation: degrees counterclockwise
    that a player turns an MP4 by; tone: with a second of silence beside it; options: of libx264."""
    import av

    with av.open(str(path), "w") as container:
        stream = None
        for index, frame in enumerate(frames):
            if stream is None:
                stream = container.add_stream("libx264", rate=FPS, options={"crf": "10", **options})
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = Fraction(1, FPS)
                if tone:
                    _silence(container)
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = index if times is None else times[index]
            picture.time_base = Fraction(1, FPS)
            container.mux(stream.encode(picture))
        assert stream is not None
        container.mux(stream.encode(None))
    if rotation:
        path.write_bytes(turned(path.read_bytes(), rotation))
    return path


def turned(clip: bytes, degrees: int) -> bytes:
    """An MP4 whose track header says that it is to be turned counterclockwise (ISO/IEC 14496-12, 8.3.2)."""
    place = clip.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of times, layer and volume
    cos, sin = round(math.cos(math.radians(degrees))), round(math.sin(math.radians(degrees)))
    matrix = (cos << 16, -sin << 16, 0, sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    return clip[:place] + struct.pack(">9i", *matrix) + clip[place + 36 :]


def write_sound(path: Path) -> Path:
    """A second of silence, and no picture."""
    import av

    with av.open(str(path), "w") as container:
        _silence(container)
    return path


def _silence(container: object) -> None:
    import av

    stream = container.add_stream("aac", rate=8000)  # type: ignore[attr-defined]
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
    frame.rate = 8000
    container.mux(stream.encode(frame))  # type: ignore[attr-defined]
    container.mux(stream.encode(None))  # type: ignore[attr-defined]


def drawn_face(size: int = 160) -> UInt8:
    """A cartoon of a face, lit from the left, uint8[size, size, 3]; the face takes up about 0.6 of the width."""
    s = 4 * size
    picture = Image.new("RGB", (s, s), (120, 140, 150))
    draw = ImageDraw.Draw(picture)

    def oval(x: float, y: float, half_width: float, half_height: float, colour: tuple[int, int, int]) -> None:
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        draw.ellipse([s * side for side in box], fill=colour)

    oval(0.5, 0.47, 0.36, 0.44, (60, 40, 30))
    draw.rectangle((0.38 * s, 0.8 * s, 0.62 * s, s), fill=(200, 150, 125))
    oval(0.5, 0.53, 0.29, 0.38, (222, 175, 148))
    for x in (0.38, 0.62):
        oval(x, 0.46, 0.075, 0.04, (245, 240, 235))
        oval(x, 0.46, 0.033, 0.038, (50, 30, 20))
        draw.arc(((x - 0.1) * s, 0.36 * s, (x + 0.1) * s, 0.46 * s), 200, 340, (60, 40, 30), int(0.022 * s))
    oval(0.5, 0.60, 0.05, 0.03, (205, 150, 125))
    for x in (0.475, 0.525):
        oval(x, 0.615, 0.014, 0.01, (140, 90, 75))
    oval(0.5, 0.735, 0.11, 0.035, (180, 80, 80))
    draw.line((0.4 * s, 0.735 * s, 0.6 * s, 0.735 * s), (120, 50, 50), int(0.01 * s))
    shadow = Image.new("L", (s, s), 0)
    ImageDraw.Draw(shadow).ellipse((0.5 * s, 0.2 * s, s, 0.95 * s), fill=90)
    shaded = Image.composite(
        Image.new("RGB", (s, s), (90, 60, 50)), picture, shadow.filter(ImageFilter.GaussianBlur(0.12 * s))
    )
    return np.asarray(shaded.filter(ImageFilter.GaussianBlur(0.006 * s)).resize((size, size), Image.Resampling.LANCZOS))


def scene(face_at: tuple[int, int] | None = None, face: int = 160, size: tuple[int, int] = (400, 320)) -> UInt8:
    """A plain wall, and a drawn face of that size with its left top corner there. Returns uint8[H, W, 3]."""
    picture = Image.new("RGB", size, (120, 140, 150))
    if face_at is not None:
        picture.paste(Image.fromarray(drawn_face(face)), face_at)
    return np.asarray(picture)
