"""Start a small vision transformer from a larger one by weight selection (Xu et al., ICLR 2024).

usage: python tools/select_weights.py LARGE.safetensors OUT.safetensors [--model vit_tiny_patch16_224]

LARGE holds a ViT-B/16 in timm names (for instance a CLIP image tower). Every channel of the small model is an evenly
spaced channel of the large one, whole attention heads are kept whole, and the first blocks serve. Two deviations from
the paper: products are rescaled by sqrt(large/small) inputs to keep their variance, and the embedding takes over the
scale of CLIP's extra norm (`norm_pre`), which the small model does not have.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

HEAD = 64
"""Channels per attention head, in ViT-Tiny and ViT-B alike."""


def select(large: dict[str, Tensor], model: str) -> dict[str, Tensor]:
    """Tensors of `model` (without classifier), taken from `large`. Shapes as timm's."""
    small = timm.create_model(model, num_classes=0).state_dict()
    large = {name: tensor.float() for name, tensor in large.items()}
    width, wide = small["norm.weight"].numel(), large["norm.weight"].numel()
    channels = evenly(width, wide)
    heads = (evenly(width // HEAD, wide // HEAD)[:, None] * HEAD + torch.arange(HEAD)).flatten()
    hidden = evenly(small["blocks.0.mlp.fc1.bias"].numel(), large["blocks.0.mlp.fc1.bias"].numel())
    qkv = torch.cat([heads + part * wide for part in range(3)])
    rows = {
        "attn.qkv": (qkv, channels),
        "attn.proj": (channels, heads),
        "mlp.fc1": (hidden, channels),
        "mlp.fc2": (channels, hidden),
    }
    out: dict[str, Tensor] = {}
    for name in small:
        layer = name.split(".", 2)[2].rpartition(".")[0] if name.startswith("blocks.") else ""
        if layer in rows:
            outputs, inputs = rows[layer]
            if name.endswith("bias"):
                out[name] = large[name][outputs]
            else:
                gain = (large[name].shape[1] / len(inputs)) ** 0.5
                out[name] = large[name][outputs][:, inputs] * gain
        elif name in ("cls_token", "pos_embed"):
            out[name] = large[name][..., channels]
        elif name in large:
            out[name] = large[name][channels]
        else:  # CLIP's patch embedding has no bias
            out[name] = torch.zeros_like(small[name])
    if "norm_pre.weight" in large:
        typical = (
            large["pos_embed"][0, 1:].var(0) + large["patch_embed.proj.weight"].flatten(1).square().sum(1) * 0.25
        ).sqrt()
        gain = (large["norm_pre.weight"] / typical.mean())[channels]
        for name in ("cls_token", "pos_embed"):
            out[name] *= gain
        out["patch_embed.proj.weight"] *= gain[:, None, None, None]
    return out


def evenly(count: int, of: int) -> Tensor:
    """`count` evenly spaced indices below `of`."""
    return torch.arange(count) * of // count


def main() -> None:
    """Read the arguments, select and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("large", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    arguments = parser.parse_args()
    selected = select(load_file(arguments.large), arguments.model)
    timm.create_model(arguments.model, num_classes=0).load_state_dict(selected, strict=True)
    save_file({name: tensor.contiguous() for name, tensor in selected.items()}, arguments.out)


if __name__ == "__main__":
    main()
