"""A checkpoint as one float32 ONNX file, with all that inference needs in its metadata."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from timm.layers import set_exportable
from torch import Tensor, nn

from tristream.atomic import replaced
from tristream.data.files import file_facts
from tristream.detectors.base import Detector
from tristream.detectors.checkpoint import load_checkpoint
from tristream.detectors.low_rank import even_inputs, mix_ranks
from tristream.errors import MissingExtraError
from tristream.export.spectral import with_spectral_products
from tristream.metadata import EXPORT_KEY, METADATA_KEY, ExportRecord

try:
    import onnx
    import onnxruntime
except ImportError:
    raise MissingExtraError("exporting", "export") from None

# B images, S streams, D fusion width

OPSET = 18
"""The first with a Split into equal parts and a Resize that smooths; every runtime that we use reads it."""
INPUT = "pixels"
OUTPUTS = ("logit", "tokens", "stream_weights")


class _Outputs(nn.Module):
    """A detector as a function from pixels to those of OUTPUTS that it has."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pixels_BCHW: Tensor) -> tuple[Tensor, ...]:
        output = self.detector(pixels_BCHW)
        return tuple(x for x in (output.logits, output.tokens, output.stream_weights) if x is not None)


def export_onnx(checkpoint: Path, out: Path) -> None:
    """Write a checkpoint as float32 ONNX, for crops of the size that its preprocessing makes.

    Input: pixels f32[B, 3, H, W] in [0, 1], any B. Outputs: logit f32[B], and of a detector with streams tokens
    f32[B, S, D] and stream_weights f32[B, S]. All streams take part: stream masks are for research, on PyTorch.
    Raises CheckpointError and MissingExtraError.
    """
    with set_exportable(True):  # timm builds fixed paddings and plain attention
        loaded = load_checkpoint(checkpoint)
    size = loaded.metadata.preprocessing.crop
    module = _Outputs(loaded.detector).eval()
    with_spectral_products(module, size, size)
    mix_ranks(module)
    even_inputs(module)
    pixels = torch.zeros(2, 3, size, size)
    with torch.inference_mode():
        names = OUTPUTS[: len(module(pixels))]
    record = ExportRecord(
        stream_names=loaded.detector.stream_names,
        precision="fp32",
        source_sha256=file_facts(checkpoint, ["sha256"])["sha256"],
    )
    properties = {METADATA_KEY: loaded.metadata.model_dump_json(), EXPORT_KEY: record.model_dump_json()}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about sizes that are constant here on purpose
        traced = Path(folder) / "traced.onnx"
        # The tracing exporter: the newer one takes twenty times as long for the same graph.
        torch.onnx.export(
            module,
            (pixels,),
            str(traced),
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(names),
            dynamic_axes={name: {0: "batch"} for name in (INPUT, *names)},
        )
        write_onnx(folded(traced), out, properties)


def folded(path: Path) -> onnx.ModelProto:
    """The model in a file with everything computed that does not depend on its input, in standard operators only."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        options.intra_op_num_threads = 1
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def write_onnx(model: onnx.ModelProto, out: Path, properties: Mapping[str, str]) -> None:
    """Write a model with these metadata_props so that a reader sees the old file or the whole new one.

    What the exporter noted of this machine, such as source lines, is left out.
    """
    for part in (model, model.graph, *model.graph.node):
        part.doc_string = ""
    for part in (model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    onnx.helper.set_model_props(model, dict(properties))
    onnx.checker.check_model(model)
    with replaced(out, durable=True) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))
