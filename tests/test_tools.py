"""The scripts under tools/: a slimmed transformer follows the wide one, the model card says what the records say."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import timm
import torch

TOOLS = Path(__file__).parents[1] / "tools"


def test_slimming_a_model_to_its_own_width_keeps_what_it_computes() -> None:
    slim = runpy.run_path(str(TOOLS / "slim_vit.py"))["slim"]
    torch.manual_seed(0)
    wide = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=48, depth=2).eval()
    narrow = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=48, depth=2).eval()
    pixels = torch.nn.functional.interpolate(torch.rand(64, 3, 12, 12), 48, mode="bilinear")
    with torch.inference_mode():
        followed = slim(wide, narrow, pixels)
    assert min(followed.values()) > 0.9


def test_a_slimmer_model_follows_the_wide_one_better_than_one_that_was_not_fitted() -> None:
    slim = runpy.run_path(str(TOOLS / "slim_vit.py"))["slim"]
    torch.manual_seed(0)
    wide = timm.create_model("vit_small_patch16_224", num_classes=0, img_size=48, depth=2).eval()
    narrow = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=48, depth=2).eval()
    pixels = torch.nn.functional.interpolate(torch.rand(64, 3, 12, 12), 48, mode="bilinear")
    with torch.inference_mode():
        assert slim(wide, narrow, pixels)["block 1"] > 0.5


def test_the_model_card_is_what_the_records_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.setattr(sys, "argv", ["model_card.py", "--check"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(TOOLS / "model_card.py"), run_name="__main__")
    assert exit_.value.code == 0
