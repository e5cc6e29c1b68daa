"""Which spatial backbone survives int8? Trains a lone spatial stream briefly with each, quantises it, compares scores.

usage: python tools/int8_backbones.py MANIFEST START.safetensors OUT.json [--pictures 960] [--epochs 2]

START holds tf_efficientnet_lite0 in timm names; EfficientNet-B0 takes the tensors that fit (the rest is random).
Static QDQ quantisation of onnxruntime: per-channel int8 weights, uint8 activations, calibrated on 96 training pictures.
Needs onnx, onnxruntime and onnxscript beside the `research` extra.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import timm
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.torch import load_file, save_file

from tristream.data.manifest import Manifest
from tristream.detectors.checkpoint import load_checkpoint
from tristream.environment import describe_environment
from tristream.evaluation.conditions import CONDITIONS, contexts_of
from tristream.images.decode import decode
from tristream.images.preprocess import Preprocessing
from tristream.metrics.binary import auroc
from tristream.training.config import TrainConfig
from tristream.training.trainer import train

BACKBONES = ("efficientnet_b0", "tf_efficientnet_lite0")


class Logit(torch.nn.Module):
    """The detector as a function from pixels to the logit alone."""

    def __init__(self, detector: torch.nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """pixels: f32[B, 3, 256, 256]. Returns f32[B]."""
        logits: torch.Tensor = self.detector(pixels).logits
        return logits


class Reader(CalibrationDataReader):
    """Feeds calibration crops one by one."""

    def __init__(self, crops: np.ndarray) -> None:
        self.crops = iter(crops)

    def get_next(self) -> dict[str, Any] | None:
        """The next crop as onnxruntime wants it, or None at the end."""
        crop = next(self.crops, None)
        return None if crop is None else {"pixels": crop[None]}


def fitting_tensors(backbone: str, start: Path, out: Path) -> int:
    """Write a full state of `backbone` in which every tensor of `start` that fits by name and shape is taken over."""
    state = timm.create_model(backbone, num_classes=0).state_dict()
    given = load_file(start)
    taken = {k: v for k, v in given.items() if k in state and state[k].shape == v.shape}
    save_file({**state, **taken}, out)
    return len(taken)


def crops_of(manifest: Manifest) -> np.ndarray:
    """Middle crops under the alike condition. Returns f32[N, 3, 256, 256]."""
    alike, preprocessing = CONDITIONS["alike"], Preprocessing()
    contexts = contexts_of(manifest)
    found = [
        preprocessing.crops(alike.apply(decode(manifest.file(row)).pixels, contexts[row]))
        for row in range(len(manifest))
    ]
    return np.concatenate([crops[len(crops) // 2][None] for crops in found])


def logits_of(model: Path, crops: np.ndarray) -> np.ndarray:
    """Logits of an ONNX model. Returns f32[N]."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"pixels": crop[None]})[0].reshape(-1) for crop in crops])


def measure(backbone: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train, export, quantise, compare."""
    full = Manifest.read(arguments.manifest)
    chosen = full.table.groupby("split", group_keys=False).sample(frac=1, random_state=0)
    chosen = (
        chosen[chosen["split"] == "train"].head(arguments.pictures),
        chosen[chosen["split"] == "reserved"].head(400),
    )
    small = full.where(full.table.index.isin(np.concatenate([part.index for part in chosen])))
    weights = folder / f"{backbone}.safetensors"
    taken = fitting_tensors(backbone, arguments.start, weights)
    config = TrainConfig.model_validate({
        "name": backbone, "data": arguments.manifest, "selection": {"split": "reserved"}, "input_size": 192,
        "epochs": arguments.epochs, "precision": "bf16-mixed", "accelerator": "cpu", "workers": 1, "ema_decay": 0.9,
        "detector": {"name": "multistream", "streams": ["spatial"],
                     "options": {"spatial": {"backbone": backbone, "weights": str(weights)}}},
    })  # fmt: skip
    best = train(config, folder / backbone, manifest=small)
    fp32, prepared, int8 = (folder / f"{backbone}.{kind}.onnx" for kind in ("fp32", "prepared", "int8"))
    module = Logit(load_checkpoint(best).detector).eval()
    torch.onnx.export(
        module, (torch.zeros(1, 3, 256, 256),), fp32, input_names=["pixels"], output_names=["logit"], dynamo=False
    )
    quant_pre_process(str(fp32), str(prepared))
    train_split, reserved = small.split("train"), small.split("reserved")
    calibration = crops_of(train_split.where(np.arange(len(train_split)) < 96))
    quantize_static(str(prepared), str(int8), Reader(calibration), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)  # fmt: skip
    crops, labels = crops_of(reserved), reserved.table["label"].to_numpy()
    exact, quantised = logits_of(fp32, crops), logits_of(int8, crops)
    return {
        "backbone": backbone, "tensors_taken_from_start": taken, "n": len(labels),
        "auroc_fp32": auroc(exact, labels), "auroc_int8": auroc(quantised, labels),
        "logit_std_fp32": float(exact.std()), "mean_abs_logit_change": float(np.abs(exact - quantised).mean()),
        "correlation": float(np.corrcoef(exact, quantised)[0, 1]),
        "signs_changed": float(((exact > np.median(exact)) != (quantised > np.median(exact))).mean()),
    }  # fmt: skip


def main() -> None:
    """Read the arguments, measure each backbone and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("start", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=int, default=960)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows = [measure(backbone, arguments, Path(temporary)) for backbone in BACKBONES]
    record = {"command": shlex.join(["python", *sys.argv]), "condition": "alike", "seed": 0, "rows": rows,
              "environment": describe_environment()}  # fmt: skip
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
