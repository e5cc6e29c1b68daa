"""The scripts under tools/: weight selection keeps what it can, and the model card says what the records say."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import timm
import torch

TOOLS = Path(__file__).parents[1] / "tools"


def test_selecting_a_model_from_itself_is_the_identity() -> None:
    select = runpy.run_path(str(TOOLS / "select_weights.py"))["select"]
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0).eval()
    selected = select(model.state_dict(), "vit_tiny_patch16_224")
    assert all(torch.equal(selected[name], tensor) for name, tensor in model.state_dict().items())


def test_a_selected_model_fits_and_takes_whole_heads() -> None:
    select = runpy.run_path(str(TOOLS / "select_weights.py"))["select"]
    large = timm.create_model("vit_small_patch16_224", num_classes=0).state_dict()
    selected = select(large, "vit_tiny_patch16_224")
    timm.create_model("vit_tiny_patch16_224", num_classes=0).load_state_dict(selected, strict=True)
    # 3 of 6 heads: 0, 2 and 4, each with its 64 rows; every second channel, times sqrt(384 / 192)
    expected = large["blocks.0.attn.qkv.weight"][128:192, ::2] * 2**0.5
    torch.testing.assert_close(selected["blocks.0.attn.qkv.weight"][64:128], expected)


def test_the_model_card_is_what_the_records_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["model_card.py", "--check"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(TOOLS / "model_card.py"), run_name="__main__")
    assert exit_.value.code == 0
