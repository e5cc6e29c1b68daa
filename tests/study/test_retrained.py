"""Every subset of the streams is trained, calibrated and evaluated; a finished ablation is not trained again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import save_file
from torch import Tensor

from tests.pictures import planted_manifest
from tristream.detectors.base import Embedder, build_detector
from tristream.detectors.multistream.streams import Stream
from tristream.errors import ConfigError, UsageError
from tristream.evaluation.checkpoint import PictureSet
from tristream.study.retrained import RESULT, RetrainedAblation, ablate_retrained, by_streams, of_streams
from tristream.training.config import TrainConfig


def tiny(folder: Path, **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "name": "tiny", "seed": 3, "data": str(folder / "manifest.csv"), "selection": {"condition": "delivered"},
        "input_size": 32, "epochs": 1, "batch_size": 8, "workers": 0, "accelerator": "cpu", "ema_decay": 0.5,
        "preprocessing": {"short_side": 32, "crop": 32}, "objectives": {"classification": 1, "orthogonality": 0.1},
        "detector": {"name": "multistream", "streams": ["frequency", "semantic"], "image_size": 32, "width": 32,
                     "options": {"frequency": {"weights": "none"}, "semantic": {"weights": "none"}}},
    }  # fmt: skip
    return TrainConfig.model_validate({**values, **changes})


def test_each_subset_is_a_training_of_its_own_and_streams_share_the_auroc(tmp_path: Path) -> None:
    planted_manifest(tmp_path, {"train": 16, "validation": 8, "reserved": 12, "test": 24}, strength=40)
    pictures, reserved = (PictureSet(tmp_path / "manifest.csv", split) for split in ("test", "reserved"))
    steps: list[str] = []
    out = tmp_path / "out"
    result = ablate_retrained(
        tiny(tmp_path), pictures, out, reserved, device="cpu", on_step=lambda streams, _: steps.append(streams)
    )
    assert list(result.folders) == ["frequency", "semantic", "frequency+semantic"]
    assert list(dict.fromkeys(steps)) == list(result.folders)
    assert RetrainedAblation.model_validate_json((out / RESULT).read_text()) == result
    digests = set()
    for name, folder in result.folders.items():
        record = json.loads((out / folder / "record.json").read_text())
        assert record["detector"]["streams"] == name.split("+")
        assert record["detector"]["seed"] == 3
        assert record["checkpoint"]["name"] == f"tiny-{name}"
        digests.add(record["checkpoint"]["sha256"])
    assert len(digests) == 3
    rows = by_streams(out, result, "delivered")
    auroc = {streams: c.overall.figures["auroc"].value for streams, c in rows.items()}
    shares = {stream: figure.value for stream, figure in result.stream_shares["delivered"].items()}
    assert sum(shares.values()) == pytest.approx(auroc["frequency", "semantic"] - 0.5)
    trained = len(steps)
    assert ablate_retrained(tiny(tmp_path), pictures, out, reserved, device="cpu",
                            on_step=lambda streams, _: steps.append(streams)) == result  # fmt: skip
    assert len(steps) == trained, "nothing is trained again"


def test_frozen_streams_see_each_training_picture_once_for_all_subsets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted_manifest(tmp_path, {"train": 16, "validation": 8, "test": 24}, strength=40)
    seen: dict[str, int] = {"FrequencyStream": 0, "SemanticStream": 0}
    embed = Stream.embedder

    def counted(stream: Stream) -> Embedder:
        embedder, name = embed(stream), type(stream).__name__

        def run(pixels: Tensor) -> Tensor:
            seen[name] += len(pixels) if pixels.shape[-1] == 48 else 0  # training crops; selection has its own size
            return embedder.embed(pixels)

        return replace(embedder, embed=run)

    monkeypatch.setattr(Stream, "embedder", counted)
    whole = tiny(tmp_path).detector
    weights = {"weights": str(tmp_path / "pretrained.safetensors")}
    save_file(
        build_detector("multistream", {key: value for key, value in whole.items() if key != "name"}).state_dict(),
        weights["weights"],
    )
    config = tiny(
        tmp_path, input_size=48, objectives={"classification": 1}, embedded_copies=2,
        detector={**whole, "options": {"frequency": weights, "semantic": weights}},
        frozen=["streams.frequency.backbone", "streams.frequency.mask", "streams.semantic.backbone"],
    )  # fmt: skip
    ablate_retrained(config, PictureSet(tmp_path / "manifest.csv", "test"), tmp_path / "out", None, device="cpu")
    assert seen == {"FrequencyStream": 2 * 16, "SemanticStream": 2 * 16}


def test_a_subset_leaves_out_what_needs_the_missing_stream(tmp_path: Path) -> None:
    config = tiny(
        tmp_path, objectives={"classification": 1, "distillation": {"weight": 1, "options": {"stream": "semantic"}}},
        teacher={"weights": "none"}, frozen=["streams.frequency.backbone", "streams.semantic"],
    )  # fmt: skip
    alone = of_streams(config, ("frequency",))
    assert alone.frozen == ("streams.frequency.backbone",)
    assert (list(alone.objectives), alone.teacher) == (["classification"], None)
    assert alone.detector["streams"] == ["frequency"]
    kept = of_streams(config, ("semantic",))
    assert (list(kept.objectives), kept.teacher) == (["classification", "distillation"], config.teacher)
    assert pd.Series([alone.name, kept.name]).is_unique
    faster = tiny(tmp_path, optim={"multipliers": {"streams.semantic": 0.1, "fusion": 2.0}})
    assert of_streams(faster, ("frequency",)).optim.multipliers == {"fusion": 2.0}
    only = tiny(tmp_path, objectives={"distillation": 1}, teacher={"weights": "none"})
    with pytest.raises(ConfigError, match="retraining frequency alone"):
        of_streams(only, ("frequency",))


def test_a_stream_of_somebody_elses_is_left_out_as_the_others_are(tmp_path: Path) -> None:
    detector = {"name": "multistream", "streams": ["spatial", "noise"], "image_size": 32, "width": 32}
    config = tiny(
        tmp_path, detector=detector, frozen=["streams.spatial.backbone", "streams.noise.backbone"],
        optim={"multipliers": {"streams.noise": 0.1, "fusion": 2.0}},
    )  # fmt: skip
    alone = of_streams(config, ("spatial",))
    assert alone.frozen == ("streams.spatial.backbone",)
    assert alone.optim.multipliers == {"fusion": 2.0}


def test_only_a_new_detector_with_streams_can_be_retrained(tmp_path: Path) -> None:
    pictures = PictureSet(tmp_path / "manifest.csv")
    for config in (tiny(tmp_path, detector={"name": "univfd"}), tiny(tmp_path, init_from=tmp_path / "a.safetensors")):
        with pytest.raises(UsageError, match="a new multistream detector"):
            ablate_retrained(config, pictures, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()
