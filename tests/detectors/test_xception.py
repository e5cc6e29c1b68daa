"""Xception as published, with one logit."""

from __future__ import annotations

import pytest
import torch

from tests.detectors.conftest import small_detector
from tristream.detectors import build_detector
from tristream.errors import ConfigError

CHOLLET_2017 = 22_855_952
"""Parameters of the ImageNet classifier, as the Xception paper's table of sizes says."""


def test_size_is_the_papers_with_one_output_in_place_of_a_thousand() -> None:
    with torch.device("meta"):
        detector = build_detector("xception", {}, load_weights=False)
    assert sum(p.numel() for p in detector.parameters()) == CHOLLET_2017 - 2049 * 1000 + 2049
    assert detector.feature_sizes == {"pooled": 2048}
    assert detector.initialisation == "ImageNet"


def test_pixels_are_normalised_with_a_half_as_in_faceforensics() -> None:
    detector = small_detector("xception")
    torch.testing.assert_close(detector.normalise(torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)).flatten(),
                               torch.tensor([-1.0, 0.0, 1.0]))  # fmt: skip


def test_weights_that_are_published_as_a_pickle_are_not_opened() -> None:
    with pytest.raises(ConfigError, match=r"legacy_xception as a pickle only.*tools/convert_pickled.py"):
        build_detector("xception", {})
    with pytest.raises(ConfigError, match="as a pickle only"):
        build_detector("f3net", {})


def test_another_network_is_a_deviation() -> None:
    assert not any("network" in line for line in small_detector("xception").deviations)
    told = small_detector("cnndetect").deviations[0]
    assert told == "the network is resnet18; the paper's is ResNet-50"
    assert not any("network" in line for line in small_detector("cnndetect", backbone="resnet50.tv_in1k").deviations)
