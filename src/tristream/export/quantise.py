"""Static int8 quantisation of an exported detector (QDQ), with ranges measured on real pictures.

What quantises badly is computed in float32: the spectral mask, streams with depthwise convolutions, the fusion, the
blocks of transformers. The weights of the blocks are stored in int8 all the same, all others in half precision.
onnxruntime's quantiser is used: it needs nothing beyond the export extra and writes operators that every runtime reads.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from tristream.errors import UsageError
from tristream.export.onnx import INPUT, OUTPUTS, write_onnx
from tristream.metadata import EXPORT_KEY, METADATA_KEY, ExportRecord
from tristream.runtime.onnx_file import read_properties
from tristream.typing import Float32

OPERATORS = ("Conv", "Gemm", "MatMul")
BLOCKS = "/blocks/"
"""Part of the names of a transformer's blocks. Their activations have outliers that eight bits cannot hold."""
KEPT_IN_FLOAT32 = ("/mask/", "/fusion/", "/patch_embed/", "/project/", BLOCKS)
"""Parts of the names of nodes whose activations are not quantised. So are those of streams with depthwise convolutions:
these move the logits most in int8 and gain little speed by it; the model card says what is left of the difference."""

LARGE = 16 << 10
"""Bytes from which a float32 constant is stored in half precision."""


CENTRED_ON = 100
"""Crops on which the mean change of the logit is measured and taken back."""


class _Crops(CalibrationDataReader):  # type: ignore[misc]
    """Feeds crops to the quantiser one at a time, and counts them."""

    def __init__(self, crops: Iterable[Float32], progress: Callable[[int], None] | None) -> None:
        self._crops: Iterator[Float32] = iter(crops)
        self._progress = progress
        self.count = 0
        self.first: list[Float32] = []
        """As many as `CENTRED_ON`, to measure with."""

    def get_next(self) -> dict[str, Float32] | None:
        crop = next(self._crops, None)
        if crop is None:
            return None
        self.count += 1
        if len(self.first) < CENTRED_ON:
            self.first.append(crop)
        if self._progress:
            self._progress(self.count)
        return {INPUT: crop[None]}


def quantise(
    fp32: Path, out: Path, crops: Iterable[Float32], words: str, progress: Callable[[int], None] | None = None
) -> None:
    """Write the int8 version of a file that `export_onnx` wrote.

    crops: f32[3, H, W] in [0, 1], preprocessed as for scoring, a few hundred of the pictures that training saw;
    words: which pictures these are, for the record. Raises CheckpointError, and UsageError without any crop.
    """
    properties = read_properties(fp32)
    record = ExportRecord.model_validate_json(properties[EXPORT_KEY])
    nodes = onnx.load(str(fp32)).graph.node
    kept = (*KEPT_IN_FLOAT32, *{_stream(node.name) for node in nodes if _is_depthwise(node)})
    reader = _Crops(crops, progress)
    with tempfile.TemporaryDirectory() as folder:
        quantised = Path(folder) / "int8.onnx"
        logging.getLogger().addFilter(_no_advice)
        try:
            quantize_static(
                str(fp32),
                str(quantised),
                reader,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[node.name for node in nodes if any(part in node.name for part in kept)],
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={
                    "MatMulConstBOnly": True,  # products of activations, as in attention, stay in float32
                    "OpTypesToExcludeOutputQuantization": list(OPERATORS),  # what is added up stays in float32
                },
            )
        finally:
            logging.getLogger().removeFilter(_no_advice)
        if not reader.count:
            raise UsageError("no picture to quantise with; name a manifest with --data")
        described = record.model_copy(
            update={"precision": "int8", "quantisation": f"static int8 (QDQ), ranges from {reader.count} {words}"}
        )
        properties[EXPORT_KEY] = described.model_dump_json()
        metadata = {key: properties[key] for key in (METADATA_KEY, EXPORT_KEY)}
        rounded = _halved(_with_int8_blocks(onnx.load(str(quantised))))
        write_onnx(_centred(rounded, fp32, reader.first), out, metadata)


def _is_depthwise(node: onnx.NodeProto) -> bool:
    return node.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in node.attribute)


def _stream(name: str) -> str:
    """What the names of a stream's nodes begin with: /detector/spatial/ of /detector/spatial/blocks/Conv."""
    return "/".join(name.split("/")[:3]) + "/"


def _with_int8_blocks(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weight matrices of transformer blocks in int8; they are products in float32 all the same.

    One scale for each output: one for each input would take a fifth of the speed, and `even_inputs` made inputs alike.
    """
    graph = model.graph
    factors = {node.input[1] for node in graph.node if node.op_type == "MatMul" and BLOCKS in node.name}
    restored = []
    for tensor in [tensor for tensor in graph.initializer if tensor.name in factors]:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.nbytes < LARGE:
            continue
        codes, scales = _coded(values)
        full, zero = tensor.name, np.zeros(len(scales), np.int8)
        tensor.CopyFrom(onnx.numpy_helper.from_array(codes, f"{full}_int8"))
        graph.initializer.append(onnx.numpy_helper.from_array(scales, f"{full}_scale"))
        graph.initializer.append(onnx.numpy_helper.from_array(zero, f"{full}_zero"))
        inputs = [f"{full}_{part}" for part in ("int8", "scale", "zero")]
        restored.append(onnx.helper.make_node("DequantizeLinear", inputs, [full], f"{full}_restored", axis=1))
    nodes = [*restored, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _coded(values: Float32) -> tuple[npt.NDArray[np.int8], Float32]:
    """A matrix in int8 with one scale for each column: codes and scales."""
    scales = np.maximum(np.abs(values).max(axis=0), np.finfo(np.float32).tiny) / 127
    return np.round(values / scales).astype(np.int8), scales.astype(np.float32)


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the large float32 constants in half precision, cast back to float32 when the model is loaded.

    The shipped checkpoint holds weights in half precision, too. The constants of the spectral mask stay as they are.
    """
    graph = model.graph
    spectral = {name for node in graph.node if "/mask/" in node.name for name in node.input}
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.raw_data) >= LARGE and tensor.name not in spectral:
            full, half = tensor.name, f"{tensor.name}_half"
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, half))
            casts.append(onnx.helper.make_node("Cast", [half], [full], f"{full}_cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _centred(model: onnx.ModelProto, fp32: Path, crops: list[Float32]) -> onnx.ModelProto:
    """Take back by how much rounding moves the logits of all pictures alike."""
    change = float(np.mean(_logits(model.SerializeToString(), crops) - _logits(fp32.read_bytes(), crops)))
    (last,) = (node for node in model.graph.node if OUTPUTS[0] in node.output)
    last.output[list(last.output).index(OUTPUTS[0])] = "logit_rounded"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(-change, np.float32), "logit_centre"))
    inputs = ["logit_rounded", "logit_centre"]
    model.graph.node.append(onnx.helper.make_node("Add", inputs, [OUTPUTS[0]], "centre"))
    return model


def _logits(model: bytes, crops: list[Float32]) -> Float32:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits: list[Float32] = [session.run([OUTPUTS[0]], {INPUT: crop[None]})[0] for crop in crops]
    return np.concatenate(logits)


def _no_advice(record: logging.LogRecord) -> bool:
    """Drops the quantiser's advice to run its own preprocessing: the exported graph is folded already."""
    return "pre-processing" not in record.getMessage()
