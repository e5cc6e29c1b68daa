"""The engines that a benchmark compares, each opened by its name; PyTorch is imported only for those that need it."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tristream.errors import CheckpointError, MissingExtraError, UsageError
from tristream.runtime import engines
from tristream.runtime.benchmark_report import EngineName, UnavailableError
from tristream.runtime.engines import OpenDetector

ENGINES: tuple[EngineName, ...] = ("torch-eager", "torch-channels-last", "torch-compile", "onnx-fp32", "onnx-int8")
"""In the order in which a benchmark runs them; the first that opens is what the others are compared with."""


class Open(Protocol):
    """Opens an engine by its name on so many threads. Raises UnavailableError."""

    def __call__(self, name: EngineName, threads: int) -> OpenDetector: ...


@dataclass(frozen=True)
class Files:
    """Where the contenders' weights lie: one detector, exported or not. Calling it opens an engine.

    checkpoint: the .safetensors file, None for the shipped one; onnx: exported files, told apart by what is in them.
    Without any, the shipped int8 file takes part, unless `checkpoint` names another detector.
    """

    checkpoint: Path | None = None
    onnx: tuple[Path, ...] = ()

    def __call__(self, name: EngineName, threads: int) -> OpenDetector:
        try:
            if name.startswith("torch-"):
                return self._torch(name, threads)
            return engines.open_session(self._exported(int8=name == "onnx-int8"), "cpu", threads)
        except (CheckpointError, MissingExtraError) as error:
            raise UnavailableError(str(error)) from error

    def _torch(self, name: EngineName, threads: int) -> OpenDetector:
        try:
            from tristream.runtime.torch_contenders import open_torch
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("tristream"):
                raise
            raise MissingExtraError(name, "research") from error
        return open_torch(name, self.checkpoint or engines.shipped_weights(), threads)

    def _exported(self, *, int8: bool) -> Path:
        files = self.onnx
        if not files and self.checkpoint is None and (shipped := engines.shipped_detector()).suffix == ".onnx":
            files = (shipped,)
        fitting = [path for path in files if is_quantised(path) == int8]
        if not fitting:
            precision = "int8" if int8 else "fp32"
            raise UnavailableError(
                f"no {precision} file; make one with 'tristream export' and name it with --onnx FILE"
            )
        return fitting[0]


def is_quantised(path: Path) -> bool:
    """Whether an ONNX file holds quantised operators: their names stand in the file as they are.

    Raises UsageError where there is no such file.
    """
    if not path.is_file() or not path.stat().st_size:
        raise UsageError(f"{path}: no such ONNX file, or an empty one")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"uantizeLinear") >= 0  # QuantizeLinear or DequantizeLinear
