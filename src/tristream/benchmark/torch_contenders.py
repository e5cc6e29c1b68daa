"""PyTorch as a benchmark's contender: eager as anybody would run it, channels-last, and compiled."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from tristream.benchmark.report import EngineName, UnavailableError
from tristream.detectors.base import Detector
from tristream.detectors.checkpoint import load_checkpoint
from tristream.runtime.engines import OpenDetector
from tristream.runtime.session import Scores
from tristream.runtime.torch_session import scores_of
from tristream.typing import Float32

_COMPILERS = ("g++", "clang++", "c++", "cl")
"""What torch.compile looks for on a CPU, besides what the environment variable CXX names."""


class TorchContender:
    """A Session that runs a detector on the CPU, in float32, in one memory format, on so many threads."""

    def __init__(self, detector: Detector, memory_format: torch.memory_format, threads: int, *, compiled: bool) -> None:
        """The detector is used, not copied. compiled: by torch.compile, which happens at the first run of each size."""
        self.stream_names = detector.stream_names
        self._format = memory_format
        self._threads = threads
        detector = detector.eval().to(memory_format=memory_format)
        self._detector = torch.compile(detector) if compiled else detector

    def run(self, pixels: Float32) -> Scores:
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                output = self._detector(torch.from_numpy(pixels).contiguous(memory_format=self._format))
        finally:
            torch.set_num_threads(
                before
            )  # it is the whole process's: training after a benchmark would differ by rounding
        return scores_of(output)


def open_torch(name: EngineName, checkpoint: Path, threads: int) -> OpenDetector:
    """Load a checkpoint as one of the torch contenders. Raises UnavailableError where it cannot be compiled."""
    loaded = load_checkpoint(checkpoint)
    compiled = name == "torch-compile"
    memory_format = torch.contiguous_format if name == "torch-eager" else torch.channels_last
    if compiled and not any(shutil.which(c) for c in (os.environ.get("CXX"), *_COMPILERS) if c):
        raise UnavailableError("torch.compile needs a C++ compiler and found none; install g++")
    session = TorchContender(loaded.detector, memory_format, threads, compiled=compiled)
    if compiled:
        side = loaded.metadata.preprocessing.crop
        try:
            session.run(torch.zeros(1, 3, side, side).numpy())
        except Exception as error:  # the compiler's own errors, of which there are many kinds
            raise UnavailableError(
                f"torch.compile: {next(iter(str(error).splitlines()), type(error).__name__)}"
            ) from error
    words = {"torch-eager": "eager", "torch-channels-last": "eager, channels-last"}.get(name, "compiled, channels-last")
    return OpenDetector(
        session,
        loaded.metadata,
        f"PyTorch {torch.__version__}, {words}, fp32, {threads} {'thread' if threads == 1 else 'threads'}",
    )
