"""The scripts under tools/: a transformer in low rank follows the whole one, the model card is what the records say."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[1] / "tools"


def followed_share(ranks: int) -> dict[str, float]:
    """How much of a small transformer's stream is followed by one with all layers in that rank."""
    from tristream.detectors.backbones import create_backbone
    from tristream.detectors.low_rank import Reduction

    reduce_rank = runpy.run_path(str(TOOLS / "reduce_rank.py"))["reduce_rank"]
    torch.manual_seed(0)
    name, blocks = "vit_tiny_patch16_224", Reduction(blocks=2)
    whole = create_backbone(name, "none", image_size=48, reduction=blocks).eval()
    thin = Reduction(blocks=2, attention_rank=ranks, mlp_rank=ranks)
    reduced = create_backbone(name, "none", image_size=48, reduction=thin).eval()
    pixels = torch.nn.functional.interpolate(torch.rand(64, 3, 12, 12), 48, mode="bilinear")
    with torch.inference_mode():
        for block in whole.blocks:  # as initialised, a block hardly moves the stream
            block.mlp.fc1.weight *= 5
            block.mlp.fc2.weight *= 5
        found: dict[str, float] = reduce_rank(whole, reduced, pixels)
    return found


def test_a_transformer_of_nearly_full_rank_keeps_what_it_computes() -> None:
    assert min(followed_share(180).values()) > 0.8


def test_more_rank_follows_better_and_a_little_rank_follows_something() -> None:
    low, high = followed_share(8), followed_share(64)
    assert 0.1 < low["block 2"] < high["block 2"]


def test_the_model_card_is_what_the_records_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.setattr(sys, "argv", ["model_card.py", "--check"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(TOOLS / "model_card.py"), run_name="__main__")
    assert exit_.value.code == 0
