"""What tests plant in place of a trained detector."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from tristream.evaluation.record import CheckpointRecord, Identity
from tristream.metadata import EXPORT_KEY, METADATA_KEY, ExportRecord, ModelMetadata
from tristream.metrics.domain import DomainModel, encoded


def planted_metadata(name: str, calibration: Any = None, **more: Any) -> ModelMetadata:
    """Metadata of a detector that only a test knows."""
    return ModelMetadata(name=name, detector="planted", config={}, calibration=calibration, **more)


def planted_identity(name: str = "planted") -> Identity:
    """Of a run by a checkpoint of that name; no file is there."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Identity(data="set/index.csv", command="test", checkpoint=CheckpointRecord(name=name, sha256=digest))


def planted_domain(distances: tuple[float, ...]) -> DomainModel:
    """Of tokens of two numbers: the distance is that from the origin; `distances`: of training pictures, ascending."""
    return DomainModel(
        means=encoded(np.zeros((2, 2))),
        directions=encoded(np.eye(1, 2)),
        variances=(1.0,),
        rest_variance=1.0,
        distances=distances,
        share=0.95,
        n_fitted=20,
        source="drawn",
    )


def onnx_field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    low = bytes([value & 0x7F | (0x80 if value >> 7 else 0)])
    return low + (varint(value >> 7) if value >> 7 else b"")


def exported_file(precision: str) -> bytes:
    """An ONNX file that says it was exported, and holds nothing to compute."""
    record = ExportRecord(stream_names=(), precision=precision, source_sha256="0" * 64)  # type: ignore[arg-type]
    pairs = {METADATA_KEY: planted_metadata("planted").model_dump_json(), EXPORT_KEY: record.model_dump_json()}
    properties = (onnx_field(1, key.encode()) + onnx_field(2, value.encode()) for key, value in pairs.items())
    return onnx_field(7, b"") + b"".join(onnx_field(14, entry) for entry in properties)
