"""A Session on OpenVINO: scores an exported detector on the CPU, without PyTorch.

Each crop is an inference of its own, on one thread; a batch is spread over as many as there are threads. So a logit
depends neither on batch mates nor on the number of threads, and all shapes are known when the model is compiled.
Compiling takes most of the time before a first verdict. It runs beside the caller, who decodes pictures meanwhile.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from tristream.environment import usable_cores
from tristream.errors import CheckpointError
from tristream.runtime.onnx_file import read_export
from tristream.runtime.session import Scores
from tristream.typing import Float32

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
"""OpenVINO's converters report their use through this package; without it they use a stub. Nothing here phones home."""
import openvino  # noqa: E402

_SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}
"""Without it, a processor with AVX-512-BF16 or AMX would compute in bfloat16, which moves logits by tenths."""


class LightSession:
    """An ONNX file that `tristream export` wrote, compiled for this processor.

    `engine` and `run` wait until it is compiled, and raise CheckpointError when that fails. So does the end of the
    process wait, without a word: OpenVINO cannot be stopped half-way.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """threads: inferences at the same time, by default one per usable core.

        Raises CheckpointError for a file that is not one of ours, is damaged, or refers to other files.
        """
        self.metadata, self.record = read_export(path)
        self.threads = threads or usable_cores()
        self._path, self._lock = path, Lock()
        size = self.metadata.preprocessing.crop
        try:
            model = openvino.Core().read_model(path)
            model.reshape([1, 3, size, size])
        except RuntimeError as error:
            raise self._unreadable(error) from None
        wanted = ("logit", "stream_weights", "tokens") if self.record.stream_names else ("logit",)
        self._outputs = tuple(
            (name, i) for name in wanted for i, output in enumerate(model.outputs) if name in output.names
        )
        if len(self._outputs) != len(wanted):
            raise CheckpointError(f"{path}: lacks an output named {' or '.join(wanted)}; export it again")
        compiler = ThreadPoolExecutor(1, "tristream-compile")
        self._ready = compiler.submit(self._compile, model)
        compiler.shutdown(wait=False)  # its thread ends with this one piece of work

    @property
    def stream_names(self) -> tuple[str, ...]:
        return self.record.stream_names

    @property
    def engine(self) -> str:
        """In words: runtime, precision, threads."""
        version = openvino.__version__.partition("-")[0]
        compiled, _ = self._ready.result()
        hint = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
        return f"OpenVINO {version}, {self.record.precision}, {self.threads} threads, inference precision {_name(hint)}"

    def run(self, pixels: Float32) -> Scores:
        found: list[dict[str, Any]] = [{} for _ in pixels]
        _, queue = self._ready.result()
        with self._lock:  # the queue's requests are shared
            for crop, outputs in zip(pixels, found, strict=True):
                queue.start_async({0: crop[None]}, outputs)
            queue.wait_all()
        logits = np.array([outputs["logit"] for outputs in found], np.float32).reshape(-1)
        if not self.stream_names:
            return Scores(logits, None)
        weights, tokens = (
            np.stack([outputs[name] for outputs in found]).astype(np.float32) for name in ("stream_weights", "tokens")
        )
        return Scores(logits, weights, tokens)

    def _compile(self, model: Any) -> tuple[Any, Any]:
        """OpenVINO's compiled model, and a queue of as many requests as there are threads."""
        settings = {**_SETTINGS, "NUM_STREAMS": self.threads, "INFERENCE_NUM_THREADS": self.threads}
        try:
            compiled = openvino.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise self._unreadable(error) from None
        queue = openvino.AsyncInferQueue(compiled, self.threads)
        queue.set_callback(self._keep)
        return compiled, queue

    def _unreadable(self, error: RuntimeError) -> CheckpointError:
        reason = str(error).strip().splitlines()[-1][:200]
        return CheckpointError(f"{self._path}: OpenVINO cannot read this model ({reason}); export it again")

    def _keep(self, request: Any, outputs: dict[str, Any]) -> None:
        """Copy what is wanted before the request is used again."""
        for name, index in self._outputs:
            outputs[name] = request.get_output_tensor(index).data[0].copy()


def _name(hint: str) -> str:
    return "f32" if "float32" in hint or hint == "f32" else hint
