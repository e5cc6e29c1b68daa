"""What travels with a detector's weights, in a safetensors header or an ONNX file, so that inference guesses nothing.

The light runtime imports this file: it needs pydantic and numpy, not PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from pydantic import Field

from tristream import __version__
from tristream.config import StrictModel, validate
from tristream.errors import CheckpointError, ConfigError
from tristream.images.preprocess import Preprocessing
from tristream.metrics.calibration import Calibration
from tristream.metrics.domain import DomainModel

FORMAT_VERSION = 1
METADATA_KEY = "tristream"
"""Under which a ModelMetadata stands as JSON, in a safetensors header and in the metadata_props of an ONNX file."""
EXPORT_KEY = "tristream.export"
"""Under which an ONNX file holds its ExportRecord as JSON."""

SKETCH = 256
"""Of training pictures whose digests travel with the weights."""
_SKETCH_DIGITS = 16

M = TypeVar("M", bound=StrictModel)


class ModelMetadata(StrictModel):
    """What travels with the weights."""

    format_version: int = FORMAT_VERSION
    name: str
    detector: str
    """Name in the registry of detectors."""
    config: dict[str, Any]
    preprocessing: Preprocessing = Preprocessing()
    calibration: Calibration | None = None
    domain: DomainModel | None = None
    """Of the pictures that it was trained on; None for a detector without tokens, or one that was not calibrated."""
    initialisation: str = ""
    """What the weights were before training, in words: ImageNet, CLIP, random, a file, or the detector fine-tuned."""
    deviations: tuple[str, ...] = ()
    """Where the detector departs from the paper whose name it carries."""
    seed: int | None = None
    """Of the training run; None where it was not recorded."""
    training_data_sha256: str = ""
    """Digest of the manifest's rows that were trained on."""
    training_sketch: tuple[str, ...] = ()
    """Of these pictures, as `sketch` makes it; empty where it was not recorded."""
    licence: str = ""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    tristream_version: str = __version__
    notes: str = ""

    def count_trained_on(self, sha256: Iterable[str]) -> int:
        """How many of these pictures the sketch knows as training pictures: none of others, and not all of them.

        Digests are as good as random, so the sketch holds the same share of any part of the training pictures: of n in
        all, it knows SKETCH / n of those that are shared.
        """
        return len(set(self.training_sketch) & {digest[:_SKETCH_DIGITS] for digest in sha256})


class ExportRecord(StrictModel):
    """Where an ONNX file comes from, and how it computes."""

    stream_names: tuple[str, ...]
    """Of the S columns of its output `stream_weights`; empty for a detector without streams."""
    precision: Literal["fp32", "int8"]
    source_sha256: str
    """Of the checkpoint that was exported."""
    quantisation: str = ""
    """In words: with what and on which pictures; empty for fp32."""
    tristream_version: str = __version__


def sketch(sha256: Iterable[str]) -> tuple[str, ...]:
    """What travels of the pictures that were trained on: their SKETCH smallest digests, shortened.

    A bottom-k sketch (Broder, On the resemblance and containment of documents, 1997).
    """
    return tuple(sorted({digest[:_SKETCH_DIGITS] for digest in sha256})[:SKETCH])


def parse_metadata(text: str, origin: str) -> ModelMetadata:
    """Read what METADATA_KEY holds. Raises CheckpointError for another format version or for values that do not fit."""
    values = _parse(text, origin)
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{origin}: format version {version}, this release reads {FORMAT_VERSION}; install a matching tristream"
        )
    return _checked(ModelMetadata, values, origin)


def parse_export_record(text: str, origin: str) -> ExportRecord:
    """Read what EXPORT_KEY holds. Raises CheckpointError for values that do not fit."""
    return _checked(ExportRecord, _parse(text, origin), origin)


def _parse(text: str, origin: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{origin}: its tristream metadata are not JSON ({error}); get the file again") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{origin}: its tristream metadata are a {type(values).__name__}, expected an object")
    return values


def _checked(model: type[M], values: dict[str, Any], origin: str) -> M:
    try:
        return validate(model, values, f"metadata of {origin}")
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
