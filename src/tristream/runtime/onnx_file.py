"""What an ONNX file says of itself, read without the onnx package: a walk over the few protobuf fields that matter.

The file is hostile input. Sizes are checked against what there is, nothing is allocated that the file only claims, and
a tensor that lives in another file is refused: it could name any path. Field numbers: onnx.proto3 of the ONNX project.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tristream.errors import CheckpointError
from tristream.metadata import (
    EXPORT_KEY,
    METADATA_KEY,
    ExportRecord,
    ModelMetadata,
    parse_export_record,
    parse_metadata,
)

MAX_BYTES = 512 << 20
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Fields of ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto and StringStringEntryProto
_GRAPH, _PROPERTIES, _FUNCTIONS = 7, 14, 25
_NODES, _INITIALIZERS, _SPARSE = 1, 5, 15
_ATTRIBUTES = 5
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS, _SPARSE_ATTRIBUTES = 5, 6, 10, 11, (22, 23)
_EXTERNAL, _LOCATION = 13, 14


def read_export(path: Path) -> tuple[ModelMetadata, ExportRecord]:
    """What travels in a file that `tristream export` wrote. Raises CheckpointError for any other."""
    properties = read_properties(path)
    if METADATA_KEY not in properties or EXPORT_KEY not in properties:
        raise CheckpointError(f"{path}: an ONNX file, but not one that 'tristream export' wrote")
    metadata = parse_metadata(properties[METADATA_KEY], str(path))
    return metadata, parse_export_record(properties[EXPORT_KEY], str(path))


def read_properties(path: Path) -> dict[str, str]:
    """The metadata_props of an ONNX file. Raises CheckpointError for anything but a self-contained ONNX file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path}: larger than {MAX_BYTES >> 20} MiB; not read")
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    properties: dict[str, str] = {}
    graphs = 0
    try:
        for number, value in _fields(data):
            if number == _PROPERTIES:
                entry = dict(_fields(value))
                properties[bytes(entry[1]).decode()] = bytes(entry.get(2, b"")).decode()
            elif number == _GRAPH:
                graphs += 1
                _refuse_external(value)
            elif number == _FUNCTIONS:
                raise ValueError("holds functions of its own")
    except (ValueError, KeyError, IndexError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a usable ONNX file ({error}); export or fetch it again") from None
    if graphs != 1:
        raise CheckpointError(f"{path}: not an ONNX file, or a truncated one; export or fetch it again")
    return properties


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(field number, content) of the length-delimited fields of a message; numbers are skipped. Raises ValueError."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            if number == _LOCATION and value:  # of a TensorProto; no other message that is walked has this one
                raise ValueError("a tensor lies in another file")
        elif kind == _BYTES:
            length, place = _varint(data, place)
            if length > len(data) - place:
                raise ValueError("it ends too early")
            yield number, data[place : place + length]
            place += length
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("its structure is broken")
    if place > len(data):
        raise ValueError("it ends too early")


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("its structure is broken")


def _refuse_external(graph: memoryview, depth: int = 0) -> None:
    """Raises ValueError where a tensor of a graph, or of a graph inside it, is sparse or has its values elsewhere."""
    if depth > 8:
        raise ValueError("graphs within graphs")
    for number, value in _fields(graph):
        if number == _INITIALIZERS:
            _refuse_external_tensor(value)
        elif number == _SPARSE:
            raise ValueError("holds sparse tensors")
        elif number == _NODES:
            for attribute in (content for field, content in _fields(value) if field == _ATTRIBUTES):
                for field, content in _fields(attribute):
                    if field in (_TENSOR, _TENSORS):
                        _refuse_external_tensor(content)
                    elif field in (_SUBGRAPH, _SUBGRAPHS):
                        _refuse_external(content, depth + 1)
                    elif field in _SPARSE_ATTRIBUTES:
                        raise ValueError("holds sparse tensors")


def _refuse_external_tensor(tensor: memoryview) -> None:
    if any(number == _EXTERNAL for number, _ in _fields(tensor)):
        raise ValueError("a tensor lies in another file")
