"""Which engine opens which file: OpenVINO for what `tristream export` wrote, PyTorch for checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tristream.errors import CheckpointError, UsageError, needs_extra
from tristream.metadata import ModelMetadata
from tristream.runtime.session import Session

if TYPE_CHECKING:
    from tristream.runtime.predictor import Predictor

PICKLES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle"})
"""Suffixes of files that run code when they are loaded. They are never opened."""
PRECISIONS = {"32": "fp32", "bf16": "bf16 autocast"}
"""In which a checkpoint can be scored: by name, in words."""


@dataclass(frozen=True)
class OpenDetector:
    """A detector on an engine, with what travels inside its file."""

    session: Session
    metadata: ModelMetadata
    described: str | Callable[[], str]
    """The engine in words, or what gives them when it is compiled."""

    @property
    def engine(self) -> str:
        """In words: the runtime, its version, precision and threads. Waits for an engine that is still compiled.

        Raises CheckpointError when that fails.
        """
        return self.described if isinstance(self.described, str) else self.described()


def load(checkpoint: str | Path | None = None, device: str = "auto", threads: int | None = None) -> Predictor:
    """A Predictor of the shipped detector, or of one of your own.

    checkpoint: .onnx from `tristream export`, which scores without PyTorch, or .safetensors from `tristream train`,
    which needs the research extra. device: "auto" (for .safetensors a GPU where there is one), "cpu", "cuda" or
    "cuda:N". threads: of the CPU, by default all that it may use. Needs no network. Raises CheckpointError, UsageError
    for a device that is not there or of no use, and MissingExtraError.
    """
    path = _checked(Path(checkpoint)) if checkpoint is not None else shipped_detector()
    opened = open_session(path, device, threads)
    from tristream.runtime.predictor import Predictor  # meanwhile the engine is compiled

    return Predictor(opened.session, opened.metadata, lambda: opened.engine)


def open_session(
    checkpoint: Path, device: str = "auto", threads: int | None = None, precision: str = "32"
) -> OpenDetector:
    """Open a file on the engine that its format calls for.

    precision: "32", or "bf16" for bfloat16 where the operator allows it. Raises as `load`, and UsageError for another
    precision than that of an exported file.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads}: expected 1 or more")
    if precision not in PRECISIONS:
        raise UsageError(f"precision '{precision}': expected {' or '.join(PRECISIONS)}")
    if checkpoint.suffix.lower() != ".onnx":
        return _open_torch(checkpoint, device, threads, precision)
    if precision != "32":
        raise UsageError(f"precision {precision}: an .onnx file computes as it was exported; leave --precision out")
    return _open_light(checkpoint, device, threads)


def _open_light(checkpoint: Path, device: str, threads: int | None) -> OpenDetector:
    if device not in ("auto", "cpu"):
        raise UsageError(
            f"device '{device}': an .onnx file is scored on the CPU; for a GPU name a .safetensors checkpoint"
        )
    from tristream.runtime.light_session import LightSession

    session = LightSession(checkpoint, threads)
    return OpenDetector(session, session.metadata, lambda: session.engine)


def _open_torch(checkpoint: Path, device: str, threads: int | None, precision: str) -> OpenDetector:
    with needs_extra("scoring with a .safetensors checkpoint", "research"):
        import torch

        from tristream.detectors.checkpoint import load_checkpoint
        from tristream.runtime.torch_session import TorchSession
    device = torch_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    loaded = load_checkpoint(checkpoint)
    where = f"{torch.get_num_threads()} threads" if device == "cpu" else torch.cuda.get_device_name(device)
    session = TorchSession(loaded.detector, device, autocast=precision == "bf16")
    return OpenDetector(session, loaded.metadata, f"PyTorch {torch.__version__}, {PRECISIONS[precision]}, {where}")


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


def shipped_detector() -> Path:
    """The file inside the package that `predict` scores with: int8 for the light runtime, else the research weights."""
    light = _shipped("detector.int8.onnx")
    return light if light.is_file() else shipped_weights()


def shipped_weights() -> Path:
    """The checkpoint inside the package, for research. Raises CheckpointError when this installation has none."""
    path = _shipped("detector.safetensors")
    if not path.is_file():
        raise CheckpointError(f"{path}: this installation ships no detector; name one with --checkpoint FILE")
    return path


def _shipped(name: str) -> Path:
    return Path(str(files("tristream").joinpath("weights", name)))


def _checked(path: Path) -> Path:
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise CheckpointError(
            f"{path}: a {suffix} file is a pickle and runs code when it is loaded; use a .safetensors or .onnx file"
        )
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; name the .safetensors file in it")
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint")
    if suffix not in (".onnx", ".safetensors"):
        raise CheckpointError(f"{path}: expected a .onnx or .safetensors file, got '{suffix or 'no suffix'}'")
    return path
