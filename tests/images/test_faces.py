"""Faces are found where they are, and the crop around the largest is a square inside the picture."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.clips import drawn_face, scene
from tristream.errors import CheckpointError, MissingExtraError
from tristream.images.decode import decode
from tristream.images.faces import MARGIN, Box, Face, FaceDetector, _shipped_weights, square_around

pytest.importorskip("cv2", reason="needs the video extra")


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


def test_a_drawn_face_is_found_where_it_is(detector: FaceDetector) -> None:
    face = detector.largest(scene((200, 100)))
    assert face is not None
    assert face.score > 0.85
    centre = (face.left + face.width / 2, face.top + face.height / 2)
    assert np.hypot(centre[0] - 280, centre[1] - 185) < 15, "the middle of the oval"
    assert 70 < face.width < 130


@pytest.mark.parametrize(("side", "size"), [(600, 100), (2400, 400), (1280, 100)])
def test_places_are_in_px_of_the_picture_however_large_it_is(detector: FaceDetector, side: int, size: int) -> None:
    """The last is so small that the first look, at 320 px, does not show it."""
    face = detector.largest(scene((side // 2, side // 2), face=size, size=(side, side)))
    assert face is not None
    assert face.left + face.width / 2 == pytest.approx((side + size) / 2, rel=0.04)


def test_a_picture_without_a_face_has_none(detector: FaceDetector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for pixels in (scene(), noise, np.zeros((1, 1, 3), np.uint8), np.zeros((3, 900, 3), np.uint8)):
        assert detector.faces(pixels) == []
        assert detector.crop(pixels) is None


def test_the_largest_of_two_faces_is_taken(detector: FaceDetector) -> None:
    two = scene((10, 80), face=90).copy()
    two[60:260, 180:380] = drawn_face(200)
    assert len(detector.faces(two)) == 2
    found = detector.crop(two)
    assert found is not None
    pixels, box = found
    assert box.left > 150
    assert pixels.shape == (box.height, box.width, 3)
    assert np.array_equal(pixels, two[box.top : box.top + box.height, box.left : box.left + box.width])


def test_the_crop_is_a_copy(detector: FaceDetector) -> None:
    picture = scene((200, 100)).copy()
    found = detector.crop(picture)
    assert found is not None
    picture[:] = 0
    assert found[0].any()


@pytest.mark.parametrize(
    ("face", "box"),
    [
        (Face(100, 100, 80, 100, 1.0), Box(75, 85, 130, 130)),  # in the middle: the longer side times 1.3
        (Face(-20, -30, 100, 100, 1.0), Box(0, 0, 130, 130)),  # moved in at the left top corner, not made smaller
        (Face(580, 400, 100, 100, 1.0), Box(510, 350, 130, 130)),  # and at the right bottom one
        (Face(0, 0, 640, 480, 1.0), Box(80, 0, 480, 480)),  # larger than the picture: its shorter side
        (Face(5, 5, 0.1, 0.1, 1.0), Box(5, 5, 1, 1)),
    ],
)
def test_the_square_lies_inside_the_picture(face: Face, box: Box) -> None:
    assert MARGIN == 1.3
    assert square_around(face, 480, 640) == box


def test_another_file_of_the_family_takes_its_place(detector: FaceDetector, tmp_path: Path) -> None:
    other = tmp_path / "mine.onnx"
    other.write_bytes(_shipped_weights().read_bytes())
    mine = FaceDetector(other)
    assert (mine.name, mine.sha256) == ("mine.onnx", detector.sha256)
    assert mine.faces(scene((200, 100))) == detector.faces(scene((200, 100)))


def test_what_is_no_face_model_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pickle.onnx").write_bytes(pickle.dumps(["not", "a", "model"]))
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "model.pt").write_bytes(b"weights")
    for name, words in (
        ("pickle.onnx", "not a face detector of the YuNet family"),
        ("empty.onnx", "not a face detector of the YuNet family"),
        ("model.pt", "an .onnx file of the YuNet family"),
        ("gone.onnx", "no such file"),
    ):
        with pytest.raises(CheckpointError, match=words):
            FaceDetector(tmp_path / name)
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["in"], ["out"])],
        "another",
        [value("in", 1, [1, 3, 32, 32])],
        [value("out", 1, [1, 3, 32, 32])],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)]), tmp_path / "relu.onnx")
    with pytest.raises(CheckpointError, match="YuNet family"):
        FaceDetector(tmp_path / "relu.onnx")
    assert capfd.readouterr().err == "", "said once, by us"


def test_without_the_extra_the_reason_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tristream\[video\]'"):
        FaceDetector()


def test_photographs_of_faces(detector: FaceDetector) -> None:
    """A few; results/face-rates.json has the rates."""
    beside = Path(__file__).parents[3] / "shared"
    folder = Path(os.environ.get("TRISTREAM_SHARED", beside)) / "data" / "corpus" / "real" / "ffhq"
    if not folder.is_dir():
        pytest.skip(f"the shared pictures are not here: no {folder}")
    paths = sorted(folder.iterdir())[:10]
    assert len(paths) == 10
    for path in paths:
        assert detector.largest(decode(path).pixels) is not None, path.name
