"""H.264 as in FaceForensics++: libx264 at a constant rate factor (CRF), by PyAV.

Its c23 and c40 are such factors; they are no JPEG qualities.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt

from tristream.errors import UsageError, needs_extra

UInt8 = npt.NDArray[np.uint8]

FRAMES = 5
"""Length of the clip that a single picture becomes; the middle frame is taken, which is predicted from the first."""
FRAME_RATE = 25
PRESET = "medium"
"""libx264's default."""


def encode_clip(frames: Sequence[UInt8], crf: int) -> list[UInt8]:
    """Encode frames as one H.264 clip (4:2:0, 25 frames a second) and decode it again.

    frames: uint8[H, W, 3] each, all of one size; crf 0-51, 23 is libx264's default. An odd side is continued by its
    last row or column while it is encoded. Returns as many frames of the same size, the same every time.
    Raises MissingExtraError without the video extra, UsageError for another CRF.
    """
    if not 0 <= crf <= 51:
        raise UsageError(f"CRF {crf}: H.264 has 0 (nearly lossless) to 51")
    with needs_extra("H.264", "video"):
        import av
    height, width = frames[0].shape[:2]
    even = ((0, height % 2), (0, width % 2), (0, 0))
    clip = BytesIO()
    with av.open(clip, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": PRESET, "threads": "1"}  # more threads, other bits
        stream = container.add_stream("libx264", rate=FRAME_RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        for frame in frames:
            picture = np.ascontiguousarray(np.pad(frame, even, mode="edge"))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    clip.seek(0)
    with av.open(clip, "r") as written:
        decoded = [frame.to_ndarray(format="rgb24") for frame in written.decode(video=0)]
    return [np.ascontiguousarray(frame[:height, :width], dtype=np.uint8) for frame in decoded]


def h264(pixels: UInt8, crf: int) -> UInt8:
    """One picture as the middle frame of a still clip of FRAMES frames. Arguments and errors as for `encode_clip`."""
    return encode_clip([pixels] * FRAMES, crf)[FRAMES // 2]
