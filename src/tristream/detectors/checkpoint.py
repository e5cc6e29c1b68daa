"""Checkpoints: one safetensors file that holds the weights and, as metadata, all that inference needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tristream.atomic import replaced
from tristream.detectors import Detector, build_detector
from tristream.detectors.backbones import read_safetensors
from tristream.errors import CheckpointError
from tristream.metadata import METADATA_KEY, ModelMetadata, parse_metadata

_KEPT_IN_FLOAT32 = ("running_mean", "running_var", "mask.component", "mask.band_weights")
"""Norm buffers and the spectral mask lose too much in half precision."""


@dataclass(frozen=True)
class Checkpoint:
    """A detector in eval mode, with its metadata."""

    detector: Detector
    metadata: ModelMetadata


def save_checkpoint(path: Path, detector: Detector, metadata: ModelMetadata, *, half: bool = False) -> None:
    """Write atomically. `half` stores weights as float16, but norm buffers and the spectral mask as float32."""
    tensors = {name: _stored(name, tensor, half) for name, tensor in detector.state_dict().items()}
    write_safetensors(path, tensors, {METADATA_KEY: metadata.model_dump_json()})


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file so that a reader sees the old file or the whole new one, also after a crash."""
    with replaced(path, durable=True) as part:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part, dict(metadata))


def read_metadata(path: Path) -> ModelMetadata:
    """The metadata alone, without loading weights. Raises CheckpointError."""
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: a checkpoint is a .safetensors file; pickled files can run code when opened")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from None
    if text is None:
        raise CheckpointError(f"{path}: holds weights but no tristream metadata; it is not a tristream checkpoint")
    return parse_metadata(text, str(path))


def load_checkpoint(path: Path) -> Checkpoint:
    """Build the detector that a checkpoint describes and fill it, offline. Raises CheckpointError and ConfigError."""
    metadata = read_metadata(path)
    detector = build_detector(metadata.detector, metadata.config, load_weights=False)
    try:
        detector.load_state_dict(read_safetensors(path), strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: weights do not fit its own config: {str(error)[:400]}") from None
    return Checkpoint(detector.eval(), metadata)


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    if half and tensor.is_floating_point() and not name.endswith(_KEPT_IN_FLOAT32):
        return tensor.to(torch.float16)
    return tensor
