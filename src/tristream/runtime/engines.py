"""Which engine opens which checkpoint: the seam where a second runtime fits beside PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tristream.errors import CheckpointError, MissingExtraError, UsageError
from tristream.images.preprocess import Preprocessing
from tristream.metrics.calibration import Calibration
from tristream.runtime.predictor import Predictor
from tristream.runtime.session import Session

PICKLES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle"})
"""Suffixes of files that run code when they are loaded. They are never opened."""


@dataclass(frozen=True)
class OpenDetector:
    """A checkpoint on an engine, with what travels inside it."""

    session: Session
    preprocessing: Preprocessing
    calibration: Calibration | None
    name: str


def load(checkpoint: str | Path | None = None, device: str = "auto") -> Predictor:
    """A Predictor of the shipped detector, or of a checkpoint of your own (safetensors, from `tristream train`).

    device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N". Needs no network. Raises CheckpointError,
    UsageError for a device that is not there, and MissingExtraError where PyTorch is not installed.
    """
    opened = open_session(_checked(Path(checkpoint)) if checkpoint is not None else shipped_weights(), device)
    return Predictor(opened.session, opened.preprocessing, opened.calibration, opened.name)


def open_session(checkpoint: Path, device: str) -> OpenDetector:
    """Load a checkpoint on the engine that its format calls for: today always PyTorch. Raises as `load`."""
    try:
        import torch  # noqa: F401  (the first thing that a core installation lacks)

        from tristream.detectors.checkpoint import load_checkpoint
        from tristream.runtime.torch_session import TorchSession
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tristream"):
            raise
        raise MissingExtraError("predict", "research") from error
    device = torch_device(device)
    loaded = load_checkpoint(checkpoint)
    metadata = loaded.metadata
    session = TorchSession(loaded.detector, device)
    return OpenDetector(session, metadata.preprocessing, metadata.calibration, metadata.name)


def torch_device(device: str) -> str:
    """Resolve "auto" to a GPU where there is one. Raises UsageError for a device that is not there."""
    import torch

    gpus = torch.cuda.device_count()
    if device == "auto":
        return "cuda" if gpus else "cpu"
    if device == "cpu" or (device == "cuda" and gpus):
        return device
    kind, _, index = device.partition(":")
    if kind == "cuda" and index.isdecimal() and int(index) < gpus:
        return device
    raise UsageError(f"device '{device}': PyTorch sees the CPU and {gpus} GPUs here; say auto, cpu or cuda")


def shipped_weights() -> Path:
    """The checkpoint inside the package. Raises CheckpointError when this installation has none."""
    path = Path(str(files("tristream").joinpath("weights", "detector.safetensors")))
    if not path.is_file():
        raise CheckpointError(f"{path}: this installation ships no detector; name one with --checkpoint FILE")
    return path


def _checked(path: Path) -> Path:
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise CheckpointError(
            f"{path}: a {suffix} file is a pickle and runs code when it is loaded; use a .safetensors checkpoint"
        )
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; name the .safetensors file in it")
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint")
    if suffix != ".safetensors":
        raise CheckpointError(f"{path}: expected a .safetensors file, got '{suffix or 'no suffix'}'")
    return path
