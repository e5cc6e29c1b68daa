"""Static int8 quantisation of an exported detector (QDQ), with ranges measured on real pictures.

What quantises badly and costs little is computed in float32: the spectral mask, the spatial stream with its depthwise
convolutions, the attention products and the fusion. Their weights are stored in half precision.
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
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from tristream.errors import UsageError
from tristream.export.onnx import INPUT, write_onnx
from tristream.metadata import EXPORT_KEY, METADATA_KEY, ExportRecord
from tristream.runtime.onnx_file import read_properties

Float32 = npt.NDArray[np.float32]
Progress = Callable[[int], None]

OPERATORS = ("Conv", "Gemm", "MatMul")
KEPT_IN_FLOAT32 = ("/mask/", "/fusion/", "/spatial/", "/attn/proj/", "/patch_embed/")
"""Parts of the names of nodes that are not quantised. Depthwise convolutions and what attention writes move the logits
most in int8 and gain little speed by it; the model card says what is left of the difference."""

LARGE = 16 << 10
"""Bytes from which a float32 constant is stored in half precision."""


class _Crops(CalibrationDataReader):  # type: ignore[misc]
    """Feeds crops to the quantiser one at a time, and counts them."""

    def __init__(self, crops: Iterable[Float32], progress: Progress | None) -> None:
        self._crops: Iterator[Float32] = iter(crops)
        self._progress = progress
        self.count = 0

    def get_next(self) -> dict[str, Float32] | None:
        crop = next(self._crops, None)
        if crop is None:
            return None
        self.count += 1
        if self._progress:
            self._progress(self.count)
        return {INPUT: crop[None]}


def quantise(fp32: Path, out: Path, crops: Iterable[Float32], words: str, progress: Progress | None = None) -> None:
    """Write the int8 version of a file that `export_onnx` wrote.

    crops: f32[3, H, W] in [0, 1], preprocessed as for scoring, a few hundred of the pictures that training saw;
    words: which pictures these are, for the record. Raises CheckpointError, and UsageError without any crop.
    """
    properties = read_properties(fp32)
    record = ExportRecord.model_validate_json(properties[EXPORT_KEY])
    names = [node.name for node in onnx.load(str(fp32)).graph.node]
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
                nodes_to_exclude=[name for name in names if any(part in name for part in KEPT_IN_FLOAT32)],
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
        kept = {key: properties[key] for key in (METADATA_KEY, EXPORT_KEY)}
        write_onnx(_halved(onnx.load(str(quantised))), out, kept)


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


def _no_advice(record: logging.LogRecord) -> bool:
    """Drops the quantiser's advice to run its own preprocessing: the exported graph is folded already."""
    return "pre-processing" not in record.getMessage()
