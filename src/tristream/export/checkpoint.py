"""From a checkpoint to an exported file that was tried on pictures of a manifest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tristream.data.manifest import Manifest
from tristream.data.sample import shuffled
from tristream.detectors.checkpoint import read_metadata
from tristream.errors import UsageError
from tristream.evaluation.conditions import CONDITIONS, contexts_of
from tristream.export.onnx import export_onnx
from tristream.export.parity import Parity, compare_with_checkpoint
from tristream.export.quantise import quantise
from tristream.images.decode import decode
from tristream.images.preprocess import Preprocessing
from tristream.runtime.engines import shipped_weights
from tristream.typing import Float32, Int64, Progress

COMPARED = 100
"""Crops on which the result is compared with the checkpoint, at most."""


def export_checkpoint(
    checkpoint: Path | None,
    out: Path,
    precision: str,
    data: Path | None,
    split: str,
    count: int,
    *,
    progress: Progress | None = None,
) -> Parity | None:
    """Write `out` in "fp32" or "int8" and compare it with the checkpoint (None: the shipped one).

    data, split, count: pictures of the split, drawn by a hash of theirs; they set the ranges of int8, half of them as
    delivered and half re-encoded. Others of the same split, up to COMPARED or half of it, serve for the comparison;
    without `data` there is none. Raises UsageError, CheckpointError, ManifestError, ImageError.
    """
    source = checkpoint or shipped_weights()
    if out.suffix != ".onnx":
        raise UsageError(f"{out}: an export is an .onnx file; name it so")
    if data is None and precision == "int8":
        raise UsageError(
            "int8 needs pictures to measure ranges on: name a manifest with --data, or use --precision fp32"
        )
    preprocessing = read_metadata(source).preprocessing
    manifest = None if data is None else Manifest.read(data).split(split).with_file_columns(["sha256"])
    size = 0 if manifest is None else len(manifest)
    total = 0
    if precision == "fp32" or manifest is None:
        export_onnx(source, out)
    else:
        total = min(count, size - min(COMPARED, size // 2))
        crops = _crops(manifest, preprocessing, _drawn(manifest)[:total])
        words = f"pictures of the split '{split}', half of them re-encoded alike"
        with tempfile.TemporaryDirectory(dir=out.parent if out.parent.is_dir() else None) as folder:
            fp32 = Path(folder) / "fp32.onnx"
            export_onnx(source, fp32)
            quantise(fp32, out, crops, words, progress and (lambda done: progress(done, total)))
    if manifest is None:
        return None
    others = _drawn(manifest)[total : total + COMPARED]
    return compare_with_checkpoint(out, source, list(_crops(manifest, preprocessing, others)))


def _drawn(manifest: Manifest) -> Int64:
    """i64[N], the rows in an order as good as random, which follows from the pictures."""
    return np.argsort(shuffled(manifest.table["sha256"], "export").to_numpy(str), kind="stable")


def _crops(manifest: Manifest, preprocessing: Preprocessing, rows: Int64) -> Iterator[Float32]:
    """The middle crop of each picture, f32[3, H, W] in [0, 1]; every second picture is re-encoded before."""
    contexts = contexts_of(manifest)
    for place, row in enumerate(rows):
        pixels = decode(manifest.file(int(row))).pixels
        condition = CONDITIONS["alike" if place % 2 else "delivered"]
        crops = preprocessing.crops(condition.apply(pixels, contexts[row]))
        yield crops[len(crops) // 2]
