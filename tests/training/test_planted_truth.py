"""A detector finds an artefact planted in one frequency band of synthetic pictures, and nothing where it is removed."""

from __future__ import annotations

from pathlib import Path

from tests.pictures import planted_manifest, without_band
from tristream.detectors.checkpoint import load_checkpoint
from tristream.evaluation.conditions import Condition
from tristream.evaluation.runner import score_manifest
from tristream.metrics.binary import auroc
from tristream.runtime.torch_session import TorchSession
from tristream.training.config import TrainConfig
from tristream.training.trainer import train


def test_frequency_stream_finds_the_planted_band_and_nothing_without_it(tmp_path: Path) -> None:
    manifest = planted_manifest(tmp_path, {"train": 480, "validation": 60, "test": 400})
    config = TrainConfig.model_validate({
        "data": tmp_path / "manifest.csv", "selection": {"condition": "delivered"}, "input_size": 64, "epochs": 3,
        "batch_size": 24, "workers": 0, "accelerator": "cpu", "ema_decay": 0.9, "optim": {"learning_rate": 1e-3},
        "preprocessing": {"short_side": 64, "crop": 64},
        "augmentation": {"scale": [1, 1], "encode": 0, "blur": 0, "noise": 0},
        "detector": {"name": "multistream", "streams": ["frequency"], "image_size": 64,
                     "options": {"frequency": {"weights": "none"}}},
    })  # fmt: skip
    best = load_checkpoint(train(config, tmp_path / "run"))
    session, test = TorchSession(best.detector), manifest.split("test").with_file_columns(["sha256"])
    values = {}
    for condition in (
        Condition("as drawn", "", lambda p, _: p),
        Condition("band removed", "", lambda p, _: without_band(p)),
    ):
        table = score_manifest(session, best.metadata.preprocessing, test, condition)
        values[condition.name] = auroc(table["logit"].to_numpy(), table["label"].to_numpy())
    assert values["as drawn"] > 0.95, values
    assert 0.4 <= values["band removed"] <= 0.6, values
