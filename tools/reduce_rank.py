"""Write each linear layer of a vision transformer as two thin ones, layer by layer, by regression on real pictures.

usage: python tools/reduce_rank.py WHOLE.safetensors MANIFEST OUT.safetensors [--blocks 6] [--mlp-rank 224]

WHOLE holds the weights of --backbone in timm names; OUT takes those of the same model under a `reduction` of a config.
Each pair of thin layers is the reduced-rank regression of what the whole model's layer returns on what reaches the
reduced one, so that later layers make up for what earlier ones lost. Layers that write to the stream aim at the whole
model's stream, each direction divided by its standard deviation there: what tells fakes varies little.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from tristream.data.manifest import Manifest
from tristream.detectors.backbones import create_backbone, normalisation_of
from tristream.detectors.low_rank import Reduction
from tristream.evaluation.conditions import CONDITIONS, contexts_of
from tristream.images.decode import decode
from tristream.images.preprocess import Preprocessing

RIDGE = 1e-3
"""Penalty, as a share of the inputs' mean square."""
BATCH = 32
STRIDE = 2
"""Every second token takes part in the regressions."""

# N pictures, T tokens, E width of the stream


def reduce_rank(whole: Any, reduced: Any, pixels_N3HW: Tensor) -> dict[str, float]:
    """Fill `reduced` in place so that it follows `whole` on the pictures. Both timm transformers, in eval mode.

    Returns the share of each direction's variance that is followed after each block, averaged over the directions.
    """
    copied = {name: value for name, value in whole.state_dict().items() if name in reduced.state_dict()}
    reduced.load_state_dict(copied, strict=False)
    normalise = normalisation_of(whole)
    whole_NTE = _each(lambda pixels: _embed(whole, normalise(pixels)), pixels_N3HW)
    reduced_NTE = whole_NTE.clone()
    followed = {}
    for index, (large, small) in enumerate(zip(whole.blocks, reduced.blocks, strict=True)):
        whole_NTE, reduced_NTE = _attention(large, small, whole_NTE, reduced_NTE)
        whole_NTE, reduced_NTE = _mlp(large, small, whole_NTE, reduced_NTE)
        left_E, spread_E = (whole_NTE - reduced_NTE).square().mean((0, 1)), whole_NTE.var((0, 1))
        followed[f"block {index + 1}"] = float((1 - left_E / spread_E).mean())
    return followed


def _each(function: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat([function(part).float() for part in tensor.split(BATCH)])


def _embed(model: Any, pixels: Tensor) -> Tensor:
    tokens: Tensor = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(pixels))))
    return tokens


def _attention(large: Any, small: Any, whole_NTE: Tensor, reduced_NTE: Tensor) -> tuple[Tensor, Tensor]:
    """The two streams after the attention of a block, whose reduced form is fitted."""
    heads = large.attn.num_heads

    def mixed(qkv: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(*qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)).transpose(1, 2)

    wanted = _each(lambda tokens: large.attn.qkv(large.norm1(tokens)), whole_NTE)
    whole_NTE = whole_NTE + _each(lambda qkv: large.attn.proj(mixed(qkv).flatten(2)), wanted)
    read = _each(large.norm1, reduced_NTE)
    _fit(small.attn.qkv, read, wanted)
    mixed_NTE = _each(lambda tokens: mixed(small.attn.qkv(tokens)).flatten(2), read)
    _fit(small.attn.proj, mixed_NTE, whole_NTE - reduced_NTE, whole_NTE.flatten(0, 1).std(0))
    return whole_NTE, reduced_NTE + _each(small.attn.proj, mixed_NTE)


def _mlp(large: Any, small: Any, whole_NTE: Tensor, reduced_NTE: Tensor) -> tuple[Tensor, Tensor]:
    """The two streams after the MLP of a block, whose reduced form is fitted."""
    wanted = _each(lambda tokens: large.mlp.fc1(large.norm2(tokens)), whole_NTE[:, ::STRIDE])
    whole_NTE = whole_NTE + _each(lambda tokens: large.mlp(large.norm2(tokens)), whole_NTE)
    deviation_E = whole_NTE.flatten(0, 1).std(0)
    moves = (large.mlp.fc2.weight / deviation_E[:, None]).square().sum(0).sqrt()  # how hard each hidden unit pushes
    read = _each(large.norm2, reduced_NTE)
    _fit(small.mlp.fc1, read[:, ::STRIDE], wanted, 1 / moves, stride=1)
    del wanted
    sampled = _each(lambda tokens: small.mlp.act(small.mlp.fc1(tokens)), read[:, ::STRIDE])
    _fit(small.mlp.fc2, sampled, (whole_NTE - reduced_NTE)[:, ::STRIDE], deviation_E, stride=1)
    return whole_NTE, reduced_NTE + _each(small.mlp, read)


def _fit(layers: Any, inputs: Tensor, targets: Tensor, scale: Tensor | None = None, stride: int = STRIDE) -> None:
    """Reduced-rank regression of the targets on the inputs, both [N, T, features], errors measured in `scale`."""
    inner, outer = layers
    x, y = inputs[:, ::stride].flatten(0, 1), targets[:, ::stride].flatten(0, 1)
    mean_x, mean_y = x.mean(0), y.mean(0)
    scale = torch.ones_like(mean_y) if scale is None else scale
    x = x - mean_x
    moment = (x.T @ x / len(x)).double()
    moment.diagonal().add_(RIDGE * moment.diagonal().mean())
    weight = torch.linalg.solve(moment, (x.T @ ((y - mean_y) / scale) / len(x)).double())
    _, directions = torch.linalg.eigh(weight.T @ moment @ weight)
    directions = directions[:, -inner.out_features :]
    inner.weight.copy_((weight @ directions).T)
    outer.weight.copy_(directions * scale[:, None])
    outer.bias.copy_(mean_y - outer.weight @ (inner.weight @ mean_x))


def pictures(manifest: Manifest, split: str, count: int, size: int, condition: str) -> Tensor:
    """Middle crops of evenly spaced pictures of a split. Returns f32[N, 3, size, size] in [0, 1]."""
    chosen = manifest.split(split).with_file_columns(["sha256"])
    preprocessing, contexts = Preprocessing(crop=size), contexts_of(chosen)
    crops = []
    for row in np.linspace(0, len(chosen) - 1, count).astype(int):
        pixels = CONDITIONS[condition].apply(decode(chosen.file(int(row))).pixels, contexts[row])
        found = preprocessing.crops(pixels)
        crops.append(torch.from_numpy(found[len(found) // 2]))
    return torch.stack(crops)


def main() -> None:
    """Read the arguments, fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whole")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", default="vit_base_patch16_clip_quickgelu_224")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--attention-rank", type=int, default=160)
    parser.add_argument("--mlp-rank", type=int, default=224)
    parser.add_argument("--split", default="train")
    parser.add_argument("--pictures", type=int, default=384)
    parser.add_argument("--condition", default="alike", help="how the pictures are treated first")
    arguments = parser.parse_args()
    size = Preprocessing().crop
    reduction = Reduction(blocks=arguments.blocks, attention_rank=arguments.attention_rank, mlp_rank=arguments.mlp_rank)
    blocks = Reduction(blocks=arguments.blocks)
    whole = create_backbone(arguments.backbone, arguments.whole, image_size=size, reduction=blocks).eval()
    reduced = create_backbone(arguments.backbone, "none", image_size=size, reduction=reduction).eval()
    with torch.inference_mode():
        manifest = Manifest.read(arguments.manifest)
        chosen = pictures(manifest, arguments.split, arguments.pictures, size, arguments.condition)
        for name, share in reduce_rank(whole, reduced, chosen).items():
            print(f"{name}: {share:.3f} of the variance followed", flush=True)
    save_file({name: tensor.contiguous() for name, tensor in reduced.state_dict().items()}, arguments.out)


if __name__ == "__main__":
    main()
