"""CNNDetect as published: a ResNet-50 with one logit, and a training config that is the paper's recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tristream.config import load_config
from tristream.detectors import build_detector
from tristream.errors import ConfigError
from tristream.training.config import TrainConfig

TORCHVISION = 25_557_032
"""Parameters of torchvision's ResNet-50 with 1000 outputs, as its page of models says."""


def test_size_is_resnet_50_with_one_output_in_place_of_a_thousand() -> None:
    with torch.device("meta"):
        detector = build_detector("cnndetect", {}, load_weights=False)
    assert sum(p.numel() for p in detector.parameters()) == TORCHVISION - 2049 * 1000 + 2049
    assert detector.initialisation == "ImageNet"


def test_the_config_is_the_papers_recipe() -> None:
    path = Path(__file__).parents[2] / "configs/cnndetect.yaml"
    recipe = load_config(TrainConfig, path, ["data=manifest.csv"])
    augmentation = recipe.augmentation
    assert augmentation.steps == ("resize", "blur", "encode"), "on the resized picture, blur first"
    assert (augmentation.blur, augmentation.blur_sigma_px) == (0.5, (0, 3))
    assert (augmentation.encode, augmentation.quality, augmentation.webp_share) == (0.5, (30, 100), 0)
    assert augmentation.full_colour_share == 0
    assert (recipe.preprocessing.short_side, recipe.preprocessing.crop, recipe.input_size) == (256, 224, 224)


def test_wrong_names_are_told_what_there_is() -> None:
    with pytest.raises(ConfigError, match="timm has no model 'resnet5O'"):
        build_detector("cnndetect", {"backbone": "resnet5O"})
    with pytest.raises(ConfigError, match=r"no weights 'tv' of resnet50; there are: .*tv_in1k"):
        build_detector("cnndetect", {"backbone": "resnet50.tv"})
