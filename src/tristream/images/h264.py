"""H.264 as in FaceForensics++: libx264 at a constant rate factor (CRF), by PyAV.

Its c23 and c40 are such factors; they are no JPEG qualities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np

from tristream.errors import ImageError, UsageError, needs_extra
from tristream.images.video import Clip, Frame
from tristream.typing import UInt8

FRAMES = 5
"""Length of the clip that is encoded for one frame; the middle one is taken, which is predicted from the first."""
FRAME_RATE = 25
PRESET = "medium"
"""libx264's default."""


def encode_clip(frames: Sequence[UInt8], crf: int) -> list[UInt8]:
    """Encode frames as one H.264 clip (4:2:0, 25 frames a second) and decode it again.

    frames: uint8[H, W, 3] each, all of one size; crf 0-51, 23 is libx264's default. An odd side is continued by its
    last row or column while it is encoded. Returns as many frames of the same size, the same every time.
    Raises MissingExtraError without the video extra, UsageError for another CRF, ImageError where H.264 cannot hold a
    picture of this size.
    """
    if not 0 <= crf <= 51:
        raise UsageError(f"CRF {crf}: H.264 has 0 (nearly lossless) to 51")
    with needs_extra("H.264", "video"):
        import av
    height, width = frames[0].shape[:2]
    even = ((0, height % 2), (0, width % 2), (0, 0))
    clip = BytesIO()
    try:
        with av.open(clip, "w", format="mp4") as container:
            options = {"crf": str(crf), "preset": PRESET, "threads": "1"}  # more threads, other bits
            stream = container.add_stream("libx264", rate=FRAME_RATE, options=options)
            stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
            for frame in frames:
                picture = np.ascontiguousarray(np.pad(frame, even, mode="edge"))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    except av.FFmpegError as error:  # of the longest side: 16,384 px
        raise ImageError(f"{width} x {height} pixels cannot be encoded as H.264: {error.strerror}") from error
    clip.seek(0)
    with av.open(clip, "r") as written:
        decoded = [frame.to_ndarray(format="rgb24") for frame in written.decode(video=0)]
    return [np.ascontiguousarray(frame[:height, :width], dtype=np.uint8) for frame in decoded]


def encode_again(clip: Clip, indices: Sequence[int], crf: int) -> Iterator[Frame]:
    """These frames of a clip, ascending, each encoded again among its neighbours: FRAMES in all, with their motion.

    Errors as of `encode_clip` and `Clip.frames`.
    """
    around = {index: _neighbours(index, len(clip.times_s)) for index in indices}
    wanted = sorted(set().union(*around.values()))
    waiting, seen = list(indices), dict[int, Frame]()
    for number, frame in zip(wanted, clip.frames(wanted), strict=True):
        seen[number] = frame
        while waiting and around[waiting[0]][-1] == number:
            index = waiting.pop(0)
            numbers = around[index]
            coded = encode_clip([seen[n].pixels for n in numbers], crf)
            yield Frame(seen[index].time_s, coded[numbers.index(index)])
        seen = {n: kept for n, kept in seen.items() if waiting and n >= around[waiting[0]][0]}


def _neighbours(index: int, frames: int) -> range:
    """FRAMES numbers with `index` in the middle, shifted at the ends of a clip of so many frames."""
    start = max(0, min(index - FRAMES // 2, frames - FRAMES))
    return range(start, min(start + FRAMES, frames))


def h264(pixels: UInt8, crf: int) -> UInt8:
    """One picture as the middle frame of a still clip of FRAMES frames. Arguments and errors as for `encode_clip`."""
    return encode_clip([pixels] * FRAMES, crf)[FRAMES // 2]
