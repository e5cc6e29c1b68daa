"""Xception as published, with one logit."""

from __future__ import annotations

import torch

from tests.detectors.conftest import small_detector
from tristream.detectors import build_detector

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
