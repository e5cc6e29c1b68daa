"""The engines that a benchmark compares, each opened by its name; PyTorch is imported only for those that need it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from tristream.benchmark.report import EngineName, UnavailableError
from tristream.errors import CheckpointError, MissingExtraError, needs_extra
from tristream.runtime import engines
from tristream.runtime.engines import OpenDetector
from tristream.runtime.onnx_file import read_export

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
            opened = engines.open_session(self._exported(int8=name == "onnx-int8"), "cpu", threads)
            return replace(opened, described=opened.engine)  # waits: compiling is part of opening
        except (CheckpointError, MissingExtraError) as error:
            raise UnavailableError(str(error)) from error

    def _torch(self, name: EngineName, threads: int) -> OpenDetector:
        with needs_extra(name, "research"):
            from tristream.benchmark.torch_contenders import open_torch
        return open_torch(name, self.checkpoint or engines.shipped_weights(), threads)

    def _exported(self, *, int8: bool) -> Path:
        files = self.onnx
        if not files and self.checkpoint is None and (shipped := engines.shipped_detector()).suffix == ".onnx":
            files = (shipped,)
        precision = "int8" if int8 else "fp32"
        fitting = [path for path in files if read_export(path)[1].precision == precision]
        if not fitting:
            raise UnavailableError(
                f"no {precision} file; make one with 'tristream export' and name it with --onnx FILE"
            )
        return fitting[0]
