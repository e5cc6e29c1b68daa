"""What is read of an ONNX file without the onnx package, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted import onnx_field as field
from tests.planted import varint
from tristream.errors import CheckpointError
from tristream.runtime.onnx_file import read_properties

EXTERNAL = field(13, field(1, b"location") + field(2, b"../../etc/passwd")) + varint(14 << 3) + varint(1)


def model(graph: bytes = b"", *more: bytes) -> bytes:
    properties = field(14, field(1, b"tristream") + field(2, b"{}"))
    return varint(1 << 3) + varint(8) + field(7, graph) + properties + b"".join(more)


def test_properties_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(model(field(1, field(3, b"node")) + field(5, field(9, b"\0" * 1000))))
    assert read_properties(path) == {"tristream": "{}"}


@pytest.mark.parametrize(
    "graph",
    [
        field(5, EXTERNAL),
        field(1, field(5, field(5, EXTERNAL))),
        field(1, field(5, field(6, field(5, EXTERNAL)))),
        field(15, b""),
        field(1, field(5, field(22, field(1, EXTERNAL)))),
        field(1, field(5, field(23, field(1, EXTERNAL)))),
    ],
    ids=["initializer", "constant", "inside a subgraph", "sparse", "sparse constant", "sparse constants"],
)
def test_tensors_that_lie_elsewhere_are_refused(tmp_path: Path, graph: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(model(graph))
    with pytest.raises(CheckpointError, match="usable"):
        read_properties(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        b"PK\x03\x04",
        model()[:-1],
        model()[:5],
        b"\x3a\xff\xff\xff\xff\x7f",
        model(b"", field(7, b"")),
    ],
    ids=["empty", "noise", "zip", "cut", "cut early", "a claim of 32 GiB", "two graphs"],
)
def test_what_is_no_whole_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="ONNX"):
        read_properties(path)


def test_graphs_within_graphs_end(tmp_path: Path) -> None:
    graph = field(5, field(9, b"x"))
    for _ in range(50):
        graph = field(1, field(5, field(6, graph)))
    path = tmp_path / "a.onnx"
    path.write_bytes(model(graph))
    with pytest.raises(CheckpointError, match="within"):
        read_properties(path)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_properties(tmp_path / "gone.onnx")
