"""Every shipped config is a valid training config whose detector can be named; a protocol is laid over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tristream.config import load_config, validate
from tristream.detectors import DETECTORS
from tristream.training.config import TrainConfig

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
BASELINES = ("cnndetect", "xception", "f3net", "univfd")
CPU = FOLDER / "protocols" / "cpu.yaml"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_is_valid(path: Path) -> None:
    config = load_config(TrainConfig, path, ["data=manifest.csv"])
    options = dict(config.detector)
    detector = DETECTORS[options.pop("name")]
    validate(detector.config_class, options, str(path))


def test_the_baselines_and_the_seeds_protocols_have_a_config() -> None:
    assert {*BASELINES, "default", "ffpp", "cross_generator", "seed_mix"} <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize("name", [*BASELINES, "default"])
def test_the_cpu_protocol_is_one_for_all(name: str) -> None:
    own = load_config(TrainConfig, FOLDER / f"{name}.yaml", ["data=manifest.csv"])
    laid_over = load_config(TrainConfig, [FOLDER / f"{name}.yaml", CPU], ["data=manifest.csv"])
    assert laid_over.sample is not None
    assert (laid_over.sample.pictures, laid_over.input_size, laid_over.epochs) == (2000, 192, 3)
    assert (laid_over.accelerator, laid_over.selection.split) == ("cpu", "reserved")
    for key in ("detector", "augmentation", "preprocessing", "objectives", "name"):
        assert getattr(laid_over, key) == getattr(own, key), "what the method is does not change"
    assert laid_over.optim.learning_rate == own.optim.learning_rate


def test_a_subset_of_streams_is_one_override() -> None:
    path = next(path for path in CONFIGS if path.stem == "default")
    config = load_config(TrainConfig, path, ["detector.streams=[spatial]", "optim.learning_rate=3e-4"])
    assert config.detector["streams"] == ["spatial"]
    assert config.optim.learning_rate == 3e-4
