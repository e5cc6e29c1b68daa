"""The trainer: a killed run that is resumed ends with the same weights; what a run directory holds; what it refuses."""

from __future__ import annotations

import json
import math
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from pydantic import ValidationError

from tests.pictures import planted_manifest
from tristream.data.dataset import PictureDataset
from tristream.data.manifest import Manifest
from tristream.detectors import build_detector
from tristream.detectors.backbones import read_safetensors
from tristream.detectors.base import DetectorOutput
from tristream.detectors.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from tristream.detectors.multistream.detector import MultiStreamDetector
from tristream.errors import ConfigError, ManifestError
from tristream.training.config import TrainConfig
from tristream.training.trainer import StepReport, TrainingView, train


def tiny(folder: Path, **changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "data": str(folder / "manifest.csv"), "selection": {"condition": "delivered"}, "input_size": 32, "epochs": 2,
        "batch_size": 8, "workers": 0, "accelerator": "cpu", "ema_decay": 0.9, "save_every_steps": 3,
        "stream_dropout": 0.3,
        "preprocessing": {"short_side": 32, "crop": 32}, "objectives": {"classification": 1, "orthogonality": 0.1},
        "detector": {"name": "multistream", "streams": ["frequency", "semantic"], "image_size": 32, "width": 32,
                     "options": {"frequency": {"weights": "none"}, "semantic": {"weights": "none"}}},
    }  # fmt: skip
    return TrainConfig.model_validate({**values, **changes})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    planted_manifest(folder, {"train": 56, "validation": 12})
    return folder


KILLED_RUN = """
import os, signal, sys, yaml
from pathlib import Path
from tristream.training.config import TrainConfig
from tristream.training.trainer import train

def on_step(report):
    if report.step == 11:  # in the middle of the second epoch, two steps after the last state
        os.kill(os.getpid(), signal.SIGKILL)

train(TrainConfig.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text())), Path(sys.argv[2]), on_step=on_step)
"""


def test_a_run_killed_by_sigkill_and_resumed_ends_with_the_same_weights(pictures: Path, tmp_path: Path) -> None:
    config = tiny(pictures)
    train(config, tmp_path / "whole")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(tmp_path / "config.yaml"), str(tmp_path / "killed")], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    steps: list[int] = []
    train(config, tmp_path / "killed", resume=True, on_step=lambda report: steps.append(report.step))
    assert steps == [10, 11, 12, 13, 14], "goes on from the state after step 9"
    for name in ("best", "last", "state"):
        whole, resumed = (
            read_safetensors(tmp_path / run / "checkpoints" / f"{name}.safetensors") for run in ("whole", "killed")
        )
        assert whole.keys() == resumed.keys()
        different = [key for key in whole if not torch.equal(whole[key], resumed[key])]
        assert not different, (name, different[:5])
    logs = [(tmp_path / run / "log.jsonl").read_text() for run in ("whole", "killed")]
    assert logs[0] == logs[1]
    last = tmp_path / "whole/checkpoints/last.safetensors"
    before = last.stat()
    train(config, tmp_path / "whole", resume=True)
    assert last.stat() == before, "a finished run is left as it is"


def test_seeds_differ_and_repeat(pictures: Path, tmp_path: Path) -> None:
    def weight(run: str, seed: int) -> torch.Tensor:
        path = train(tiny(pictures, seed=seed, epochs=1), tmp_path / run)
        return read_safetensors(path)["fusion.merge.weight"]

    first = weight("a", 0)
    assert torch.equal(first, weight("b", 0))
    assert not torch.equal(first, weight("c", 1))


def test_accumulation_gives_the_weights_of_one_large_batch(pictures: Path, tmp_path: Path) -> None:
    """With a stream that has no batch norm and without dropout, the micro-batches add up to the same gradient."""
    weights = {}
    for parts in (1, 2):
        config = tiny(
            pictures, accumulation=parts, epochs=1, stream_dropout=0.0, objectives={"classification": 1},
            detector={"name": "multistream", "streams": ["semantic"], "image_size": 32, "width": 32, "dropout": 0.0,
                      "options": {"semantic": {"weights": "none"}}},
        )  # fmt: skip
        weights[parts] = read_safetensors(train(config, tmp_path / str(parts)))
    for name, tensor in weights[1].items():
        torch.testing.assert_close(weights[2][name], tensor, atol=2e-4, rtol=1e-3, msg=name)


def test_early_stop_counts_epochs_without_a_gain(pictures: Path, tmp_path: Path) -> None:
    config = tiny(
        pictures, epochs=6, optim={"learning_rate": 1e-12}, selection={"condition": "delivered", "patience": 2},
        detector={"name": "multistream", "streams": ["semantic"], "image_size": 32, "width": 32,
                  "options": {"semantic": {"weights": "none"}}},
    )  # fmt: skip
    steps: list[int] = []
    train(config, tmp_path / "run", on_step=lambda report: steps.append(report.step))
    assert len(steps) == 3 * 7, "the first epoch sets the value, two more do not better it"


def test_workers_change_nothing_but_the_speed(pictures: Path, tmp_path: Path) -> None:
    runs = [read_safetensors(train(tiny(pictures, epochs=1, workers=n), tmp_path / str(n))) for n in (0, 2)]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_the_dataset_can_be_sent_to_another_process(pictures: Path) -> None:
    config = tiny(pictures)
    view = TrainingView(config.augmentation, config.preprocessing, config.input_size, config.seed)
    manifest = Manifest.read(pictures / "manifest.csv").with_file_columns(["sha256"])
    dataset = PictureDataset(manifest, view)
    copy = pickle.loads(pickle.dumps(dataset))  # what spawned workers do
    assert (copy[0, 3][0] == dataset[0, 3][0]).all()


def test_mixed_precision_trains_on_unrounded_pixels(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[torch.dtype] = set()
    forward = MultiStreamDetector.forward

    def watched(self: MultiStreamDetector, pixels: torch.Tensor, mask: torch.Tensor | None = None) -> DetectorOutput:
        seen.add(pixels.dtype)
        return forward(self, pixels, mask)

    monkeypatch.setattr(MultiStreamDetector, "forward", watched)
    losses: list[float] = []
    config = tiny(pictures, precision="bf16-mixed", epochs=1)
    train(config, tmp_path / "run", on_step=lambda report: losses.append(report.losses["classification"]))
    assert all(math.isfinite(loss) for loss in losses)
    assert seen == {torch.float32}


def test_data_that_changed_since_the_start_are_noticed(pictures: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(pictures / "manifest.csv")
    train(tiny(pictures, epochs=1), tmp_path / "run", manifest=manifest)
    fewer = manifest.where(manifest.table.index != 3)
    with pytest.raises(ConfigError, match="training data changed"):
        train(tiny(pictures, epochs=1), tmp_path / "run", manifest=fewer, resume=True)


def test_a_config_that_cannot_run_is_refused_in_words(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="do not fill one batch"):
        train(tiny(pictures, batch_size=100), tmp_path / "a")
    with pytest.raises(ConfigError, match=r"begins with stream\.spatial"):
        train(tiny(pictures, optim={"multipliers": {"stream.spatial": 0.1}}), tmp_path / "b")
    with pytest.raises(ValidationError, match="equal parts"):
        tiny(pictures, accumulation=3)
    with pytest.raises(ValidationError, match="no loss term"):
        tiny(pictures, objectives={"classification": 0})
    with pytest.raises(ValidationError, match="teacher: no loss term looks at it"):
        tiny(pictures, teacher={"weights": "none"})
    with pytest.raises(ValidationError, match="weight: expected a number, got true"):
        tiny(pictures, objectives={"classification": True})
    probe = {"name": "univfd", "backbone": "vit_tiny_patch16_224", "weights": "none", "embedding": 8}
    with pytest.raises(ConfigError, match="stream_dropout: univfd has no streams"):
        train(tiny(pictures, detector=probe, stream_dropout=0.1), tmp_path / "c")
    assert not (tmp_path / "a").exists(), "a run that never began leaves no folder in the way"


def test_groups_in_both_splits_and_unknown_conditions_are_refused_before_anything_is_written(
    pictures: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(pictures / "manifest.csv")
    first, last = table.index[table["split"] == "train"][0], table.index[table["split"] == "validation"][0]
    straddling = table.assign(group=table.get("group", "")).astype({"group": object})
    straddling.loc[[first, last], "group"] = "one video"
    straddling.to_csv(pictures / "straddling.csv", index=False)
    with pytest.raises(ManifestError, match="1 groups straddle splits"):
        train(tiny(pictures, data=str(pictures / "straddling.csv")), tmp_path / "run")
    straddling.loc[last, "split"] = "test"
    straddling.to_csv(pictures / "straddling.csv", index=False)
    with pytest.raises(ManifestError, match="one video: test, train"):  # of a split that this run does not read
        train(tiny(pictures, data=str(pictures / "straddling.csv")), tmp_path / "run")
    with pytest.raises(ConfigError, match="rain"):
        train(tiny(pictures, selection={"condition": "rain"}), tmp_path / "run")
    with pytest.raises(ValidationError, match="'train' is trained on"):
        tiny(pictures, selection={"split": "train"})
    assert not (tmp_path / "run").exists()


def test_run_directory_holds_what_is_needed_to_repeat_it(pictures: Path, tmp_path: Path) -> None:
    best = train(tiny(pictures, epochs=1), tmp_path / "run", command="tristream train -c x.yaml")
    assert TrainConfig.model_validate(yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())) == tiny(
        pictures, epochs=1
    )
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["command"] == "tristream train -c x.yaml"
    assert "torch" in environment["packages"]
    entries = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert any("selection_auroc" in entry and entry["n"] == 12 for entry in entries)
    metadata = read_metadata(best)
    assert metadata.preprocessing.crop == 32
    assert len(metadata.training_data_sha256) == 64
    assert (len(metadata.training_sketch), len(metadata.selection_sketch)) == (56, 12)
    assert load_checkpoint(best).detector.stream_names == ("frequency", "semantic")


def test_fine_tuning_starts_from_the_checkpoint(pictures: Path, tmp_path: Path) -> None:
    first = train(tiny(pictures, epochs=1), tmp_path / "first")
    tuned = train(tiny(pictures, epochs=1, init_from=str(first), optim={"learning_rate": 1e-9}), tmp_path / "tuned")
    before, after = read_safetensors(first), read_safetensors(tuned)
    torch.testing.assert_close(after["fusion.merge.weight"], before["fusion.merge.weight"], atol=1e-5, rtol=0)
    loaded = load_checkpoint(first)
    far_away = loaded.metadata.model_copy(update={"training_sketch": ("0" * 16,)})
    save_checkpoint(tmp_path / "far-away.safetensors", loaded.detector, far_away)
    grandchild = train(tiny(pictures, epochs=1, init_from=str(tmp_path / "far-away.safetensors")), tmp_path / "second")
    known = read_metadata(grandchild).training_sketch
    assert known == ("0" * 16, *read_metadata(tuned).training_sketch), "of its own pictures and of its parent's"
    assert read_metadata(tuned).preprocessing == read_metadata(first).preprocessing


def test_distillation_pulls_the_stream_towards_the_teacher(pictures: Path, tmp_path: Path) -> None:
    teacher = {"backbone": "vit_tiny_patch16_224", "weights": teacher_file(tmp_path), "blocks": 2}
    semantic = {
        "weights": "none",
        "reduction": {"blocks": 2, "attention_rank": 64, "mlp_rank": 64},
        "pooling": "tokens",
    }
    detector = {"streams": ["semantic"], "image_size": 32, "width": 32, "options": {"semantic": semantic}}
    reports: list[StepReport] = []
    config = tiny(
        pictures, epochs=4, objectives={"distillation": 1.0}, detector=detector, teacher=teacher,
        optim={"learning_rate": 3e-3},
    )  # fmt: skip
    train(config, tmp_path / "run", on_step=reports.append)
    losses = [report.losses["distillation"] for report in reports]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    weights = read_safetensors(tmp_path / "run/checkpoints/last.safetensors")
    assert not any("teacher" in name for name in weights)


def test_a_student_of_another_width_than_the_teacher_is_refused(pictures: Path, tmp_path: Path) -> None:
    teacher = {"backbone": "vit_small_patch16_224", "weights": "none"}
    with pytest.raises(ConfigError, match="no vision transformer of the teacher's width 384"):
        train(tiny(pictures, objectives={"distillation": 1.0}, teacher=teacher), tmp_path / "run")
    shallow = {"backbone": "vit_tiny_patch16_224", "weights": "none", "blocks": 2}
    with pytest.raises(ConfigError, match="has 12 blocks, the teacher 2"):
        train(tiny(pictures, objectives={"distillation": 1.0}, teacher=shallow), tmp_path / "run")


def teacher_file(folder: Path) -> str:
    """A small transformer with random weights, large enough for its blocks to differ."""
    from safetensors.torch import save_file

    from tristream.detectors.backbones import create_backbone

    torch.manual_seed(3)
    teacher = create_backbone("vit_tiny_patch16_224", "none", image_size=32)
    state = {name: value * 4 if "mlp" in name else value for name, value in teacher.state_dict().items()}
    save_file(state, folder / "teacher.safetensors")
    return str(folder / "teacher.safetensors")


def test_frozen_modules_keep_their_weights_and_their_statistics(pictures: Path, tmp_path: Path) -> None:
    config = tiny(pictures, epochs=1, frozen=["streams.frequency"], ema_decay=0.0)
    first = train(config, tmp_path / "run")
    unlearnt = read_safetensors(first)
    torch.manual_seed(config.seed)
    start = build_detector("multistream", {k: v for k, v in config.detector.items() if k != "name"}).state_dict()
    same = {name: torch.equal(value.float(), start[name].float()) for name, value in unlearnt.items()}
    assert all(kept for name, kept in same.items() if name.startswith("streams.frequency."))
    assert not all(kept for name, kept in same.items() if name.startswith("streams.semantic."))
    with pytest.raises(ConfigError, match="no module"):
        train(tiny(pictures, frozen=["streams.audio"]), tmp_path / "other")


def test_a_folder_with_a_run_is_not_overwritten(pictures: Path, tmp_path: Path) -> None:
    train(tiny(pictures, epochs=1), tmp_path / "run")
    with pytest.raises(ConfigError, match="--resume"):
        train(tiny(pictures, epochs=1), tmp_path / "run")
    with pytest.raises(ConfigError, match="another config"):
        train(tiny(pictures, epochs=3), tmp_path / "run", resume=True)


def test_one_class_is_refused(pictures: Path, tmp_path: Path) -> None:
    manifest = planted_manifest(tmp_path, {"train": 20, "validation": 4})
    only_real = manifest.where((manifest.table["label"] == 0).to_numpy(bool))
    with pytest.raises(ManifestError, match="real and fake"):
        train(tiny(pictures), tmp_path / "run", manifest=only_real)
