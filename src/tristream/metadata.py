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
"""Of pictures whose digests travel with the weights, for each use."""
_SKETCH_DIGITS = 16

Use = Literal["trained", "chosen", "calibrated"]
"""What was done with pictures before: weights learnt from them, or the checkpoint, or its thresholds, were chosen."""

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
    """Of these pictures and of those that the weights it started from were trained on, as `sketch` makes it; empty, as
    the next two, where it was not recorded."""
    selection_sketch: tuple[str, ...] = ()
    """Of the pictures on which the checkpoint was chosen."""
    calibration_sketch: tuple[str, ...] = ()
    """Of the pictures from which probability and thresholds were fitted."""
    licence: str = ""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    tristream_version: str = __version__
    notes: str = ""

    def known(self, sha256: Iterable[str]) -> dict[Use, int]:
        """How many of these pictures the sketches know, by what was done with them; uses of which they know none left
        out.

        Digests are as good as random, so a sketch holds the same share of any part of its pictures: of n in all, it
        knows SKETCH / n of those that are shared; none of others, and not all of them.
        """
        asked = {digest[:_SKETCH_DIGITS] for digest in sha256}
        sketches: dict[Use, tuple[str, ...]] = {
            "trained": self.training_sketch, "chosen": self.selection_sketch, "calibrated": self.calibration_sketch
        }  # fmt: skip
        return {use: count for use, known in sketches.items() if (count := len(asked.intersection(known)))}


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
    """What travels of the pictures that something was done with: their SKETCH smallest digests, shortened.

    With other sketches among the digests, it is that of all their pictures together. A bottom-k sketch (Broder, On the
    resemblance and containment of documents, 1997).
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
