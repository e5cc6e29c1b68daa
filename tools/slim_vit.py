"""Make a narrow vision transformer out of a wide one, layer by layer, by least squares on real pictures.

usage: python tools/slim_vit.py WIDE.safetensors MANIFEST OUT.safetensors [--split train] [--pictures 256]

WIDE holds the weights of --teacher in timm names. The narrow model's residual stream is the wide one's in the leading
principal directions of the pictures' tokens. In each block it keeps the attention heads and hidden units that move the
stream most; what they read is fitted by ridge regression from the narrow stream, what they write by ridge regression to
the wide model's stream, so that later layers make up for what earlier ones lost. The idea of slicing along principal
directions is SliceGPT's (Ashkboos et al., ICLR 2024); the regression on both sides is ours.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from tristream.data.manifest import Manifest
from tristream.detectors.backbones import create_backbone, normalisation_of
from tristream.images.decode import decode
from tristream.images.preprocess import Preprocessing

HEAD = 64
"""Channels per attention head, in ViT-Tiny and ViT-B alike."""
RIDGE = 1e-3
"""Penalty, as a share of the inputs' mean square."""
BATCH = 32

# N pictures, T tokens, D wide, E narrow


def slim(teacher: Any, student: Any, pixels_N3HW: Tensor) -> dict[str, float]:
    """Fill `student` (a timm ViT) in place so that it follows `teacher` on the pictures. Both in eval mode.

    Returns the share of variance of the wide stream (in the kept directions) that is followed after each block.
    """
    wide_NTD = _each(lambda pixels: _embed(teacher, normalisation_of(teacher)(pixels)), pixels_N3HW)
    basis_DE = _directions(teacher, wide_NTD, student.embed_dim)
    narrow_NTE = _fit_embedding(student, normalisation_of(student)(pixels_N3HW), wide_NTD @ basis_DE)
    followed = {}
    for index, (large, small) in enumerate(zip(teacher.blocks, student.blocks, strict=True)):
        normed = _each(large.norm1, wide_NTD)
        attended = _each(large.attn, normed)
        narrow_NTE = _fit_attention(large, small, normed, narrow_NTE, (wide_NTD + attended) @ basis_DE, basis_DE)
        wide_NTD = wide_NTD + attended
        normed = _each(large.norm2, wide_NTD)
        moved_NTD = wide_NTD + _each(large.mlp, normed)
        narrow_NTE = _fit_mlp(large, small, normed, narrow_NTE, moved_NTD @ basis_DE, basis_DE)
        wide_NTD = moved_NTD
        target_NTE = wide_NTD @ basis_DE
        left, spread = (target_NTE - narrow_NTE).square().mean((0, 1)), target_NTE.var((0, 1))
        followed[f"block {index}"] = 1 - float(left.sum() / spread.sum())
    torch.nn.init.ones_(student.norm.weight)
    torch.nn.init.zeros_(student.norm.bias)
    return followed


def _each(function: Any, tensor: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat([function(part).float() for part in tensor.split(BATCH)])


def _embed(model: Any, pixels: Tensor) -> Tensor:
    tokens: Tensor = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(pixels))))
    return tokens


def _directions(teacher: Any, tokens_NTD: Tensor, width: int) -> Tensor:
    """The leading principal directions of the normalised stream over all blocks, turned at random. Returns [D, E]."""
    moment_DD = torch.zeros(tokens_NTD.shape[-1], tokens_NTD.shape[-1])
    for block in teacher.blocks:
        tokens_NTD = _each(block, tokens_NTD)
        unit = F.layer_norm(tokens_NTD[:, ::4].reshape(-1, tokens_NTD.shape[-1]), tokens_NTD.shape[-1:])
        cls = F.layer_norm(tokens_NTD[:, 0], tokens_NTD.shape[-1:])
        moment_DD += unit.T @ unit / len(unit) + 0.5 * cls.T @ cls / len(cls)
    _, vectors = torch.linalg.eigh(moment_DD)
    turn_EE, _ = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(0)))
    return vectors[:, -width:] @ turn_EE


def _ridge(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [out, in] and bias [out] of the regression of targets on inputs, both [..., features]."""
    x, y = inputs.reshape(-1, inputs.shape[-1]).double(), targets.reshape(-1, targets.shape[-1]).double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    moment = x.T @ x / len(x)
    moment.diagonal().add_(RIDGE * moment.diagonal().mean())
    weight = torch.linalg.solve(moment, x.T @ y / len(x)).T
    return weight.float(), (mean_y - weight @ mean_x).float()


def _set(layer: Any, weight: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(weight.view_as(layer.weight))
    layer.bias.copy_(bias)


def _fit_embedding(student: Any, pixels_N3HW: Tensor, target_NTE: Tensor) -> Tensor:
    side = student.patch_embed.patch_size[0]
    patches = F.unfold(pixels_N3HW, side, stride=side).transpose(1, 2)
    place_TE = target_NTE[:, 1:].mean(0)
    weight, bias = _ridge(patches, target_NTE[:, 1:] - place_TE)
    _set(student.patch_embed.proj, weight, bias)
    student.cls_token.zero_()
    student.pos_embed[0, 0].copy_(target_NTE[:, 0].mean(0))
    student.pos_embed[0, 1:].copy_(place_TE)
    return _each(lambda pixels: _embed(student, pixels), pixels_N3HW)


def _fit_attention(
    large: Any, small: Any, normed_NTD: Tensor, narrow_NTE: Tensor, target_NTE: Tensor, basis_DE: Tensor
) -> Tensor:
    wide = _each(large.attn.qkv, normed_NTD)
    kept = _strongest_heads(large, normed_NTD, basis_DE, small.attn.num_heads)
    rows = (kept[:, None] * HEAD + torch.arange(HEAD)).flatten()
    normed_NTE = F.layer_norm(narrow_NTE, narrow_NTE.shape[-1:])
    dim = normed_NTD.shape[-1]
    _set(small.attn.qkv, *_ridge(normed_NTE, torch.cat([wide[..., rows + part * dim] for part in range(3)], -1)))
    torch.nn.init.eye_(small.attn.proj.weight)
    torch.nn.init.zeros_(small.attn.proj.bias)
    mixed = _each(small.attn, normed_NTE)
    _set(small.attn.proj, *_ridge(mixed, target_NTE - narrow_NTE))
    return narrow_NTE + small.attn.proj(mixed)


def _strongest_heads(large: Any, normed_NTD: Tensor, basis_DE: Tensor, count: int) -> Tensor:
    """Heads whose output varies most in the kept directions."""
    part = normed_NTD[: 2 * BATCH]
    heads = large.attn.num_heads
    qkv = large.attn.qkv(part).unflatten(-1, (3, heads, HEAD)).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(*qkv)  # [N, heads, T, HEAD]
    read = (basis_DE.T @ large.attn.proj.weight).unflatten(-1, (heads, HEAD))
    moves = torch.einsum("nhtc,ehc->hnte", mixed, read).flatten(1, 2)
    return moves.var(1).sum(-1).topk(count).indices.sort().values


def _fit_mlp(
    large: Any, small: Any, normed_NTD: Tensor, narrow_NTE: Tensor, target_NTE: Tensor, basis_DE: Tensor
) -> Tensor:
    sample = large.mlp.act(large.mlp.fc1(normed_NTD[: 2 * BATCH]))
    gain = (basis_DE.T @ large.mlp.fc2.weight).square().sum(0)
    kept = (sample.flatten(0, 1).var(0) * gain).topk(small.mlp.fc1.out_features).indices.sort().values
    normed_NTE = F.layer_norm(narrow_NTE, narrow_NTE.shape[-1:])
    wanted = F.linear(normed_NTD, large.mlp.fc1.weight[kept], large.mlp.fc1.bias[kept])
    _set(small.mlp.fc1, *_ridge(normed_NTE, wanted))
    hidden = small.mlp.act(small.mlp.fc1(normed_NTE))
    _set(small.mlp.fc2, *_ridge(hidden, target_NTE - narrow_NTE))
    return narrow_NTE + small.mlp.fc2(hidden)


def pictures(manifest: Manifest, split: str, count: int, size: int) -> Tensor:
    """Middle crops of evenly spaced pictures of a split. Returns f32[N, 3, size, size] in [0, 1]."""
    chosen = manifest.split(split)
    preprocessing = Preprocessing()
    crops = []
    for row in np.linspace(0, len(chosen) - 1, count).astype(int):
        found = preprocessing.crops(decode(chosen.file(int(row))).pixels)
        crops.append(torch.from_numpy(found[len(found) // 2]))
    return torch.stack(crops)


def main() -> None:
    """Read the arguments, fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wide")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", default="vit_base_patch16_clip_quickgelu_224")
    parser.add_argument("--student", default="vit_tiny_patch16_224")
    parser.add_argument("--split", default="train")
    parser.add_argument("--pictures", type=int, default=256)
    arguments = parser.parse_args()
    size = Preprocessing().crop
    teacher = create_backbone(arguments.teacher, arguments.wide, image_size=size).eval()
    student = timm.create_model(arguments.student, num_classes=0, img_size=size, dynamic_img_size=True).eval()
    with torch.inference_mode():
        chosen = pictures(Manifest.read(arguments.manifest), arguments.split, arguments.pictures, size)
        for name, share in slim(teacher, student, chosen).items():
            print(f"{name}: {share:.3f} of the variance followed", flush=True)
    save_file({name: tensor.contiguous() for name, tensor in student.state_dict().items()}, arguments.out)


if __name__ == "__main__":
    main()
