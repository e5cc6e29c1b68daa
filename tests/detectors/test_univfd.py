"""UnivFD: any CLIP tower by its name, and nothing but a linear layer that learns."""

from __future__ import annotations

import pytest
import torch

from tests.detectors.conftest import small_detector
from tristream.detectors import build_detector
from tristream.detectors.backbones import settings_of
from tristream.detectors.univfd import PAPER_TOWER, UnivFDConfig
from tristream.errors import ConfigError

OPEN_CLIP_ViT_L14_M, OPEN_CLIP_ViT_B16_M = 303.97, 86.19
"""Millions of parameters of the image towers, in open_clip's profile of its models."""


def tower(name: str):  # type: ignore[no-untyped-def]
    with torch.device("meta"):
        return build_detector("univfd", {"backbone": name}, load_weights=False)


@pytest.mark.parametrize(
    ("name", "embedding", "side", "millions"),
    [
        (PAPER_TOWER, 768, 224, OPEN_CLIP_ViT_L14_M),
        (UnivFDConfig().backbone, 512, 224, OPEN_CLIP_ViT_B16_M),
        ("vit_large_patch14_clip_336.openai", 768, 336, None),
        ("vit_base_patch32_clip_224.laion2b", 512, 224, None),
        ("resnet50_clip.openai", 1024, 224, None),
        ("eva02_base_patch16_clip_224", 512, 224, None),
    ],
)
def test_naming_a_tower_is_enough(name: str, embedding: int, side: int, millions: float | None) -> None:
    detector = tower(name)
    assert detector.feature_sizes == {"clip": embedding}
    assert detector.image_size == side
    assert detector.initialisation == "CLIP"
    assert sum(p.numel() for p in detector.parameters() if p.requires_grad) == embedding + 1
    assert detector(torch.rand(1, 3, 64, 64, device="meta")).logits.shape == (1,)
    if millions is not None:
        assert sum(p.numel() for p in detector.tower.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_only_the_papers_tower_is_no_deviation() -> None:
    assert not any("tower" in line for line in tower(PAPER_TOWER).deviations)
    assert "vit_base_patch16" in tower(UnivFDConfig().backbone).deviations[0]
    assert settings_of(PAPER_TOWER).mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert settings_of(UnivFDConfig().backbone).tag == "openai", "the hub's default is another training set"


def test_embedding_is_not_normalised_and_splits_the_forward_in_two() -> None:
    detector = small_detector("univfd")
    pixels = torch.rand(3, 3, 64, 64)
    embedding = detector.embed(pixels)
    assert embedding.shape == (3, 32)
    assert not torch.allclose(embedding.norm(dim=-1), torch.ones(3), atol=0.05)
    assert torch.equal(detector.classify(embedding).logits, detector(pixels).logits)
    assert not detector.train().tower.training


def test_a_tower_that_is_no_clip_is_refused() -> None:
    with pytest.raises(ConfigError, match="'vit_base_patch16_224' is no CLIP tower"):
        build_detector("univfd", {"backbone": "vit_base_patch16_224"}, load_weights=False)
