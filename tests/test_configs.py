"""Every shipped config is a valid training config whose detector can be named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tristream.config import load_config, validate
from tristream.detectors import DETECTORS
from tristream.training.config import TrainConfig

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_is_valid(path: Path) -> None:
    config = load_config(TrainConfig, path, ["data=manifest.csv"])
    options = dict(config.detector)
    detector = DETECTORS[options.pop("name")]
    validate(detector.config_class, options, str(path))


def test_a_subset_of_streams_is_one_override() -> None:
    path = next(path for path in CONFIGS if path.stem == "default")
    config = load_config(TrainConfig, path, ["detector.streams=[spatial]", "optim.learning_rate=3e-4"])
    assert config.detector["streams"] == ["spatial"]
    assert config.optim.learning_rate == 3e-4
