"""What tests plant in place of a trained detector."""

from __future__ import annotations

from typing import Any

from tristream.metadata import ModelMetadata


def planted_metadata(name: str, calibration: Any = None, **more: Any) -> ModelMetadata:
    """Metadata of a detector that only a test knows."""
    return ModelMetadata(name=name, detector="planted", config={}, calibration=calibration, **more)
