"""Small detectors of every kind in the registry, without downloads."""

from __future__ import annotations

import pytest
import torch

from tristream.detectors import DETECTORS, Detector, build_detector

SMALL: dict[str, dict[str, object]] = {
    "multistream": {
        "image_size": 64,
        "width": 32,
        "options": {name: {"weights": "none"} for name in ("spatial", "frequency", "semantic")},
    },
    "cnndetect": {"backbone": "resnet18", "weights": "none"},
    "xception": {"weights": "none"},
    "f3net": {"weights": "none", "image_size": 64},
    "univfd": {"backbone": "vit_tiny_patch16_224", "weights": "none", "embedding": 32},
}
"""Options that make a detector quick to build; one that is not listed is built with its defaults, without weights."""


def small_detector(name: str, **changes: object) -> Detector:
    torch.manual_seed(0)
    return build_detector(name, {**SMALL.get(name, {}), **changes}, load_weights=False).eval()


@pytest.fixture(params=list(DETECTORS))
def detector(request: pytest.FixtureRequest) -> Detector:
    return small_detector(request.param)
