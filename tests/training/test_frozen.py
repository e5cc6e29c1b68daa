"""Embeddings that are kept: a probe on them learns what one learns that embeds in every step, also after a kill."""

from __future__ import annotations

import dataclasses
import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.detectors.conftest import SMALL, small_detector
from tests.pictures import planted_manifest
from tristream.detectors.univfd import UnivFD
from tristream.errors import ConfigError
from tristream.runtime.torch_session import TorchSession
from tristream.training.averaging import AveragedWeights
from tristream.training.config import TrainConfig
from tristream.training.frozen import ProbeSession, digest_of
from tristream.training.trainer import train


def tiny(folder: Path, **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "data": str(folder / "manifest.csv"), "selection": {"condition": "delivered"}, "input_size": 32, "epochs": 3,
        "batch_size": 8, "workers": 0, "accelerator": "cpu", "ema_decay": 0.9, "save_every_steps": 2,
        "preprocessing": {"short_side": 32, "crop": 32}, "optim": {"learning_rate": 1e-2},
        "detector": {"name": "univfd", **SMALL["univfd"], "image_size": 32}, "embedded_copies": 3,
    }  # fmt: skip
    return TrainConfig.model_validate({**values, **changes})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    planted_manifest(folder, {"train": 32, "validation": 10})
    return folder


def classifier(run: Path) -> torch.Tensor:
    return load_file(run / "checkpoints/last.safetensors")["classifier.weight"]


def test_a_probe_on_kept_embeddings_is_the_one_that_embeds_in_every_step(pictures: Path, tmp_path: Path) -> None:
    for copies in (0, 3, 1):
        train(tiny(pictures, embedded_copies=copies), tmp_path / str(copies))
    every_step, kept, one_copy = (classifier(tmp_path / str(copies)) for copies in (0, 3, 1))
    torch.testing.assert_close(kept, every_step, atol=2e-3, rtol=0)  # half precision of what is kept
    assert (one_copy - every_step).abs().max() > 5e-3, "one copy for all epochs is another training set"


def test_the_tower_runs_once_per_picture_and_copy(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []
    embed = UnivFD._embed
    monkeypatch.setattr(UnivFD, "_embed", lambda self, pixels: (seen.append(len(pixels)), embed(self, pixels))[1])
    with caplog.at_level(logging.INFO, "tristream"):
        train(tiny(pictures, epochs=6), tmp_path / "run")
    assert sum(seen) == 3 * 32 + 10, "three copies of 32 training pictures, 10 selection pictures once"
    assert "embedding copy 3 of 3: 32 of 32" in caplog.text
    (tmp_path / "again").mkdir()
    (tmp_path / "run" / "embeddings").rename(tmp_path / "again" / "embeddings")
    seen.clear()
    train(tiny(pictures, epochs=6), tmp_path / "again")
    assert sum(seen) == 10, "what is kept is read"
    assert torch.equal(classifier(tmp_path / "again"), classifier(tmp_path / "run"))


@pytest.mark.parametrize("change", [{"seed": 1}, {"augmentation": {"flip": 0.0}}, {"input_size": 48}])
def test_embeddings_of_other_views_or_weights_are_not_taken(
    change: dict[str, object], pictures: Path, tmp_path: Path
) -> None:
    train(tiny(pictures, epochs=1, embedded_copies=1), tmp_path / "first")
    (tmp_path / "other").mkdir()
    kept = tmp_path / "other" / "embeddings"
    (tmp_path / "first" / "embeddings").rename(kept)
    before = load_file(kept / "clip-copy-0.safetensors")["embeddings"]
    train(tiny(pictures, epochs=1, embedded_copies=1, **change), tmp_path / "other")
    assert not torch.equal(load_file(kept / "clip-copy-0.safetensors")["embeddings"], before)


def test_an_embedders_digest_sees_its_weights_and_options_and_nothing_else() -> None:
    detector = small_detector("multistream")

    def digests() -> list[str]:
        return [digest_of(detector.embedders()[name]) for name in ("frequency", "semantic")]

    before = digests()
    with torch.no_grad():
        detector.fusion.classifier[2].weight.add_(1)
        detector.streams["frequency"].project.weight.add_(1)
    assert digests() == before
    with torch.no_grad():
        detector.streams["frequency"].mask.component[0, 0, 0] += 1e-3
    changed = digests()
    assert changed[0] != before[0]
    assert changed[1] == before[1]
    semantic = detector.embedders()["semantic"]
    assert digest_of(dataclasses.replace(semantic, options="others")) != before[1]


KILLED_RUN = """
import os, signal, sys, yaml
from pathlib import Path
from tristream.training.config import TrainConfig
from tristream.training.trainer import train

def on_step(report):
    if report.step == 7:  # in the second epoch, one step after the last state
        os.kill(os.getpid(), signal.SIGKILL)

train(TrainConfig.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text())), Path(sys.argv[2]), on_step=on_step)
"""


@pytest.mark.parametrize("are_kept", [True, False])
def test_a_killed_probe_goes_on_as_if_it_had_not_been(are_kept: bool, pictures: Path, tmp_path: Path) -> None:
    """Also where its embeddings have to be made anew."""
    config = tiny(pictures)
    train(config, tmp_path / "whole")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    arguments = [str(tmp_path / "config.yaml"), str(tmp_path / "killed")]
    killed = subprocess.run([sys.executable, "-c", KILLED_RUN, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    if not are_kept:
        for file in (tmp_path / "killed" / "embeddings").iterdir():
            file.unlink()
    steps: list[int] = []
    train(config, tmp_path / "killed", resume=True, on_step=lambda report: steps.append(report.step))
    assert steps == [7, 8, 9, 10, 11, 12]
    for name in ("best", "last", "state"):
        whole, resumed = (load_file(tmp_path / run / f"checkpoints/{name}.safetensors") for run in ("whole", "killed"))
        assert all(torch.equal(whole[key], resumed[key]) for key in whole), name


def test_a_detector_without_a_frozen_part_has_no_embeddings(pictures: Path, tmp_path: Path) -> None:
    for name in ("cnndetect", "multistream"):
        with pytest.raises(ConfigError, match=f"{name} embeds with what it trains"):
            train(tiny(pictures, detector={"name": name, **SMALL[name]}), tmp_path / name)


def test_streams_with_frozen_backbones_learn_from_kept_embeddings_what_they_learn_from_pixels(
    pictures: Path, tmp_path: Path
) -> None:
    streams = ("frequency", "semantic")
    detector = {"name": "multistream", **SMALL["multistream"], "streams": streams, "image_size": 32, "dropout": 0.0}
    frozen = ["streams.frequency.backbone", "streams.frequency.mask", "streams.semantic.backbone"]
    for copies in (0, 3):
        train(
            tiny(pictures, detector=detector, frozen=frozen, embedded_copies=copies, optim={"learning_rate": 1e-3}),
            tmp_path / str(copies),
        )
    pixels, kept = (load_file(tmp_path / run / "checkpoints/last.safetensors") for run in ("0", "3"))
    for name in ("streams.semantic.project.weight", "fusion.classifier.2.weight"):
        torch.testing.assert_close(kept[name], pixels[name], atol=2e-3, rtol=2e-2)


def test_a_session_that_remembers_scores_as_one_that_does_not() -> None:
    detector = small_detector("univfd")
    crops = torch.rand(6, 3, 64, 64).numpy()
    remembering, plain = ProbeSession(detector), TorchSession(detector)
    remembering.run(crops[:4])
    with torch.no_grad():
        detector.classifier.weight.normal_()
    found, expected = (session.run(crops[[5, 0, 0, 3]]).logits_B for session in (remembering, plain))
    torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(expected), atol=1e-5, rtol=1e-4)
    assert len(remembering._seen) == 5


def test_averages_move_what_is_trained_and_nothing_else() -> None:
    detector = small_detector("univfd")
    averaged = AveragedWeights(detector, decay=0.9, use_warmup=True)
    frozen = averaged.module.tower.norm.weight.clone()
    with torch.no_grad():
        detector.classifier.weight.add_(1)
        detector.tower.norm.weight.add_(1)  # does not happen; if it did, the average would not follow
    before = averaged.module.classifier.weight.clone()
    averaged.update(detector, step=1000)
    torch.testing.assert_close(averaged.module.classifier.weight, before + 0.1, atol=1e-6, rtol=0)
    assert torch.equal(averaged.module.tower.norm.weight, frozen)


def test_averages_are_timms_where_everything_is_trained() -> None:
    from timm.utils import ModelEmaV3

    detector = small_detector("cnndetect")
    ours, timms = (kind(detector, decay=0.9, use_warmup=True) for kind in (AveragedWeights, ModelEmaV3))
    for step in range(4):
        with torch.no_grad():
            for tensor in detector.state_dict().values():
                tensor.copy_(torch.rand(tensor.shape) * 3)
        ours.update(detector, step=step)
        timms.update(detector, step=step)
    states = (ours.module.state_dict(), timms.module.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
